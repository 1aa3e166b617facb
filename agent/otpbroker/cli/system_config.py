"""`otpbroker system-config`: the configuration as the programs of the system read it."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from otpbroker.cli.place import open_store
from otpbroker.cli.process import keep_out_of_core_dumps
from otpbroker.device.access_point import radio_driver
from otpbroker.device.system_files import system_files, write_system_files
from otpbroker.errors import Unavailable
from otpbroker.folders import Folders


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("system-config", help="write the files of access point, firewall, console and SSH")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a folder in RAM, for root alone")
    parser.add_argument("--state", type=Path, metavar="DIR", help=f"(default: {Folders.default().state})")
    parser.set_defaults(run=write)


def write(arguments: argparse.Namespace) -> int:
    """Sections with mistakes keep their last good value here as everywhere, and are told."""
    keep_out_of_core_dumps()
    folders = replace(Folders.default(), **({"state": arguments.state} if arguments.state else {}))
    folders.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = open_store(folders)
    for problem in store.problems:
        print(f"otpbroker: config.yaml: {problem}", file=sys.stderr)
    files = system_files(store.config, radio_driver(store.config.access_point.interface))
    try:
        write_system_files(arguments.out, files)
    except OSError as error:
        raise Unavailable("not-saved", f"{arguments.out} can't be written: {error.strerror}") from error
    return 0
