"""`otpbroker simulate-modem`: simulated GSM modems on ptys, the phone that receives, and their control socket."""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from otpbroker.cli.signals import stop_on_signals
from otpbroker.cli.values import port, seconds
from otpbroker.config.model import Listener
from otpbroker.errors import Misconfigured
from otpbroker.modem.simulator import Behaviour, ControlServer, Phone, SimulatedModem, identity_of
from otpbroker.web.phone import create_phone_app
from otpbroker.web.server import Server

_MOST = 256


@dataclass(frozen=True, slots=True)
class Place:
    """Where the links to the ports and the control socket are."""

    folder: Path
    control: Path


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "simulate-modem",
        help="run simulated GSM modems and the phone that receives",
        description="Runs simulated GSM modems until SIGTERM or Ctrl-C. Messages are kept in memory only.",
    )
    parser.add_argument("--count", type=_count, default=1, metavar="N", help=f"how many, 1 to {_MOST} (default: 1)")
    parser.add_argument("--dir", type=Path, help="where modem-1, modem-2, ... are made (default: a new folder)")
    parser.add_argument("--control", type=Path, metavar="SOCKET", help="control socket (default: DIR/control)")
    parser.add_argument("--phone-port", type=port, metavar="PORT", help="show the phone on 127.0.0.1; 0: any port")
    parser.add_argument(
        "--air", type=seconds, default=1.0, metavar="SECONDS", help="air time of a message (default: 1)"
    )
    parser.add_argument("--latency", type=seconds, default=0.0, metavar="SECONDS", help="of every other answer")
    parser.add_argument("--json", action="store_true", help="print one line READY {...} for scripts")
    parser.add_argument("--with-parent", action="store_true", help="end when standard input ends")
    parser.set_defaults(run=run)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _MOST:
        raise argparse.ArgumentTypeError(f"must be a number from 1 to {_MOST}")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    behaviour = Behaviour().changed({"air": arguments.air, "latency": arguments.latency})
    with _place(arguments) as place:
        asyncio.run(_run(arguments, place, behaviour))
    return 0


@contextlib.contextmanager
def _place(arguments: argparse.Namespace) -> Iterator[Place]:
    """The folders, which are gone afterwards if they were made here and nobody else put anything into them."""
    folder = arguments.dir or Path(tempfile.mkdtemp(prefix="otpbroker-modems-"))
    made = arguments.dir is None or not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield Place(folder, arguments.control or folder / "control")
    finally:
        if made:
            with contextlib.suppress(OSError):
                folder.rmdir()


async def _run(arguments: argparse.Namespace, place: Place, behaviour: Behaviour) -> None:
    stop = stop_on_signals(signal.SIGHUP)
    if arguments.with_parent:
        _stop_at_end_of_input(stop)
    phone = Phone()
    modems = [
        SimulatedModem(identity_of(index), phone, behaviour=behaviour) for index in range(1, arguments.count + 1)
    ]
    async with contextlib.AsyncExitStack() as stack:
        for modem in modems:
            stack.callback(modem.close)
            modem.plug(place.folder / modem.name)
        await stack.enter_async_context(ControlServer(place.control, modems, phone))
        if arguments.phone_port is None:
            _tell(arguments, modems, place, None)
            await stop.wait()
        else:
            await _serve_phone(arguments, modems, place, phone, stop)


async def _serve_phone(
    arguments: argparse.Namespace,
    modems: list[SimulatedModem],
    place: Place,
    phone: Phone,
    stop: asyncio.Event,
) -> None:
    listener = Listener(port=arguments.phone_port)
    server = Server(create_phone_app(phone, stop), listener, field="--phone-port")
    bound = server.bind()
    _tell(arguments, modems, place, bound.url)
    await server.serve(stop)


def _tell(arguments: argparse.Namespace, modems: list[SimulatedModem], place: Place, phone_url: str | None) -> None:
    if arguments.json:
        facts = {
            "ports": [modem.path for modem in modems],
            "control": str(place.control),
            "phone_url": phone_url,
        }
        print("READY " + json.dumps(facts), flush=True)
        return
    for modem in modems:
        print(f"{modem.name:<10} {modem.path}   +{modem.identity.msisdn}  {modem.identity.operator}")
    print(f"control    {place.control}")
    if phone_url is not None:
        print(f"phone      {phone_url}")
    sys.stdout.flush()


def _stop_at_end_of_input(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    descriptor = sys.stdin.fileno()

    def read() -> None:
        if not os.read(descriptor, 4096):
            loop.remove_reader(descriptor)
            stop.set()

    try:
        loop.add_reader(descriptor, read)
    except PermissionError:
        raise Misconfigured(
            "no-pipe", "standard input is neither a pipe nor a terminal", field="--with-parent"
        ) from None
