"""`otpbroker ussd`: a USSD code on one modem through a running agent's REST API, with replies from the terminal."""

import argparse
import getpass
import os
import sys
from typing import Any

import httpx2

from otpbroker.cli.api_answer import api_answer
from otpbroker.cli.values import web_address
from otpbroker.errors import Unavailable

_PATIENCE = 65.0  # seconds; the device answers within its own 60


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "ussd",
        help="run a USSD code on a modem through a running agent",
        description="Prints what the network says. At a terminal its questions are answered by lines of input; an "
        "empty line ends the session. Without a terminal the session is ended after the first answer.",
    )
    parser.add_argument("modem", help="the modem's id")
    parser.add_argument("code", help="the code, such as '*888#'; - reads it from standard input")
    parser.add_argument(
        "--user", required=True, help="API user with the right ussd; the password comes from OTPBROKER_API_PASSWORD"
    )
    parser.add_argument(
        "--url", type=web_address, default="http://127.0.0.1:8889", help="address of the agent's REST API"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Exit code 0 when the network answered, 1 when it did not; the reason goes to standard error."""
    code = sys.stdin.readline().strip() if arguments.code == "-" else arguments.code
    password = os.environ.get("OTPBROKER_API_PASSWORD") or getpass.getpass("API password: ")
    with httpx2.Client(base_url=arguments.url, auth=(arguments.user, password), timeout=_PATIENCE) as api:
        try:
            return _converse(api, arguments.modem, code)
        except httpx2.HTTPError as error:
            raise Unavailable("agent-unreachable", f"{arguments.url} does not answer: {error}") from None


def _converse(api: httpx2.Client, modem: str, code: str) -> int:
    answer = api.post("/api/v1/ussd", json={"modem_id": modem, "code": code})
    while (said := _said(answer)) is not None:
        print(said["text"], flush=True)
        if not said["replyable"]:
            return 0
        reply = _reply()
        if not reply:
            api.delete(f"/api/v1/ussd/{modem}")
            return 0
        answer = api.post(f"/api/v1/ussd/{modem}/reply", json={"text": reply})
    return 1


def _said(answer: httpx2.Response) -> dict[str, Any] | None:
    """The network's word; None: there is none, and why has been told."""
    body = api_answer(answer)
    if answer.status_code == 200:
        return body
    remedy = f" ({body['remedy']})" if body.get("remedy") else ""
    print(f"otpbroker: {body.get('detail', answer.reason_phrase)}{remedy}", file=sys.stderr)
    return None


def _reply() -> str:
    if not sys.stdin.isatty():
        return ""
    try:
        return input("> ").strip()
    except EOFError:
        print()
        return ""
