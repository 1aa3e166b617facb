"""Who may call the REST API: HTTP Basic authentication (RFC 7617) of the configured API users."""

import asyncio
import base64
import binascii
import hashlib
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from otpbroker.config.model import ApiUser
from otpbroker.errors import Denied
from otpbroker.passwords import verify_nobody, verify_password
from otpbroker.rate import TokenBuckets, TooManyAttempts, network_of
from otpbroker.web.hashing import HashingThread

_log = logging.getLogger(__name__)

CHALLENGE = 'Basic realm="otpbroker", charset="UTF-8"'

_REMEMBERED = 256  # credentials; a device serves a handful of application servers
_LONGEST_NAME = 65  # one more than a user name can have


class Unauthenticated(Denied):
    """No credentials, or wrong ones; which of them is not told."""

    def __init__(self) -> None:
        super().__init__(
            "unauthenticated",
            "user name or password is missing or wrong",
            remedy="send HTTP Basic credentials of an active API user",
        )


@dataclass(frozen=True, slots=True)
class _Credentials:
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Verified:
    """What was found right: this user with this password hash."""

    username: str
    password_hash: str


class Access:
    """Checks credentials; what was right before costs microseconds until the user's entry changes.

    Failures are limited per address and per user. Neither locks a user out: right credentials that are known
    pass whatever others do, and an address without failures of its own is heard even while a user is under
    attack from others.
    """

    def __init__(
        self,
        users: Callable[[], tuple[ApiUser, ...]],
        hashing: HashingThread,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._users = users
        self._hashing = hashing
        self._by_address = TokenBuckets(capacity=10, refill=1 / 10, clock=clock)
        self._by_user = TokenBuckets(capacity=30, refill=1 / 5, clock=clock)
        self._key = secrets.token_bytes(32)
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()
        self._running: dict[bytes, asyncio.Task[bool]] = {}
        self._indexed: tuple[ApiUser, ...] = ()
        self._index: dict[str, ApiUser] = {}

    async def authenticate(self, authorization: str | None, address: str) -> str:
        """The name of the user whom an `Authorization` header proves; `address` is the peer's.

        Raises `Unauthenticated`, `TooManyAttempts` before a password is looked at, or `Unavailable` in a flood.
        """
        if not authorization:
            raise Unauthenticated
        digest = hashlib.blake2b(authorization.encode(), key=self._key, digest_size=32).digest()
        known = self._verified.get(digest)
        if known is not None:
            user = self._user(known.username)
            if user is not None and user.password == known.password_hash and _may_enter(user):
                self._verified.move_to_end(digest)
                return known.username
            del self._verified[digest]
        credentials = _decode(authorization)
        if credentials is None:
            raise Unauthenticated
        running = self._running.get(digest)
        if running is None:
            # One check serves all requests that come with the same credentials meanwhile, even if the first
            # of them goes away.
            running = asyncio.create_task(self._check(digest, credentials, network_of(address)))
            self._running[digest] = running
            running.add_done_callback(lambda _: self._running.pop(digest, None))
        if not await asyncio.shield(running):
            raise Unauthenticated
        return credentials.username

    def rights(self, username: str) -> frozenset[str]:
        """What this user may beyond messages."""
        user = self._user(username)
        return frozenset(user.rights) if user is not None else frozenset()

    async def _check(self, digest: bytes, credentials: _Credentials, place: str) -> bool:
        name = credentials.username[:_LONGEST_NAME]
        self._take(name, place)
        user = self._user(credentials.username)
        stored = user.password if user is not None else ""
        if user is None:
            matches = await self._hashing.run(verify_nobody, credentials.password)
        else:
            matches = await self._hashing.run(verify_password, stored, credentials.password)
        if user is None or not matches or not _may_enter(user):
            _log.warning("wrong API credentials from %s", place)
            return False
        self._by_address.give_back(place)
        self._by_user.give_back(name)
        self._verified[digest] = _Verified(user.username, stored)
        if len(self._verified) > _REMEMBERED:
            self._verified.popitem(last=False)
        return True

    def _take(self, name: str, place: str) -> None:
        """Pay for one attempt before it is made, so that many at once pay too."""
        blameless = self._by_address.full(place)
        if wait := self._by_address.take(place):
            raise TooManyAttempts(wait)
        if (wait := self._by_user.take(name)) and not blameless:
            raise TooManyAttempts(wait)

    def _user(self, username: str) -> ApiUser | None:
        users = self._users()
        if users is not self._indexed:
            self._index = {user.username: user for user in users}
            self._indexed = users
        return self._index.get(username)


def _may_enter(user: ApiUser) -> bool:
    return user.active and not user.blocked


def _decode(authorization: str) -> _Credentials | None:
    """User name and password of a Basic header; the password is all that follows the first colon."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    username, colon, password = decoded.partition(":")
    return _Credentials(username, password) if colon and username else None
