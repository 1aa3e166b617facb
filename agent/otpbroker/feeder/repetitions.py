"""What one feeder did already, to know again what its broker gives a second time; in memory alone."""

import asyncio
import hashlib
import secrets
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from otpbroker.errors import OtpBrokerError, UnknownOutcome
from otpbroker.messaging.outcome import OtpVerified, Outcome, Result, Verdict

# Sealed commands are known again for so many seconds, and the last so many of them.
KEPT, MOST_KNOWN = 86_400.0, 10_000
MOST_VERIFIED = 500


class Claims(Protocol):
    """What devices on one queue know of each other's messages, each under a key that all of them compute alike."""

    async def earlier(self, key: str, *, certain: bool) -> Outcome | None:
        """What somebody told of it: SENT, or UNKNOWN for what was begun; `certain`: all that was told before now.

        Raises `Unavailable`.
        """
        ...

    async def claim(self, key: str, message_id: str) -> bool:
        """Tell that it is begun under our id; False when others may have it by now. Never raises."""
        ...

    async def settle(self, key: str, outcome: Outcome) -> None:
        """Tell how it ended. Never raises."""
        ...


class Repetitions:
    """Keys name a command of a delivery, or a delivery, the same way whenever its broker gives it."""

    def __init__(self) -> None:
        self._given_back: Counter[str] = Counter()  # deliveries that went back, certainly unsent
        self._acted: OrderedDict[str, float] = OrderedDict()  # sealed commands but messages, and when
        self._verified: OrderedDict[bytes, OtpVerified] = OrderedDict()
        self._secret = secrets.token_bytes(32)

    def connected(self) -> None:
        """What went back on an earlier connection may have expired, or somebody has it: it stands for nothing."""
        self._given_back.clear()

    def went_back(self, key: str) -> None:
        self._given_back[key] += 1
        if len(self._given_back) > MOST_KNOWN:
            del self._given_back[next(iter(self._given_back))]

    def came_back(self, key: str) -> bool:
        """Whether one like it was not sent and went back: it is that one, or stands for it."""
        if key not in self._given_back:
            return False
        self._given_back[key] -= 1
        if not self._given_back[key]:
            del self._given_back[key]
        return True

    @contextmanager
    def once(self, key: str) -> Iterator[None]:
        """Around what a sealed command does: who can't read it could give it again. Raises `UnknownOutcome`."""
        now = asyncio.get_running_loop().time()
        while self._acted and (len(self._acted) > MOST_KNOWN or next(iter(self._acted.values())) < now - KEPT):
            self._acted.popitem(last=False)
        if key in self._acted:
            raise UnknownOutcome("begun-before", "this encrypted message was carried out before")
        self._acted[key] = now
        try:
            yield
        except UnknownOutcome:
            raise
        except OtpBrokerError:  # nothing was done
            del self._acted[key]
            raise

    async def verified(self, key: str, redelivered: bool, verify: Callable[[], Awaitable[Result]]) -> Result:
        """What `verify` says of a one-time password; of one that is given again what it said the first time.

        A right code is spent and a wrong one costs a try. Raises `UnknownOutcome` for one that may have been right
        before this process began.
        """
        # The key has a digest of the code, of which there are few: by itself it would tell it.
        name = hashlib.blake2b(key.encode(), key=self._secret, digest_size=16).digest()
        if redelivered and name in self._verified:
            return self._verified[name]
        result = await verify()
        assert isinstance(result, OtpVerified)
        if redelivered and result.verdict is Verdict.INVALID and not result.tries_left:
            raise UnknownOutcome("begun-before", "it may have been verified before, and a code is right once")
        self._verified[name] = result
        self._verified.move_to_end(name)
        if len(self._verified) > MOST_VERIFIED:
            self._verified.popitem(last=False)
        return result
