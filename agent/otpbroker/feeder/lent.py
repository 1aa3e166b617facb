"""A message of our relay while it is here: each of its commands ends for itself, the relay hears of them as one."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

from otpbroker.clock import Clock
from otpbroker.feeder.delivery import Delivery, Handled, Verdict
from otpbroker.messaging.wire import broker_frames as frames
from otpbroker.modem.backoff import Backoff

Handle = Callable[[Delivery, Callable[[str], None]], Awaitable[Handled]]

_WORST_FIRST = (Verdict.NOT_NOW, Verdict.UNKNOWN, Verdict.REFUSED, Verdict.DONE)


class Lent:
    """`handle` brings a command to its end, `withdraw` gives one up by our id that no modem has yet."""

    def __init__(
        self, delivered: frames.Deliver, handle: Handle, withdraw: Callable[[str], None], clock: Clock
    ) -> None:
        octets = delivered.body.encode()
        self._deliveries = [
            Delivery(body, f"{delivered.id}.{place}", delivered.expires_at, redelivered=delivered.attempt > 1)
            for place, body in enumerate(frames.items(octets, frames.peek(octets)))
        ]
        self._id = delivered.id
        self._expires_at = math.inf if delivered.expires_at is None else delivered.expires_at
        self._handle = handle
        self._withdraw = withdraw
        self._clock = clock
        self._begun: set[str] = set()
        self._ends: dict[int, Handled] = {}  # of the commands that have one, by their places
        self._given_up = asyncio.Event()

    @property
    def begun(self) -> bool:
        """Whether a command ended: given to another device with all the others it would go twice."""
        return bool(self._ends)

    def give_up(self) -> None:
        """What no modem has yet is not to be sent here."""
        self._given_up.set()
        for message_id in self._begun:
            self._withdraw(message_id)

    async def carry_out(self, pause: Backoff, hold: float) -> list[Handled]:
        """What became of each command.

        As long as none could be all come back as NOT_NOW. Once some have ended the others are tried again here,
        until the message expires, for `hold` seconds at most.
        """
        until = min(self._expires_at, self._clock.now() + hold)
        while True:
            left = [place for place in range(len(self._deliveries)) if place not in self._ends]
            results = await asyncio.gather(*(self._carry_out(place) for place in left))
            now = dict(zip(left, results, strict=True))
            if len(self._ends) == len(self._deliveries) or not self._ends:
                break
            remaining = until - self._clock.now()
            if remaining <= 0:
                self._ends = {place: self._refused(one) for place, one in now.items()} | self._ends
                break
            with suppress(TimeoutError):
                async with asyncio.timeout(min(pause.next(), remaining)):
                    await self._given_up.wait()
            if self._given_up.is_set():
                break
        return [self._ends.get(place) or now[place] for place in range(len(self._deliveries))]

    def settlement(self, handled: list[Handled]) -> frames.Settle:
        """What the relay is told of them."""
        worst = min(handled, key=lambda one: _WORST_FIRST.index(one.verdict))
        if worst.verdict is Verdict.NOT_NOW and self.begun:
            return self.partly()
        return frames.Settle(id=self._id, verdict=frames.Settlement(worst.verdict.value), reason=worst.reason[:64])

    def partly(self) -> frames.Settle:
        """The relay must not give it to others: they would send again what was sent here."""
        return frames.Settle(id=self._id, verdict=frames.Settlement.UNKNOWN, reason="partly-sent")

    async def _carry_out(self, place: int) -> Handled:
        handled = await self._handle(self._deliveries[place], self._began)
        if handled.verdict is not Verdict.NOT_NOW:
            self._ends[place] = handled
        return handled

    def _began(self, message_id: str) -> None:
        self._begun.add(message_id)
        if self._given_up.is_set():
            self._withdraw(message_id)

    def _refused(self, handled: Handled) -> Handled:
        late = self._clock.now() >= self._expires_at
        return replace(handled, verdict=Verdict.REFUSED, reason="expired" if late else handled.reason)
