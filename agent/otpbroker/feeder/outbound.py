"""What goes back to the broker beside acknowledgements: answers, and messages that can't be delivered."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from enum import Enum

from otpbroker.clock import Clock
from otpbroker.config.feeder_rabbitmq import RabbitmqFeeder
from otpbroker.errors import Denied, Misconfigured, OtpBrokerError
from otpbroker.feeder.amqp import Broker, Channel, Properties, Received
from otpbroker.feeder.delivery import Handled

_log = logging.getLogger(__name__)

SHORT_DELAY = 0.1  # seconds for which an answer may hold its message's place; what existing clients ask for is less
MOST_LATER = 64  # further answers are sent without their delay
MOST_RETURNS = 3  # times that a dead letter may come back into the queue and be one again
_QUEUE, _TIMES = "x-otpbroker-queue", "x-otpbroker-times"


class Grave(Enum):
    """What the dead-letter exchange did with a message."""

    TAKEN = "taken"
    NONE = "none"  # there is none, or it can't take any
    NOT_NOW = "not-now"


class Outbound:
    """All is published with confirms. What may not be, or an exchange that is not there, costs the channel that
    asked for it, so answers and dead letters have channels of their own.
    """

    def __init__(
        self,
        section: RabbitmqFeeder,
        broker: Broker,
        clock: Clock,
        *,
        device: str,
        problem: Callable[[str, str], None],
    ) -> None:
        self._section = section
        self._broker = broker
        self._clock = clock
        self._device = device
        self._problem = problem
        self._answers = _OwnChannel(broker)
        self._graves = _OwnChannel(broker)
        self._later: set[asyncio.Task[None]] = set()
        self._hurry = asyncio.Event()
        self._refusing: str | None = None  # the queue that did not take an answer

    async def close(self) -> None:
        if self._later:
            _log.warning("feeder %s: %d delayed answers are lost", self._section.id, len(self._later))
        for task in self._later:
            task.cancel()
        await asyncio.gather(*self._later, return_exceptions=True)
        await self._answers.close()
        await self._graves.close()

    async def answer(self, received: Received, handled: Handled) -> bool:
        """Send the answer to whoever asked for one; False: the connection is lost, it can be sent later.

        With a delay that is not short it is sent after the message was acknowledged, and lost with the connection:
        else a query would take a message's place for so long.
        """
        queues = list(dict.fromkeys(filter(None, (received.properties.reply_to, handled.callback_topic))))
        if handled.answer is None or not queues:
            return True
        body = json.dumps(handled.answer).encode()  # ASCII: a command may hold half of a surrogate pair
        properties = Properties(
            content_type="application/json",
            correlation_id=received.properties.correlation_id,
            timestamp=int(self._clock.now()),
            type="answer",
            app_id="otpbroker",
        )
        if handled.callback_topic and handled.callback_delay > 0:
            if handled.callback_delay > SHORT_DELAY and len(self._later) < MOST_LATER:
                queues.remove(handled.callback_topic)
                self._publish_later(handled.callback_topic, body, properties, handled.callback_delay)
            else:
                await asyncio.sleep(min(handled.callback_delay, SHORT_DELAY))
        return await self._publish(queues, body, properties)

    def hurry(self) -> None:
        """The connection is about to be closed: what has a delay is sent without."""
        self._hurry.set()

    @property
    def later(self) -> frozenset["asyncio.Task[None]"]:
        """Answers whose message is acknowledged and that are not sent yet."""
        return frozenset(self._later)

    def _publish_later(self, queue: str, body: bytes, properties: Properties, delay: float) -> None:
        async def publish() -> None:
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._hurry.wait()
            try:
                await self._publish([queue], body, properties)
            except Exception as error:  # noqa: BLE001 # a defect of ours; its words may hold a part of the answer
                _log.error("feeder %s: %s while sending an answer", self._section.id, type(error).__name__)

        task = asyncio.create_task(publish())
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def _publish(self, queues: Iterable[str], body: bytes, properties: Properties) -> bool:
        for queue in queues:
            if queue == self._section.queue:
                self._problem("loop", f"an answer was asked for into {queue} itself, and not sent")
                continue
            try:
                channel = await self._answers.open()
                await channel.publish("", queue, body, properties, mandatory=True)
            except OtpBrokerError as error:
                if self._broker.closed.done():
                    return False
                self._not_taken(queue, error)
            else:
                self._taken(queue)
        return True

    async def bury(self, received: Received, handled: Handled) -> Grave:
        """Hand a message over to the dead-letter exchange with the reason, unless it always comes back."""
        exchange = self._section.dead_letter_exchange
        if exchange is None:
            return Grave.NONE
        properties = received.properties
        times = self._times_buried(received)
        if times >= MOST_RETURNS:
            self._returning()
            return Grave.NONE
        headers = {
            **(properties.headers or {}),
            _TIMES: times + 1,
            "x-otpbroker-reason": handled.reason,
            _QUEUE: self._section.queue,
            "x-otpbroker-device": self._device,
            "x-otpbroker-at": int(self._clock.now()),
        }
        if handled.reasons:
            headers["x-otpbroker-reasons"] = list(handled.reasons)
        if properties.expiration is not None:  # it would expire where it is kept
            headers["x-otpbroker-expiration"] = properties.expiration
        properties = replace(properties, headers=headers, expiration=None)
        key = self._section.dead_letter_key or self._section.queue
        try:
            channel = await self._graves.open()
            await channel.publish(exchange, key, received.body, properties, mandatory=True)
        except OtpBrokerError as error:
            self._problem("dead-letters", f"dead letters are not taken: {error.detail}")
            return Grave.NONE if isinstance(error, Denied | Misconfigured) else Grave.NOT_NOW
        self._problem("dead-letters", "")
        return Grave.TAKEN

    def returns(self, received: Received) -> bool:
        """Whether a message that was rejected comes straight back: by its queue's own dead-letter exchange."""
        deaths = (received.properties.headers or {}).get("x-death")
        match deaths:
            case [{"queue": self._section.queue, "reason": "rejected", "count": int(times)}, *_]:
                if times >= MOST_RETURNS:
                    self._returning()
                    return True
        return False

    def _times_buried(self, received: Received) -> int:
        headers = received.properties.headers or {}
        times = headers.get(_TIMES)
        return times if isinstance(times, int) and headers.get(_QUEUE) == self._section.queue else 0

    def _returning(self) -> None:
        self._problem(
            "returning",
            "dead letters come back into the queue, and are dropped (let their exchange lead elsewhere)",
        )

    def _not_taken(self, queue: str, error: OtpBrokerError) -> None:
        if isinstance(error, Misconfigured) and error.code == "unroutable":  # whoever asked has gone
            _log.info("feeder %s: nobody takes an answer", self._section.id)
            self._taken(queue)
            return
        self._refusing = queue
        self._problem("answers", f"answers are not taken: {error.detail}")

    def _taken(self, queue: str) -> None:
        # Other queues say nothing of the one that was full: else each answer would change what is shown.
        if queue == self._refusing:
            self._refusing = None
            self._problem("answers", "")


class _OwnChannel:
    """Opened when it is needed, and again after the broker closed it."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._channel: Channel | None = None
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()

    async def open(self) -> Channel:
        async with self._opening:
            if self._channel is None or self._channel.closed.done():
                await self._stack.aclose()
                self._channel = await self._stack.enter_async_context(self._broker.channel(confirms=True))
            return self._channel

    async def close(self) -> None:
        await self._stack.aclose()
