"""A channel: declare, consume, acknowledge, publish with confirms."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from pika.channel import Channel as PikaChannel
from pika.exceptions import AMQPError
from pika.spec import Basic, BasicProperties

from otpbroker.errors import Misconfigured, OtpBrokerError, Unavailable
from otpbroker.feeder.amqp.properties import Properties, Received, received, wire
from otpbroker.feeder.amqp.reasons import of_channel
from otpbroker.feeder.amqp.step import STEP_LIMIT, answer, step

CONFIRM_LIMIT = 30.0  # seconds for the broker to take over one message

_NUMBER = "x-otpbroker-number"  # by which a message that no queue took is known again

Arguments = Mapping[str, object]


class Channel:
    """One channel; `closed` is done when it is gone, with the reason."""

    def __init__(self, raw: PikaChannel) -> None:
        loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[OtpBrokerError] = loop.create_future()
        self._raw = raw
        self._published = 0  # as the broker counts them
        self._unconfirmed: dict[int, asyncio.Future[bool]] = {}
        self._unroutable: set[int] = set()
        raw.add_on_close_callback(lambda _, error: self._end(of_channel(error)))
        raw.add_on_cancel_callback(
            lambda _: self._end(
                Unavailable("consumer-cancelled", "the broker ended the consumer: the queue is gone")
            )
        )

    async def declare_queue(
        self, name: str, *, passive: bool = False, durable: bool = False, arguments: Arguments | None = None
    ) -> int:
        """Make the queue, or find it as it should be; how many messages are ready in it."""
        frame = await self._ask(
            lambda done: self._raw.queue_declare(
                name, passive=passive, durable=durable, arguments=arguments, callback=done
            )
        )
        return int(frame.method.message_count)

    async def declare_exchange(self, name: str, kind: str, *, arguments: Arguments | None = None) -> None:
        """Make a durable exchange, or find it as it should be."""
        await self._ask(
            lambda done: self._raw.exchange_declare(name, kind, durable=True, arguments=arguments, callback=done)
        )

    async def bind_queue(self, queue: str, exchange: str, key: str = "") -> None:
        await self._ask(lambda done: self._raw.queue_bind(queue, exchange, key, callback=done))

    async def unbind_queue(self, queue: str, exchange: str, key: str = "") -> None:
        """A binding that is not there is no error."""
        await self._ask(lambda done: self._raw.queue_unbind(queue, exchange, key, callback=done))

    async def bind_exchange(self, target: str, source: str, key: str) -> None:
        await self._ask(lambda done: self._raw.exchange_bind(target, source, key, callback=done))

    async def consume(
        self,
        queue: str,
        deliver: Callable[[Received], None],
        *,
        prefetch: int,
        arguments: Arguments | None = None,
    ) -> str:
        """Begin to take messages, at most `prefetch` that are not acknowledged; the consumer's tag."""
        # RabbitMQ: the limit counts for each consumer that begins after it was set.
        await self._ask(lambda done: self._raw.basic_qos(prefetch_count=prefetch, callback=done))

        def on_message(_: object, method: Basic.Deliver, properties: BasicProperties, body: bytes) -> None:
            deliver(Received(int(method.delivery_tag or 0), body, received(properties), method.redelivered))

        tag = ""

        def start(done: Callable[[object], None]) -> None:
            nonlocal tag
            tag = self._raw.basic_consume(queue, on_message, arguments=arguments, callback=done)

        await self._ask(start)
        return tag

    async def cancel(self, tag: str) -> None:
        """Take no more; what is not acknowledged yet stays ours."""
        await self._ask(lambda done: self._raw.basic_cancel(tag, callback=done))

    def ack(self, tag: int, *, with_earlier: bool = False) -> None:
        with suppress(AMQPError):
            self._raw.basic_ack(tag, multiple=with_earlier)

    def give_back(self, tag: int) -> None:
        """The broker gives it again, to whoever comes first."""
        with suppress(AMQPError):
            self._raw.basic_nack(tag, requeue=True)

    def reject(self, tag: int) -> None:
        """The broker drops it, or moves it to where its queue sends dead letters."""
        with suppress(AMQPError):
            self._raw.basic_reject(tag, requeue=False)

    async def confirm(self) -> None:
        await self._ask(lambda done: self._raw.confirm_delivery(self._confirmed, callback=done))
        self._raw.add_on_return_callback(self._returned)

    async def publish(
        self, exchange: str, key: str, body: bytes, properties: Properties, *, mandatory: bool = False
    ) -> None:
        """Return when the broker took it over; `mandatory`: and a queue did. Needs `confirms`.

        Raises `Misconfigured` (`unroutable`) when none did.
        """
        number = self._published + 1
        headers = properties.headers
        if mandatory:
            headers = {**(headers or {}), _NUMBER: number}
        self._emit(exchange, key, body, wire(properties, headers), mandatory=mandatory)
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._unconfirmed[number] = done
        try:
            taken = await step(done, self.closed, CONFIRM_LIMIT)
        finally:
            self._unconfirmed.pop(number, None)
            unroutable = number in self._unroutable
            self._unroutable.discard(number)
        if not taken:
            raise Unavailable("broker-refused", "the broker could not take a message over")
        if unroutable:
            raise Misconfigured("unroutable", f"no queue takes what is sent to {exchange or 'the queue'} {key}")

    def send(self, exchange: str, key: str, body: bytes, properties: Properties) -> None:
        """Publish what may be lost, or what something later proves."""
        with suppress(OtpBrokerError):
            self._emit(exchange, key, body, wire(properties, properties.headers))

    def close(self) -> None:
        if not self.closed.done():
            with suppress(AMQPError):
                self._raw.close()
            self._end(Unavailable("channel-closed", "the channel was closed"))

    def _emit(
        self, exchange: str, key: str, body: bytes, properties: BasicProperties, *, mandatory: bool = False
    ) -> None:
        if self.closed.done():
            raise self.closed.result()
        try:
            self._raw.basic_publish(exchange, key, body, properties, mandatory=mandatory)
        except AMQPError as error:
            raise of_channel(error) from error
        self._published += 1  # what pika refuses never gets there, and the broker does not count it

    async def _ask(self, start: Callable[[Callable[[object], None]], object]) -> Any:
        """Send one method and wait for its answer."""
        if self.closed.done():
            raise self.closed.result()
        done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        try:
            start(lambda frame: answer(done, frame))
        except AMQPError as error:
            raise of_channel(error) from error
        return await step(done, self.closed, STEP_LIMIT)

    def _confirmed(self, frame: Any) -> None:
        tag: int = frame.method.delivery_tag
        taken = not isinstance(frame.method, Basic.Nack)
        numbers = [number for number in self._unconfirmed if number <= tag] if frame.method.multiple else [tag]
        for number in numbers:
            if (done := self._unconfirmed.get(number)) is not None:
                answer(done, taken)

    def _returned(self, _: object, __: Basic.Return, properties: BasicProperties, ___: bytes) -> None:
        number = (properties.headers or {}).get(_NUMBER)
        if isinstance(number, int):
            self._unroutable.add(int(number))

    def _end(self, error: OtpBrokerError) -> None:
        if not self.closed.done():
            self.closed.set_result(error)
