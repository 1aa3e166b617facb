"""`otpbroker add-api-user`: an application server's account."""

import argparse
import secrets

from otpbroker.cli.place import add_folders, change, read_password
from otpbroker.cli.values import username
from otpbroker.config.model import ApiUser, Config
from otpbroker.passwords import check_strength, hash_password


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "add-api-user", help="add an application server's account, or give it a new password"
    )
    parser.add_argument("username", type=username)
    parser.add_argument(
        "--right",
        action="append",
        choices=("ussd", "inbox"),
        default=[],
        help="what it may do beyond sending; can be given more than once, is added to what it has",
    )
    parser.add_argument("--generate", action="store_true", help="make a password and print it once")
    add_folders(parser)
    parser.set_defaults(run=add, command="add-api-user")


def add(arguments: argparse.Namespace) -> int:
    password = secrets.token_urlsafe(24) if arguments.generate else read_password("password")
    check_strength(password, arguments.username)
    user = ApiUser(username=arguments.username, password=hash_password(password), rights=arguments.right)

    def with_user(config: Config) -> Config:
        old = {known.username: known for known in config.api.users}
        if known := old.get(user.username):
            rights = tuple(dict.fromkeys((*known.rights, *user.rights)))
            old[user.username] = known.model_copy(update={"password": user.password, "rights": rights})
        else:
            old[user.username] = user
        return config.model_copy(update={"api": config.api.model_copy(update={"users": tuple(old.values())})})

    change(arguments, with_user)
    if arguments.generate:
        print(password)
    return 0
