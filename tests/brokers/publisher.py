"""An application server's side of RabbitMQ, by pika's blocking connection as such servers use it."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError

from bench.publishing import parameters
from bench.rabbitmq import Vhost


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that was in a queue."""

    body: bytes
    properties: pika.BasicProperties

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def headers(self) -> dict[str, Any]:
        return dict(self.properties.headers or {})


@dataclass(slots=True)
class Publisher:
    """One connection; every call is made in a thread, one after the other."""

    connection: pika.BlockingConnection
    channel: BlockingChannel
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def publish(
        self, body: bytes | str | object, queue: str = "sms", exchange: str = "", **facts: Any
    ) -> None:
        """Returns when the broker confirmed it; anything but octets and text goes as JSON."""
        octets = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body)
        properties = pika.BasicProperties(**facts)
        await self._do(lambda: self.channel.basic_publish(exchange, queue, octets, properties))

    async def fill(self, bodies: Sequence[object], queue: str = "sms") -> None:
        """Publish many, confirmed together."""

        def publish() -> None:
            with self.connection.channel() as channel:
                for body in bodies:
                    channel.basic_publish("", queue, json.dumps(body).encode())
                channel.queue_declare(queue, passive=True)  # answered after all of them

        await self._do(publish)

    async def declare(self, queue: str, **flags: Any) -> None:
        await self._do(lambda: self.channel.queue_declare(queue, **flags))

    async def bind(self, queue: str, exchange: str, key: str) -> None:
        await self._do(lambda: self.channel.queue_bind(queue, exchange, key))

    async def declare_exchange(self, name: str, kind: str) -> None:
        await self._do(lambda: self.channel.exchange_declare(name, kind, durable=True))

    async def take(self, queue: str, within: float = 10.0) -> Taken:
        """The next message of a queue."""
        async with asyncio.timeout(within):
            while True:
                method, properties, body = await self._do(lambda: self.channel.basic_get(queue, auto_ack=True))
                if method is not None:
                    return Taken(body, properties)
                await asyncio.sleep(0.02)  # AMQP's basic.get has no waiting

    async def ready(self, queue: str) -> int:
        """Messages that wait in a queue, not those that a consumer has."""
        frame = await self._do(lambda: self.channel.queue_declare(queue, passive=True))
        return int(frame.method.message_count)

    async def _do(self, work: Any) -> Any:
        async with self.lock:
            return await asyncio.to_thread(work)


@asynccontextmanager
async def publisher(vhost: Vhost) -> AsyncIterator[Publisher]:
    """Connected to the virtual host, with confirms."""

    def connect() -> Publisher:
        connection = pika.BlockingConnection(parameters(vhost))
        channel = connection.channel()
        channel.confirm_delivery()
        return Publisher(connection, channel)

    opened = await asyncio.to_thread(connect)
    try:
        yield opened
    finally:
        with suppress(AMQPError):
            await asyncio.to_thread(opened.connection.close)
