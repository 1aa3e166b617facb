"""An application server that keeps publishing while its broker dies, hangs and comes back."""

import asyncio
import json
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

import pika
from pika.exceptions import AMQPError

from bench.rabbitmq import Vhost


@dataclass(slots=True)
class Load:
    """`count` messages, `rate` a second, each with an id of its own; what is not confirmed is published again."""

    vhost: Vhost
    count: int
    rate: float
    queue: str = "sms"
    prefix: str = "load"
    confirmed: int = 0
    repeated: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    @property
    def texts(self) -> list[str]:
        return [f"{self.prefix} {number:05d}" for number in range(self.count)]

    async def run(self) -> None:
        """Until all are confirmed."""
        try:
            await asyncio.to_thread(self._publish)
        finally:
            self._stop.set()

    def _publish(self) -> None:
        connection: pika.BlockingConnection | None = None
        begin = time.monotonic()
        for number, text in enumerate(self.texts):
            self._stop.wait(max(0.0, begin + number / self.rate - time.monotonic()))
            body = json.dumps({"command": "send-sms", "data": {"receiver": f"62812{number:08d}", "message": text}})
            properties = pika.BasicProperties(message_id=f"{self.prefix}-{number}", delivery_mode=2)
            while not self._stop.is_set():
                try:
                    if connection is None:
                        connection = pika.BlockingConnection(parameters(self.vhost))
                        channel = connection.channel()
                        channel.confirm_delivery()
                    channel.basic_publish("", self.queue, body.encode(), properties, mandatory=True)
                except (AMQPError, OSError):
                    _close(connection)
                    connection = None
                    self.repeated += 1
                    self._stop.wait(0.1)
                else:
                    self.confirmed += 1
                    break
        _close(connection)


def _close(connection: pika.BlockingConnection | None) -> None:
    if connection is not None:
        with suppress(AMQPError, OSError):
            connection.close()


def parameters(vhost: Vhost) -> pika.ConnectionParameters:
    credentials = pika.PlainCredentials(vhost.username, vhost.password)
    return pika.ConnectionParameters("127.0.0.1", vhost.port, vhost.name, credentials, heartbeat=0)
