"""The work on one connection: takes messages, hands them in, and tells the broker how each ended."""

import asyncio
import hashlib
import logging
import math
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from otpbroker.clock import Clock
from otpbroker.config.feeder_rabbitmq import RabbitmqFeeder
from otpbroker.errors import OtpBrokerError, Unavailable
from otpbroker.events import Bus, ModemChanged, ModemGone, Overrun
from otpbroker.feeder.amqp import Broker, Channel, Received
from otpbroker.feeder.capacity import Capacity
from otpbroker.feeder.claims import StreamClaims
from otpbroker.feeder.delivery import OF_ITS_MODEMS, Delivery, Handled, Verdict
from otpbroker.feeder.intake import Intake
from otpbroker.feeder.outbound import Grave, Outbound
from otpbroker.feeder.prefetch import Prefetch
from otpbroker.feeder.status_events import StatusEvents
from otpbroker.modem.backoff import Backoff

_log = logging.getLogger(__name__)

POISON = 3  # times that a delivery breaks us before it is refused
DRAIN_LIMIT = 8.0  # seconds for what is in the air when the feeder is stopped
# Seconds until another device may try what can't be taken now though modems are ready for others.
_AT_FIRST, _AGAIN, _AGAIN_MOST = 1.0, 30.0, 300.0
_LATEST = 32503680000  # the year 3000; a timestamp in milliseconds lies beyond


