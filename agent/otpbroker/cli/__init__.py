"""The command line: one module per command, and only the one that runs is imported."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from otpbroker import __version__
from otpbroker.errors import OtpBrokerError

COMMANDS = {
    "run": "run the agent",
    "demo": "run the agent with two simulated modems, for a first look",
    "check-config": "say what is wrong in a config.yaml",
    "modems": "list what is plugged in and could be a modem",
    "send": "send a message through a running agent; the text is read from standard input",
    "ussd": "run a USSD code on a modem through a running agent",
    "setup-url": "print a new one-time address for creating the first administrator",
    "set-admin-password": "set the password of an administrator",
    "add-api-user": "add an application server's account, or give it a new password",
    "feeder-key": "show or replace the key that messages are sealed to",
    "relay": "run a broker of our own, for a server that devices and applications both reach",
    "new-unit": "make one unit's secrets: provisioning file and brochure",
    "first-boot": "take the boot partition's provisioning file, or make this unit's own secrets",
    "system-config": "write the files of access point, firewall, console and SSH",
    "rabbitmq": "prepare a RabbitMQ broker for several devices",
    "usb-power": "reset a modem's USB device, or switch its port; one line is read from standard input",
    "simulate-modem": "run simulated GSM modems and the phone that receives",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Exit codes: 0 done, 1 it failed and said why, 2 wrong usage."""
    try:
        arguments = _parsed(sys.argv[1:] if argv is None else list(argv))
        return int(arguments.run(arguments))
    except OtpBrokerError as error:
        print(f"otpbroker: {error}", file=sys.stderr)
        return 1
    except EOFError:
        print("otpbroker: a password was asked for, and there was none on standard input", file=sys.stderr)
        return 1
    except OSError as error:  # a disk that is full or read-only, a file of somebody else's
        place = f"{error.filename}: " if error.filename else ""
        print(f"otpbroker: {place}{error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parsed(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="otpbroker", description="Sends one-time passwords by SMS.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    chosen = next((word for word in words if not word.startswith("-")), None)
    for name, summary in COMMANDS.items():
        if name == chosen:
            module = import_module(f"otpbroker.cli.{name.replace('-', '_')}")
            module.add_parser(commands)
        else:
            commands.add_parser(name, help=summary)
    return parser.parse_args(words)
