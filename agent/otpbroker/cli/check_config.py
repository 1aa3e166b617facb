"""`otpbroker check-config`: every mistake of a document at once."""

import argparse
import sys
from pathlib import Path

from otpbroker.cli.place import add_folders
from otpbroker.config.document import load, salvage
from otpbroker.errors import Misconfigured
from otpbroker.folders import Folders
from otpbroker.sealing import Sealer


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("check-config", help="say what is wrong in a config.yaml")
    parser.add_argument("file", type=Path, nargs="?", help="default: the one in the state folder")
    add_folders(parser)
    parser.set_defaults(run=check)


def check(arguments: argparse.Namespace) -> int:
    folders = Folders.default()
    state = arguments.state or folders.state
    path = arguments.file or state / "config.yaml"
    try:
        document = load(path)
    except FileNotFoundError:
        raise Misconfigured("config-unreadable", "is not there", field=str(path)) from None
    except Misconfigured as error:
        raise Misconfigured(error.code, error.detail, field=str(path)) from None
    key = Folders(state, folders.runtime, folders.log).key
    # Without the device's key its sealed secrets can't be opened; a document without any needs none.
    sealer = Sealer(key.read_bytes() if key.exists() else bytes(32))
    config, problems = salvage(document, sealer, None)
    for problem in problems:
        print(f"{path}: {problem}", file=sys.stderr)
    if problems:
        return 1
    active = sum(modem.active for modem in config.modems)
    print(f"{path}: good; {active} active modems, {len(config.api.users)} API users")
    return 0
