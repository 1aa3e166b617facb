"""`otpbroker relay`: a broker of our own, and its users."""

import argparse
import asyncio
import logging
import signal
from pathlib import Path

from pydantic import ValidationError

from otpbroker.cli.place import read_password
from otpbroker.cli.process import allow_many_files, keep_out_of_core_dumps, log_to_stderr
from otpbroker.cli.signals import stop_on_signals
from otpbroker.cli.values import port, username
from otpbroker.errors import Rejected
from otpbroker.passwords import check_strength, hash_password
from otpbroker.relay.settings import RelaySettings, TlsSection, load_settings

_log = logging.getLogger("otpbroker.relay")


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "relay", help="run a broker of our own, for a server that devices and applications both reach"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings (YAML); options go before them")
    parser.add_argument("--users", type=Path, metavar="FILE", help="the users' file (default: users.yaml)")
    parser.add_argument("--address", help="to listen on (default: all with TLS, loopback without)")
    parser.add_argument("--port", type=port, help="0: any (default: 9000)")
    parser.add_argument("--metrics-port", type=port, help="on loopback; 0: any (default: 9001)")
    parser.add_argument("--certificate", type=Path, metavar="FILE", help="PEM, with its chain; makes it TLS")
    parser.add_argument("--key", type=Path, metavar="FILE", help="PEM, the certificate's key")
    parser.set_defaults(run=run)
    acts = parser.add_subparsers(metavar="[add-user]")
    add = acts.add_parser("add-user", help="add a user, or replace the one with this name")
    add.add_argument("username", type=username)
    add.add_argument("--publish", nargs="+", default=[], metavar="CHANNEL", help="channels that it may publish to")
    add.add_argument(
        "--consume",
        nargs="+",
        default=[],
        metavar="CHANNEL",
        help="channels that it may consume; NAME* by beginning",
    )
    add.add_argument(
        "--name-is-password",
        action="store_true",
        help="for OTP-Publisher, which sends its user name as password: make the name long and random",
    )
    add.add_argument("--users", type=Path, metavar="FILE", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    add.add_argument("--config", type=Path, metavar="FILE", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    add.set_defaults(run=add_user)


def run(arguments: argparse.Namespace) -> int:
    log_to_stderr()
    keep_out_of_core_dumps()
    allow_many_files()
    settings = _settings(arguments)
    if settings.exposed:
        _log.warning("without TLS passwords and messages pass in clear: name a certificate, or listen on loopback")
    asyncio.run(_run(settings))
    return 0


async def _run(settings: RelaySettings) -> None:
    from otpbroker.relay.server import Relay  # noqa: PLC0415 # add-user needs none of it

    relay = await asyncio.to_thread(Relay, settings)
    reloads: set[asyncio.Task[None]] = set()

    def reload() -> None:
        task = asyncio.get_running_loop().create_task(relay.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)

    def ready(port: int, metrics_port: int | None) -> None:
        scheme = "wss" if settings.tls else "ws"
        _log.info("listening on %s://%s:%d", scheme, settings.listen_address, port)
        if metrics_port is not None:
            _log.info("metrics on http://127.0.0.1:%d/metrics", metrics_port)

    await relay.run(ready, stop_on_signals())


def add_user(arguments: argparse.Namespace) -> int:
    from otpbroker.relay.users import SECRET_NAME, make_user, write_user  # noqa: PLC0415 # with its pydantic models

    name: str = arguments.username
    if not arguments.publish and not arguments.consume:
        raise Rejected("no-rights", "a user needs a channel", remedy="add --publish CHANNEL or --consume CHANNEL")
    if arguments.name_is_password:
        if len(name) < SECRET_NAME:
            raise Rejected(
                "weak-password",
                f"the name is the password, and has less than {SECRET_NAME} characters",
                field=name,
            )
        password = name
    else:
        password = read_password("password")
        check_strength(password, name)
    user = make_user(name, hash_password(password), arguments.publish, arguments.consume)
    write_user(_settings(arguments).users, user)
    if user.shown != name:
        print(f"the relay's log calls it {user.shown!r}, for a name so long may be a password")
    return 0


def _settings(arguments: argparse.Namespace) -> RelaySettings:
    settings = load_settings(arguments.config) if arguments.config else RelaySettings()
    given = {
        name: value
        for name in ("address", "port", "metrics_port", "users")
        if (value := getattr(arguments, name, None)) is not None
    }
    if arguments.certificate or arguments.key:
        if not (arguments.certificate and arguments.key):
            raise Rejected(
                "tls-incomplete", "a certificate needs its key", remedy="name both --certificate and --key"
            )
        given["tls"] = TlsSection(certificate=arguments.certificate, key=arguments.key)
    try:
        return RelaySettings.model_validate({**dict(settings), **given})
    except ValidationError as error:
        option = "--" + str(error.errors(include_input=False)[0]["loc"][0]).replace("_", "-")
        raise Rejected(
            "option-invalid",
            "is no IP address",
            field=option,
            remedy="name one of this machine's, or 0.0.0.0 for all",
        ) from None
