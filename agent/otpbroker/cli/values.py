"""Types of command-line arguments: a wrong value is wrong usage, told with what would be right."""

import argparse
import math
import re
from urllib.parse import urlsplit

_USERNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
_LONGEST = 3600.0
_MOST_DAYS = 3660.0


def username(text: str) -> str:
    if not _USERNAME.fullmatch(text):
        raise argparse.ArgumentTypeError(
            "a user name has 1 to 64 letters, digits and . _ @ - and begins with a letter or digit"
        )
    return text


def port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > 65535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return int(text)


def seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= _LONGEST:
        raise argparse.ArgumentTypeError(f"must be a number of seconds from 0 to {_LONGEST:.0f}")
    return value


def whole_seconds(text: str) -> int:
    return int(seconds(text))


def days(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= _MOST_DAYS:
        raise argparse.ArgumentTypeError(f"must be a number of days from 0 to {_MOST_DAYS:.0f}")
    return value


def web_address(text: str) -> str:
    """The base address of a site, without a slash at its end."""
    try:
        parts = urlsplit(text)
        good = parts.scheme in {"http", "https"} and parts.hostname and text.isprintable() and " " not in text
        _ = parts.port
    except ValueError:
        good = False
    if not good:
        raise argparse.ArgumentTypeError("must be an address such as http://192.168.0.11:8888")
    return text.rstrip("/")
