"""`otpbroker setup-url`: the address, with QR code, for creating the first administrator."""

import argparse

import segno

from otpbroker.cli.place import add_folders, folders_of, open_store
from otpbroker.cli.values import web_address
from otpbroker.errors import Rejected
from otpbroker.web.setup_code import SetupCode, setup_url


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "setup-url", help="print a new one-time address for creating the first administrator"
    )
    parser.add_argument(
        "--base", type=web_address, metavar="URL", help="address of the admin site as seen by the reader's browser"
    )
    add_folders(parser)
    parser.set_defaults(run=print_url)


def print_url(arguments: argparse.Namespace) -> int:
    folders = folders_of(arguments)
    config = open_store(folders).config
    if config.admin.administrators:
        raise Rejected(
            "administrator-exists", "there is an administrator", remedy="use: otpbroker set-admin-password NAME"
        )
    base = arguments.base or f"http://{config.admin.listen.address}:{config.admin.listen.port}"
    url = setup_url(base, SetupCode(folders.state / "setup-code").ensure())
    print(url)
    segno.make(url, error="m").terminal(compact=True)
    return 0
