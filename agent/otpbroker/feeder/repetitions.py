"""What one feeder did already, to know again what its broker gives a second time; in memory alone."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from otpbroker.errors import OtpBrokerError, UnknownOutcome
from otpbroker.messaging.outcome import Outcome

# Sealed commands are known again for so many seconds, and the last so many of them.
KEPT, MOST_KNOWN = 86_400.0, 10_000


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
