"""`otpbroker first-boot`: make a unit of a freshly flashed card."""

import argparse
from dataclasses import replace
from pathlib import Path

from otpbroker.cli.place import open_store
from otpbroker.cli.process import keep_out_of_core_dumps, log_to_stderr
from otpbroker.device.boot_partition import BootPartition
from otpbroker.device.first_boot import FirstBoot
from otpbroker.errors import Unavailable
from otpbroker.folders import Folders
from otpbroker.sealing import Sealer, key_file


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "first-boot", help="take the boot partition's provisioning file, or make this unit's own secrets"
    )
    parser.add_argument(
        "--boot", type=Path, required=True, metavar="DIR", help="where the boot partition is mounted"
    )
    parser.add_argument("--country", metavar="CODE", help="where the radio is when nothing else says so, as ID")
    parser.add_argument("--state", type=Path, metavar="DIR", help=f"(default: {Folders.default().state})")
    parser.set_defaults(run=make)


def make(arguments: argparse.Namespace) -> int:
    log_to_stderr()
    keep_out_of_core_dumps()
    folders = replace(Folders.default(), **({"state": arguments.state} if arguments.state else {}))
    folders.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    boot = BootPartition(arguments.boot)
    sealer = Sealer(key_file(folders.key))
    first_boot = FirstBoot(boot, folders.state, open_store(folders), sealer, arguments.country)
    try:
        first_boot.run()
    except OSError as error:
        raise Unavailable(
            "boot-partition", f"the card did not take it: {error}", remedy="check the card"
        ) from error
    return 0
