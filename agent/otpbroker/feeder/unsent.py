"""What historic brokers gave and nobody has sent when a feeder ends: its next run goes on with it."""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from otpbroker.clock import Clock

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """A message that the core does not have; given up at `until`, in seconds of the monotonic clock."""

    body: bytes = field(repr=False)
    until: float


class Unsent:
    """Of all feeders by their ids, in memory alone; each for its time, whether its feeder runs again or not."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._left: dict[str, dict[Held, asyncio.TimerHandle]] = {}

    def leave(self, feeder: str, messages: Iterable[Held]) -> None:
        loop, now = asyncio.get_running_loop(), self._clock.monotonic()
        left = {held: loop.call_later(held.until - now, self._give_up, feeder, held) for held in messages}
        if left:
            self._left.setdefault(feeder, {}).update(left)
            _log.warning("feeder %s: it ended, messages that could not be sent yet: %d", feeder, len(left))

    def take(self, feeder: str) -> list[Held]:
        """What is left, oldest first; it is the caller's then."""
        left = self._left.pop(feeder, {})
        for timer in left.values():
            timer.cancel()
        return list(left)

    def _give_up(self, feeder: str, held: Held) -> None:
        left = self._left[feeder]
        del left[held]
        if not left:
            del self._left[feeder]
        _log.error("feeder %s: a message was given up, not sent: the feeder did not run again", feeder)