class Shift:
    """One connection's share of a `RabbitmqConsumer`; `run` ends by raising why the connection ended."""

    def __init__(
        self,
        section: RabbitmqFeeder,
        intake: Intake,
        broker: Broker,
        channel: Channel,
        claims: StreamClaims | None,
        status: StatusEvents,
        *,
        capacity: Callable[[], Capacity],
        bus: Bus,
        clock: Clock,
        poison: Counter[str],
        device: str,
        problem: Callable[[str, str], None],
        steady: float,
        no_modem: float,
    ) -> None:
        self._section = section
        self._intake = intake
        self._broker = broker
        self._channel = channel
        self._claims = claims
        self._status = status
        self._bus = bus
        self._clock = clock
        self._poison = poison
        self._problem = problem
        self._prefetch = Prefetch(section.prefetch, capacity, problem, steady=steady, no_modem=no_modem)
        self._outbound = Outbound(section, broker, clock, device=device, problem=problem)
        self._handlers: set[asyncio.Task[None]] = set()
        self._ours: set[str] = set()  # our ids of the messages that are not final
        self._consumer: str | None = None
        self._draining = asyncio.Event()
        self._pause = Backoff(1.0, 30.0)

    async def run(self) -> None:
        self._intake.connected()
        parts = [
            asyncio.create_task(part)
            for part in (self._prefetch.follow(self._take), self._watch_modems(), self._tell_states())
        ]
        following, watching, _ = parts
        ends: list[asyncio.Future[Any]] = [self._broker.closed, self._channel.closed]
        if self._claims is not None:
            ends.append(self._claims.closed)
        try:
            await asyncio.wait([*ends, following, watching], return_when=asyncio.FIRST_COMPLETED)
            for end in ends:
                if end.done():  # whatever it was, all was well before: a new connection shows whether it is again
                    reason: OtpBrokerError = end.result()
                    raise Unavailable("broker-lost", reason.detail)
            for part in (following, watching):
                if part.done():
                    part.result()
        except asyncio.CancelledError:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await self._drain()
            raise
        finally:
            for task in (*parts, *self._handlers):
                task.cancel()
            await asyncio.gather(*parts, *self._handlers, return_exceptions=True)
            await self._outbound.close()

    async def _tell_states(self) -> None:
        while True:
            try:
                return await self._status.run(self._broker)
            except Exception as error:  # noqa: BLE001 # a defect of ours; messages go on
                self._log_defect(error, "telling a state")
                self._problem("status", "status events are not taken")
                await asyncio.sleep(1.0)

    async def _watch_modems(self) -> None:
        with self._bus.subscribe(limit=16) as subscription:
            self._prefetch.look()
            async for event in subscription:
                if isinstance(event, ModemChanged | ModemGone | Overrun):
                    self._prefetch.look()
        await asyncio.Event().wait()  # the agent ends

    async def _take(self, wanted: int) -> None:
        # A consumer keeps the limit that it began with, so another limit takes another consumer. What the old one
        # got does not count for the new one: what waits of it goes back, or each change would add to what is held.
        if self._consumer is not None:
            await self._channel.cancel(self._consumer)
            self._consumer = None
        self._give_up_waiting()
        if wanted:
            self._consumer = await self._channel.consume(self._section.queue, self._received, prefetch=wanted)

    def _give_up_waiting(self) -> None:
        """What waits for a modem may be sent by another device."""
        for message_id in list(self._ours):
            self._intake.withdraw(message_id)

    async def _drain(self) -> None:
        """Take nothing more; what waits goes back to the broker, what is in the air may end."""
        self._draining.set()
        if self._channel.closed.done():
            return
        if self._consumer is not None:
            cancelled = asyncio.ensure_future(self._channel.cancel(self._consumer))
            await asyncio.wait({cancelled}, timeout=1.0)
            cancelled.cancel()
            await asyncio.gather(cancelled, return_exceptions=True)
        self._give_up_waiting()
        self._outbound.hurry()
        if self._handlers:
            await asyncio.wait(self._handlers, timeout=DRAIN_LIMIT)
        if later := self._outbound.later:
            await asyncio.wait(later, timeout=1.0)

    def _received(self, received: Received) -> None:
        if self._draining.is_set():
            self._channel.give_back(received.tag)
            return
        task = asyncio.create_task(self._handle(received))
        self._handlers.add(task)
        task.add_done_callback(self._handlers.discard)

    async def _handle(self, received: Received) -> None:
        properties = received.properties
        ours: list[str] = []

        def began(message_id: str) -> None:
            ours.append(message_id)
            self._ours.add(message_id)
            self._status.began(message_id, properties.message_id)
            if self._draining.is_set() or not self._prefetch.taking:
                self._intake.withdraw(message_id)

        try:
            delivery = _delivery(received, self._clock.now())
            handled = await self._intake.handle(
                delivery, claims=self._claims, began=began, beside=self._prefetch.beside
            )
        except Exception as error:  # noqa: BLE001 # a defect of ours must not stop the others
            handled = self._broken(received, error)
        finally:
            self._ours.difference_update(ours)
        try:
            await self._conclude(received, handled)
        except Exception as error:  # noqa: BLE001 # as above
            if self._broken(received, error).verdict is Verdict.NOT_NOW:
                await self._rest(self._pause.next())
                self._channel.give_back(received.tag)
            elif handled.verdict is Verdict.DONE:
                self._channel.ack(received.tag)
            else:
                self._channel.reject(received.tag)

    def _broken(self, received: Received, error: Exception) -> Handled:
        digest = hashlib.sha256(received.body).hexdigest()
        self._poison[digest] += 1
        self._log_defect(error, "handling a message")
        if self._poison[digest] < POISON:
            return Handled(Verdict.NOT_NOW, "internal-error")
        del self._poison[digest]
        return Handled(Verdict.REFUSED, "poison")

    def _log_defect(self, error: Exception, doing: str) -> None:
        # Its words stay out of the log: they may hold a part of the message.
        where = "".join(traceback.format_tb(error.__traceback__))
        _log.error("feeder %s: %s while %s\n%s", self._section.id, type(error).__name__, doing, where)

    async def _conclude(self, received: Received, handled: Handled) -> None:
        """Answer who asked for it, then tell the broker."""
        if handled.verdict is Verdict.NOT_NOW:
            if handled.reason in OF_ITS_MODEMS:
                with self._prefetch.beside():
                    await self._rest(until_again(received))
            elif handled.reason != "returned":
                await self._rest(self._pause.next())
            self._channel.give_back(received.tag)
            return
        dead = handled.verdict is Verdict.REFUSED or (
            handled.verdict is Verdict.UNKNOWN and self._section.unknown == "dead-letter"
        )
        if handled.verdict is not Verdict.DONE:
            _log.warning(
                "feeder %s: a message ended as %s: %s", self._section.id, handled.verdict.value, handled.reason
            )
        grave = await self._outbound.bury(received, handled) if dead else Grave.TAKEN
        if grave is Grave.NOT_NOW:  # and nobody is told yet: it may still be sent
            await self._rest(self._pause.next())
            self._channel.give_back(received.tag)
            return
        self._pause.reset()
        if not await self._outbound.answer(received, handled):
            return  # the connection is lost: it comes again, and is answered then
        if grave is Grave.NONE and not self._outbound.returns(received):
            self._channel.reject(received.tag)
        else:
            self._channel.ack(received.tag)

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._draining.wait()


def until_again(received: Received) -> float:
    """Seconds until what only this device's modems can't take goes back: soon the first time, another may send it.

    Where there is no other it comes back at once, and a quorum queue drops what comes back often: later each time.
    """
    if not received.redelivered:
        return _AT_FIRST
    told = (received.properties.headers or {}).get("x-delivery-count")  # by quorum queues alone
    times = min(max(told, 1), 10) if isinstance(told, int) else 1
    return min(_AGAIN_MOST, _AGAIN * 2.0 ** (times - 1))


def _delivery(received: Received, now: float) -> Delivery:
    """A broker counts `expiration` (ms) from when it got a message: what is left of it is known with a timestamp
    alone, without one it is all of it at most.
    """
    properties = received.properties
    made_at = properties.timestamp if properties.timestamp and 0 < properties.timestamp < _LATEST else None
    expiration = properties.expiration or ""
    life = int(expiration) / 1000 if expiration.isascii() and expiration.isdecimal() else math.inf
    begin = now if made_at is None else min(made_at, now)
    return Delivery(
        body=received.body,
        message_id=properties.message_id or None,
        expires_at=begin + life if life < math.inf else None,
        made_at=made_at,
        redelivered=received.redelivered,
    )
