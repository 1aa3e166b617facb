"""The messages of a historic broker while they are here: there is nobody to give one back to."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from otpbroker.clock import Clock
from otpbroker.feeder.delivery import Delivery, Handled, Verdict
from otpbroker.feeder.patience import Patience
from otpbroker.feeder.unsent import Held, Unsent
from otpbroker.modem.backoff import Backoff

_log = logging.getLogger(__name__)

MOST_HELD = 256  # commands under way; then the broker is not read from


class Holding:
    """`handle` brings one to its end or says that it can't be now, `answer` tells who asked for it by callback."""

    def __init__(
        self,
        feeder: str,
        handle: Callable[[Delivery], Awaitable[Handled]],
        answer: Callable[[Handled], Awaitable[None]],
        unsent: Unsent,
        patience: Patience,
        clock: Clock,
    ) -> None:
        self._feeder = feeder
        self._handle = handle
        self._answer = answer
        self._unsent = unsent
        self._patience = patience
        self._clock = clock
        self._under_way = 0
        self._waiting: dict[Held, None] = {}  # those that the core does not have
        self._room = asyncio.Event()

    @property
    def full(self) -> bool:
        return self._under_way >= MOST_HELD

    async def have_room(self) -> None:
        while self.full:
            self._room.clear()
            await self._room.wait()

    def resume(self, work: asyncio.TaskGroup) -> None:
        """Go on with what the run before left."""
        for held in self._unsent.take(self._feeder):
            self._start(held, work)

    def take(self, body: bytes, work: asyncio.TaskGroup) -> None:
        self._start(Held(body, self._clock.monotonic() + self._patience.hold), work)

    def leave(self) -> None:
        """When the tasks in `work` are over: what the core does not have is for the next run."""
        self._unsent.leave(self._feeder, sorted(self._waiting, key=lambda held: held.until))
        self._waiting.clear()

    def _start(self, held: Held, work: asyncio.TaskGroup) -> None:
        self._under_way += 1
        self._waiting[held] = None  # a task that is cancelled before its first step does nothing
        work.create_task(self._hold(held))

    async def _hold(self, held: Held) -> None:
        pause = Backoff(self._patience.again, self._patience.again_most)
        try:
            while True:
                del self._waiting[held]
                handled = await self._handle(Delivery(held.body))
                if handled.verdict is not Verdict.NOT_NOW:
                    break
                if self._clock.monotonic() >= held.until:
                    _log.error("feeder %s: a message was given up, not sent: %s", self._feeder, handled.reason)
                    break
                self._waiting[held] = None
                await asyncio.sleep(pause.next())
        finally:
            self._under_way -= 1
            self._room.set()
        await self._answer(handled)
