"""`otpbroker set-admin-password`: the way back in for whoever has the device's console."""

import argparse

from otpbroker.cli.place import add_folders, change, read_password
from otpbroker.cli.values import username
from otpbroker.config.model import Administrator, Config
from otpbroker.errors import Rejected
from otpbroker.passwords import check_strength, hash_password


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("set-admin-password", help="set the password of an administrator")
    parser.add_argument("username", type=username)
    parser.add_argument("--create", action="store_true", help="make the administrator if there is none")
    add_folders(parser)
    parser.set_defaults(run=set_password, command="set-admin-password")


def set_password(arguments: argparse.Namespace) -> int:
    password = read_password("new password")
    check_strength(password, arguments.username)
    password_hash = hash_password(password)

    def with_password(config: Config) -> Config:
        known = {admin.username: admin for admin in config.admin.administrators}
        admin = known.get(arguments.username)
        if admin is None and not arguments.create:
            raise Rejected(
                "administrator-unknown",
                f"there is no administrator {arguments.username}",
                field="username",
                remedy="add --create to make one",
            )
        known[arguments.username] = (
            admin.model_copy(update={"password": password_hash, "active": True, "blocked": False})
            if admin
            else Administrator(username=arguments.username, password=password_hash)
        )
        administrators = {"administrators": tuple(known.values())}
        return config.model_copy(update={"admin": config.admin.model_copy(update=administrators)})

    change(arguments, with_password)
    return 0
