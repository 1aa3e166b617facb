"""`otpbroker send`: one message through a running agent's REST API."""

import argparse
import getpass
import json
import os
import sys

import httpx2

from otpbroker.cli.api_answer import api_answer
from otpbroker.cli.values import web_address, whole_seconds
from otpbroker.errors import Unavailable

_GOOD = frozenset({"sent", "delivered"})


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "send", help="send a message through a running agent; the text is read from standard input"
    )
    parser.add_argument("receiver", help="a number: +628123456789, 08123456789")
    parser.add_argument("--user", required=True, help="API user; the password comes from OTPBROKER_API_PASSWORD")
    parser.add_argument(
        "--url", type=web_address, default="http://127.0.0.1:8889", help="address of the agent's REST API"
    )
    parser.add_argument("--modem", help="send by this modem alone")
    parser.add_argument(
        "--wait", type=whole_seconds, default=30, metavar="SECONDS", help="how long to wait for the modem"
    )
    parser.set_defaults(run=send)


def send(arguments: argparse.Namespace) -> int:
    """Prints the outcome as JSON; exit code 0 only when the modem said that it was sent."""
    text = sys.stdin.read().rstrip("\n")
    password = os.environ.get("OTPBROKER_API_PASSWORD") or getpass.getpass("API password: ")
    body = {"receiver": arguments.receiver, "text": text}
    if arguments.modem:
        body["modem_id"] = arguments.modem
    try:
        answer = httpx2.post(
            f"{arguments.url}/api/v1/messages",
            json=body,
            auth=(arguments.user, password),
            headers={"Prefer": f"wait={arguments.wait}"},
            timeout=arguments.wait + 10,
        )
    except httpx2.HTTPError as error:
        raise Unavailable("agent-unreachable", f"{arguments.url} does not answer: {error}") from None
    outcome = api_answer(answer)
    print(json.dumps(outcome, indent=2))
    return 0 if outcome.get("state") in _GOOD else 1
