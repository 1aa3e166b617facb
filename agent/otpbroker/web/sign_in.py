"""Telling an administrator from somebody who guesses."""

from collections import OrderedDict
from collections.abc import Callable

from otpbroker.clock import Clock
from otpbroker.config.model import Administrator, AdminSection
from otpbroker.errors import Denied
from otpbroker.passwords import verify_password
from otpbroker.rate import TokenBuckets, TooManyAttempts, network_of
from otpbroker.web.hashing import HashingThread

_KNOWN_PLACES = 64
_LONGEST_NAME = 65  # one more than a user name can have


class SignIn:
    """Checks user name and password, limited per address and per user name.

    The limit per user name does not count where this user logged in before: strangers who guess cannot lock
    the owner out.
    """

    def __init__(self, settings: Callable[[], AdminSection], hashing: HashingThread, clock: Clock) -> None:
        self._settings = settings
        self._hashing = hashing
        self._by_address = TokenBuckets(capacity=8, refill=1 / 15, clock=clock.monotonic)
        self._by_username = TokenBuckets(capacity=20, refill=1 / 30, clock=clock.monotonic)
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def check(self, username: str, password: str, address: str) -> Administrator:
        """The administrator; else `Denied`, alike for an unknown name, a wrong password and a blocked account.

        `TooManyAttempts` before any password is looked at, `Unavailable` when the device is flooded.
        """
        username = username[:_LONGEST_NAME]
        place = network_of(address)
        self._take(username, place)
        administrators = self._settings().administrators
        administrator = next((found for found in administrators if found.username == username), None)
        # A name that is not there costs one verification too: the time of the answer tells nothing.
        decoy = administrators[0] if administrators else None
        matches = await self._matches(administrator or decoy, password)
        if administrator is None or not matches or not administrator.active or administrator.blocked:
            raise Denied("wrong-credentials", "user name or password is wrong")
        self._by_address.give_back(place)
        self._by_username.give_back(username)
        self._known[username, place] = None
        self._known.move_to_end((username, place))
        if len(self._known) > _KNOWN_PLACES:
            self._known.popitem(last=False)
        return administrator

    def _take(self, username: str, place: str) -> None:
        wait = self._by_address.take(place)
        if not wait and (username, place) not in self._known:
            wait = self._by_username.take(username)
        if wait:
            raise TooManyAttempts(wait)

    async def _matches(self, administrator: Administrator | None, password: str) -> bool:
        if administrator is None:
            return False
        return await self._hashing.run(verify_password, administrator.password, password)
