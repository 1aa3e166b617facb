"""`otpbroker add-api-user`: an application server's account."""

import argparse
import secrets

from otpbroker.cli.place import add_folders, change, read_password
from otpbroker.cli.values import username
from otpbroker.config.model import ApiUser, Config
from otpbroker.errors import Rejected
from otpbroker.passwords import check_strength, hash_password


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "add-api-user", help="add an application server's account, or give it a new password or rights"
    )
    parser.add_argument("username", type=username)
    parser.add_argument(
        "--right",
        action="append",
        choices=("ussd", "inbox", "feeders"),
        default=[],
        help="what it may do beyond sending; can be given more than once, is added to what it has",
    )
    password = parser.add_mutually_exclusive_group()
    password.add_argument("--generate", action="store_true", help="make a password and print it once")
    password.add_argument("--keep-password", action="store_true", help="of an account that is there")
    add_folders(parser)
    parser.set_defaults(run=add, command="add-api-user")


def add(arguments: argparse.Namespace) -> int:
    name = arguments.username
    password = None if arguments.keep_password else _password(arguments)
    hashed = None if password is None else hash_password(password)

    def with_user(config: Config) -> Config:
        users = {known.username: known for known in config.api.users}
        known = users.get(name)
        if known is not None:
            rights = tuple(dict.fromkeys((*known.rights, *arguments.right)))
            users[name] = known.model_copy(update={"password": hashed or known.password, "rights": rights})
        elif hashed is not None:
            users[name] = ApiUser(username=name, password=hashed, rights=arguments.right)
        else:
            raise Rejected("user-unknown", f"there is no API user {name}", remedy="leave --keep-password out")
        return config.model_copy(update={"api": config.api.model_copy(update={"users": tuple(users.values())})})

    change(arguments, with_user)
    if arguments.generate:
        print(password)
    return 0


def _password(arguments: argparse.Namespace) -> str:
    password = secrets.token_urlsafe(24) if arguments.generate else read_password("password")
    check_strength(password, arguments.username)
    return password
