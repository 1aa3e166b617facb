"""Options that several commands share: where the agent keeps its things."""

import argparse
import asyncio
import getpass
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from otpbroker.config.model import Config
from otpbroker.config.store import Store
from otpbroker.errors import Rejected
from otpbroker.folders import Folders
from otpbroker.sealing import Sealer, key_file


def add_folders(parser: argparse.ArgumentParser) -> None:
    defaults = Folders.default()
    for name, meaning in (
        ("state", "settings and lists"),
        ("runtime", "the journal; must be in RAM"),
        ("log", "the reports"),
    ):
        default = getattr(defaults, name)
        parser.add_argument(f"--{name}", type=Path, metavar="DIR", help=f"{meaning} (default: {default})")


def folders_of(arguments: argparse.Namespace) -> Folders:
    """The folders that the options name; those which are missing are made."""
    names = ("state", "runtime", "log")
    given = {name: folder for name in names if (folder := getattr(arguments, name, None))}
    folders = replace(Folders.default(), **given)
    folders.make()
    return folders


def open_store(folders: Folders) -> Store:
    return Store(folders.config, Sealer(key_file(folders.key)))


def change(arguments: argparse.Namespace, make: Callable[[Config], Config]) -> None:
    """Write a changed configuration from the command line."""
    folders = replace(Folders.default(), **({"state": arguments.state} if arguments.state else {}))
    folders.make_state()
    asyncio.run(open_store(folders).update(make, by=f"otpbroker {arguments.command}"))
    print(
        "written; a running agent takes it up at SIGHUP, as a service with: systemctl reload otpbroker",
        file=sys.stderr,
    )


def read_password(question: str) -> str:
    """From the terminal without echo, twice; or the first line of standard input. Never from the arguments."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    password = getpass.getpass(f"{question}: ")
    if getpass.getpass(f"{question} again: ") != password:
        raise Rejected("passwords-differ", "the two passwords are not the same")
    return password
