"""Who may publish to the relay and consume from it: a YAML file with argon2id hashes."""

import hashlib
import os
import stat
from pathlib import Path
from threading import Lock
from typing import Annotated

import yaml
from pydantic import Field, ValidationError, ValidationInfo, field_validator

from otpbroker.config.document import parse
from otpbroker.config.model import ApiUser
from otpbroker.config.section import Section
from otpbroker.errors import Misconfigured, Rejected
from otpbroker.files import replace_file

SECRET_NAME = 24  # characters, at least, of a user name that is its own password

_HEADER = "# Users of the relay; otpbroker relay add-user writes it, and a running relay reads it again.\n"

# Of a file: its node, when its content or rights changed last, and the error of who looks at it.
_Version = tuple[int, int, int]

Pattern = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f*]*\*?$")]


class RelayUser(ApiUser):
    """A server or a device; channels are named whole, or by their beginning with `*` at the end.

    Nobody both publishes to a channel and consumes it: a publisher of a topic broker is connected to the topic
    like its consumers, and would be given what is meant for them.
    """

    publish: tuple[Pattern, ...] = ()
    consume: tuple[Pattern, ...] = ()

    @field_validator("consume")
    @classmethod
    def _other_than_published(cls, consume: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        published = info.data.get("publish", ())
        for pattern in consume:
            if any(_overlap(pattern, other) for other in published):
                raise ValueError(f"{pattern} is published by the same user: make two users")
        return consume

    @property
    def shown(self) -> str:
        """For the log: a name that is long enough to be its own password is not written there."""
        if len(self.username) < SECRET_NAME:
            return self.username
        return f"user {hashlib.blake2b(self.username.encode(), digest_size=4).hexdigest()}"

    def may_publish(self, channel: str) -> bool:
        return any(_fits(channel, pattern) for pattern in self.publish)

    def may_consume(self, channel: str) -> bool:
        return any(_fits(channel, pattern) for pattern in self.consume)


class _UsersFile(Section):
    users: tuple[RelayUser, ...] = ()

    @field_validator("users")
    @classmethod
    def _are_unique(cls, users: tuple[RelayUser, ...]) -> tuple[RelayUser, ...]:
        if len({user.username for user in users}) < len(users):
            raise ValueError("a user is there twice")
        return users


class Users:
    """The users in a file. What can't be read leaves those that are known."""

    def __init__(self, path: Path) -> None:
        """Raises `Misconfigured`."""
        self._path = path
        self._reading = Lock()
        self._version: _Version | None = None  # of those who are known
        self._unusable: _Version | None = None  # told already
        self._known: tuple[RelayUser, ...] = ()
        self.refresh()

    def __call__(self) -> tuple[RelayUser, ...]:
        return self._known

    def named(self, username: str) -> RelayUser | None:
        return next((user for user in self._known if user.username == username), None)

    def refresh(self, *, again: bool = False) -> bool:
        """Read the file again if it changed; one that could not be used, if it changed or on demand (`again`).

        True: it was read. Blocks; raises `Misconfigured` and changes nothing then.
        """
        with self._reading:
            version = _version(self._path)
            if version == self._version or (version == self._unusable and not again):
                return False
            self._unusable = version
            self._known = read_users(self._path)
            self._version, self._unusable = version, None
            return True


def read_users(path: Path) -> tuple[RelayUser, ...]:
    """Raises `Misconfigured` that names the place at fault; no file: no users."""
    try:
        return _UsersFile.model_validate(parse(path.read_text("utf-8"))).users
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise Misconfigured(
            "users-unreadable",
            f"can't be read: {error.strerror}",
            field=str(path),
            remedy="let the relay's user read it",
        ) from None
    except UnicodeDecodeError:
        raise Misconfigured("users-unreadable", "is no UTF-8 text", field=str(path)) from None
    except Misconfigured as error:
        raise Misconfigured(error.code, error.detail, field=str(path)) from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        detail = first["msg"].removeprefix("Value error, ")
        raise Misconfigured("users-invalid", f"{place}: {detail}", field=str(path)) from None


def make_user(username: str, password_hash: str, publish: list[str], consume: list[str]) -> RelayUser:
    """Raises `Rejected` for channels that don't go together."""
    entry = {"username": username, "password": password_hash, "publish": publish, "consume": consume}
    try:
        return RelayUser.model_validate(entry)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise Rejected("user-invalid", first["msg"].removeprefix("Value error, "), field=place) from None


def write_user(path: Path, user: RelayUser) -> None:
    """Add a user or replace the one with this name; who could read the file still can.

    Root's first user makes a file that the group of its folder reads if it reads the folder: the relay is in it.
    """
    users = {known.username: known for known in read_users(path)} | {user.username: user}
    entries = [one.model_dump(mode="json", exclude_defaults=True) for one in users.values()]
    text = _HEADER + yaml.safe_dump({"users": entries}, sort_keys=False, allow_unicode=True)
    shared = os.geteuid() == 0 and path.parent.stat().st_mode & stat.S_IRGRP
    replace_file(path, text, mode=0o640 if shared else 0o600, keep_access=True)


def _version(path: Path) -> _Version:
    try:
        state = path.stat()
    except OSError as error:
        return (0, 0, error.errno or 0)
    return (state.st_ino, state.st_ctime_ns, 0)


def _fits(channel: str, pattern: str) -> bool:
    return channel.startswith(pattern[:-1]) if pattern.endswith("*") else channel == pattern


def _overlap(one: str, other: str) -> bool:
    return _fits(one.removesuffix("*"), other) or _fits(other.removesuffix("*"), one)
