"""`otpbroker rabbitmq setup`: what several devices on one RabbitMQ need there, made once and again without harm."""

import argparse
import asyncio
import os
import re
from collections import Counter
from pathlib import Path
from urllib.parse import unquote, urlsplit

from otpbroker.cli.place import read_password
from otpbroker.config.feeder import TlsSection
from otpbroker.config.feeder_rabbitmq import PORT, TLS_PORT
from otpbroker.errors import Rejected
from otpbroker.feeder.amqp import Address, Broker
from otpbroker.feeder.broker_tls import tls_context
from otpbroker.feeder.topology import Layout, provision

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_PASSWORD = "OTPBROKER_RABBITMQ_PASSWORD"  # noqa: S105 # a variable's name


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("rabbitmq", help="prepare a RabbitMQ broker for several devices")
    acts = parser.add_subparsers(metavar="ACT", required=True)
    setup = acts.add_parser(
        "setup",
        help="make exchanges, queues and bindings; what is there already is left alone",
        description=f"The password is read from {_PASSWORD}, or asked for.",
    )
    setup.add_argument(
        "--url", type=_address, required=True, help="amqp://USER@HOST[:PORT][/VHOST], or amqps:// for TLS"
    )
    setup.add_argument("--ca", type=Path, help="PEM file of the authority that signed the broker's certificate")
    setup.add_argument("--prefix", type=_name, default="otpbroker", help="of all names (default: otpbroker)")
    setup.add_argument(
        "--group",
        type=_group,
        action="append",
        default=[],
        metavar="NAME=PREFIX[,PREFIX...]",
        help="numbers that begin so, international without +, get a queue of their own; may be repeated",
    )
    setup.add_argument(
        "--device",
        type=_name,
        action="append",
        default=[],
        metavar="NAME",
        help="a device that is to hear of blocked numbers; may be repeated",
    )
    setup.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    for name, count in Counter(name for name, _ in arguments.group).items():
        if count > 1:
            raise Rejected(
                "group-twice",
                f"the group {name} is there twice",
                field="--group",
                remedy=f"write all its prefixes at once: {name}=62811,62812",
            )
    layout = Layout(arguments.prefix, dict(arguments.group), arguments.device)
    layout.check()
    password = os.environ.get(_PASSWORD) or read_password("RabbitMQ password")
    for line in asyncio.run(_setup(arguments, layout, password)):
        print(line)
    print(_entries(layout))
    return 0


async def _setup(arguments: argparse.Namespace, layout: Layout, password: str) -> list[str]:
    url = arguments.url
    secure = url.scheme == "amqps"
    tls = TlsSection(enabled=secure, ca=str(arguments.ca.resolve()) if arguments.ca and secure else None)
    address = Address(
        host=url.hostname,
        port=url.port or (TLS_PORT if secure else PORT),
        vhost=unquote(url.path[1:]) or "/",
        username=unquote(url.username),
        password=password,
        tls=tls_context(tls),
        name="otpbroker rabbitmq setup",
    )
    async with Broker.connect(address) as broker:
        return await provision(broker, layout)


def _entries(layout: Layout) -> str:
    """What goes into config.yaml of a device, beside where the broker is."""
    group = next(iter(layout.groups), None)
    device = layout.devices[0] if layout.devices else "DEVICE"
    prefix = layout.prefix
    common = (
        f"    durable: true\n    queue_type: quorum\n    claims: {prefix}.claims\n"
        f"    dead_letter_exchange: {prefix}.dead\n    status_exchange: {prefix}.status\n"
    )
    return (
        f"\nfeeders of a device:\n"
        f"  - id: messages\n    queue: {layout.queue(group)}\n{common}"
        f"  - id: control\n    queue: {layout.control_queue(device)}\n{common}"
    )


def _address(text: str) -> object:
    try:
        url = urlsplit(text)
        good = url.scheme in {"amqp", "amqps"} and url.hostname and url.username and text.isprintable()
        _ = url.port
    except ValueError:
        good = False
    if not good:
        raise argparse.ArgumentTypeError("must be such as amqps://admin@broker.example/vhost")
    if url.password is not None:
        raise argparse.ArgumentTypeError(f"must hold no password, others could read it; set {_PASSWORD}")
    return url


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise argparse.ArgumentTypeError("must be 1 to 32 letters, digits, _ and -")
    return text


def _group(text: str) -> tuple[str, tuple[str, ...]]:
    name, _, prefixes = text.partition("=")
    digits = tuple(prefix.strip().removeprefix("+") for prefix in prefixes.split(","))
    if not all(re.fullmatch(r"[1-9][0-9]{0,14}", prefix) for prefix in digits):
        raise argparse.ArgumentTypeError("must be such as telkomsel=62811,62812: international, without leading 0")
    return _name(name), digits
