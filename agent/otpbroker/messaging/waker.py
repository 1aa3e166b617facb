"""Timers for modems that their limits hold back: each is looked at when it is free again, and not before."""

import asyncio
import math
from collections.abc import Callable, Iterable

from otpbroker.clock import Clock
from otpbroker.messaging.limits import Allowances

# Nobody tells when the clock is set, so a wait for midnight looks at it now and then.
LOOK_AGAIN = 600.0


class Waker:
    """`wake` gets the id of a modem that may be free now, `held_back` of one that is held back now, or no more."""

    def __init__(
        self, limits: Allowances, clock: Clock, wake: Callable[[str], None], held_back: Callable[[str], None]
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._wake = wake
        self._held_back = held_back
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._told: dict[str, str] = {}  # the codes that were told last

    def watch(self, modem_id: str, sizes: Iterable[int]) -> None:
        """Wake it when it may take a message of one of these sizes (parts), or any message at all."""
        if (timer := self._timers.pop(modem_id, None)) is not None:
            timer.cancel()
        now = self._clock.monotonic()
        frees = (self._limits.earliest(modem_id, parts) for parts in {1, *sizes})
        soonest = min((free for free in frees if free > now), default=math.inf)
        if soonest < math.inf:
            delay = min(soonest - now, LOOK_AGAIN)
            self._timers[modem_id] = asyncio.get_running_loop().call_later(delay, self._wake, modem_id)
        held_back = self._limits.held_back(modem_id)
        code = "" if held_back is None else held_back.code
        told = self._told.pop(modem_id, "")
        if code:
            self._told[modem_id] = code
        if code != told:
            self._held_back(modem_id)

    def watch_all(self, sizes: Iterable[int]) -> None:
        """All that have limits, or had them."""
        sizes = set(sizes)
        for modem_id in {*self._told, *self._limits.limited}:
            self.watch(modem_id, sizes)

    def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
