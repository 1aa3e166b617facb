"""`otpbroker demo`: the whole product on simulated modems, for a first look and for scripts.

Everything it makes is in one folder in RAM, which is gone when it ends; the modems are a child process that ends
with it.
"""

import argparse
import asyncio
import contextlib
import json
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import segno

from otpbroker.agent import Agent, Ready
from otpbroker.cli.place import open_store
from otpbroker.cli.process import allow_many_files, keep_out_of_core_dumps, log_to_stderr
from otpbroker.cli.signals import stop_on_signals
from otpbroker.cli.values import port, seconds
from otpbroker.config.model import AdminSection, ApiSection, ApiUser, Config, Listener, ModemSection
from otpbroker.errors import Unavailable
from otpbroker.folders import Folders
from otpbroker.modem.usb import NoPorts
from otpbroker.passwords import hash_password
from otpbroker.web.setup_code import setup_url

_START_LIMIT = 15.0
_USER = "demo"


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("demo", help="run the agent with two simulated modems, for a first look")
    parser.add_argument("--json", action="store_true", help="print one line READY {...} for scripts")
    parser.add_argument("--admin-port", type=port, default=8888, help="0: any (default: 8888)")
    parser.add_argument("--api-port", type=port, default=8889, help="0: any (default: 8889)")
    parser.add_argument("--https-port", type=port, default=10443, help="0: any (default: 10443)")
    parser.add_argument("--phone-port", type=port, default=8890, help="0: any (default: 8890)")
    parser.add_argument("--air", type=seconds, default=1.0, metavar="SECONDS", help="air time of a message")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    log_to_stderr()
    keep_out_of_core_dumps()
    allow_many_files()
    with tempfile.TemporaryDirectory(prefix="otpbroker-demo-", dir="/dev/shm") as folder:  # RAM
        asyncio.run(_run(arguments, Path(folder)))
    return 0


@dataclass(frozen=True, slots=True)
class Simulated:
    """What the child process with the modems told."""

    ports: tuple[str, ...]
    control: str
    phone_url: str


async def _run(arguments: argparse.Namespace, folder: Path) -> None:
    stop = stop_on_signals(signal.SIGHUP)  # a terminal that is closed
    folders = Folders(folder / "state", folder / "runtime", folder / "log")
    folders.make()
    password = secrets.token_urlsafe(18)
    async with _simulated_modems(folder, arguments) as simulated:
        store = open_store(folders)
        await store.update(lambda _: _config(simulated, password, arguments), by="demo")
        agent = Agent(folders, store, ports=NoPorts())  # sticks that are plugged in here are none of its business
        code = await asyncio.to_thread(agent.setup_code.ensure)

        def ready(bound: Ready) -> None:
            if bound.admin is None or bound.http is None:
                raise Unavailable(
                    "port-busy", "a port is taken", remedy="stop the other program, or see demo --help"
                )
            facts = {
                "admin_url": bound.admin.url,
                "setup_url": setup_url(bound.admin.url, code),
                "api_url": bound.http.url,
                "https_url": bound.https.url if bound.https else None,
                "api_user": _USER,
                "api_password": password,
                "control_socket": simulated.control,
                "phone_url": simulated.phone_url,
                "state": str(folders.state),
                "runtime": str(folders.runtime),
                "log": str(folders.log),
            }
            if arguments.json:
                print("READY " + json.dumps(facts), flush=True)
            else:
                _welcome(facts)

        await agent.run(ready, stop)


@contextlib.asynccontextmanager
async def _simulated_modems(folder: Path, arguments: argparse.Namespace) -> AsyncIterator[Simulated]:
    options = ["--count", "2", "--dir", folder / "modems", "--control", folder / "control", "--air", arguments.air]
    command = ["simulate-modem", *options, "--phone-port", arguments.phone_port, "--json", "--with-parent"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "otpbroker", *map(str, command)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C reaches the agent first; the modems end when it has ended
    )
    try:
        yield await _told(process)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 5)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _told(process: asyncio.subprocess.Process) -> Simulated:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_START_LIMIT):
            while line := await process.stdout.readline():
                if line.startswith(b"READY "):
                    told: dict[str, Any] = json.loads(line.removeprefix(b"READY "))
                    return Simulated(tuple(told["ports"]), told["control"], told["phone_url"])
    except TimeoutError:
        pass
    raise Unavailable("simulator-failed", "the simulated modems did not start", remedy="is the phone port taken?")


def _config(simulated: Simulated, password: str, arguments: argparse.Namespace) -> Config:
    first, second = simulated.ports
    user = ApiUser(username=_USER, name="Demo application", password=hash_password(password))
    return Config(
        modems=(
            ModemSection(id="modem-1", name="Telkomsel SIM", port=first, prefixes=("62811", "62812", "62813")),
            ModemSection(id="modem-2", name="Default SIM", port=second, default=True),
        ),
        api=ApiSection(
            http=Listener(port=arguments.api_port),
            https=Listener(port=arguments.https_port),
            users=(user,),
        ),
        admin=AdminSection(listen=Listener(port=arguments.admin_port)),
    )


def _welcome(facts: dict[str, str | None]) -> None:
    body = '{"command":"send-sms","data":{"id":"1","msisdn":"081212345678","message":"OTP Anda adalah 1234"}}'
    print("\nOTP Broker runs with two simulated modems.\n")
    print("1. Create the administrator (open the address, or scan the code):\n")
    print(f"   {facts['setup_url']}\n")
    segno.make(str(facts["setup_url"]), error="m").terminal(compact=True, border=2)
    print("\n2. Send a message as an application would:\n")
    print(f"   curl -u {facts['api_user']}:{facts['api_password']} {facts['api_url']}/api/sms -d '{body}'\n")
    print("3. See it arrive on the simulated phone:\n")
    print(f"   {facts['phone_url']}\n")
    print("Ctrl-C ends it and leaves nothing behind.\n", flush=True)
