"""A connection and what it is made of."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pika
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.credentials import ExternalCredentials, PlainCredentials
from pika.exceptions import AMQPError

from otpbroker.feeder.amqp.channel import Channel
from otpbroker.feeder.amqp.reasons import of_connection
from otpbroker.feeder.amqp.step import STEP_LIMIT, answer, step

if TYPE_CHECKING:
    from pika.channel import Channel as PikaChannel

    from otpbroker.errors import OtpBrokerError

# Its errors are ours, told once; and it would log parts of messages.
logging.getLogger("pika").setLevel(logging.CRITICAL)

OPEN_LIMIT = 20.0  # seconds for TCP, TLS and AMQP together
CLOSE_LIMIT = 3.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where a broker is and who asks; without user name by TLS certificate (EXTERNAL). `heartbeat` in seconds."""

    host: str
    port: int
    vhost: str = "/"
    username: str | None = None
    password: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = None
    server_name: str | None = None
    heartbeat: int = 20
    name: str = "otpbroker"  # shown by the broker's own administration


class Broker:
    """An open connection; see `connect`."""

    def __init__(self, address: Address, on_blocked: Callable[[str], None]) -> None:
        loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[OtpBrokerError] = loop.create_future()
        opened: asyncio.Future[None] = loop.create_future()
        self._opened = opened
        self._address = address
        self._connection = _Connection(
            _parameters(address),
            on_open_callback=lambda _: None if opened.done() else opened.set_result(None),
            on_open_error_callback=lambda _, error: self._end(error),
            on_close_callback=lambda _, error: self._end(error),
            custom_ioloop=loop,
        )
        self._connection.add_on_connection_blocked_callback(
            lambda _, frame: on_blocked(str(frame.method.reason or "") or "no reason given")
        )
        self._connection.add_on_connection_unblocked_callback(lambda _, __: on_blocked(""))

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, address: Address, on_blocked: Callable[[str], None] = lambda _: None
    ) -> "AsyncIterator[Broker]":
        """A connection, closed at the end. `on_blocked` is told why the broker takes nothing now, then ""."""
        broker = cls(address, on_blocked)
        try:
            await step(broker._opened, broker.closed, OPEN_LIMIT)
            yield broker
        finally:
            await broker._close()

    @asynccontextmanager
    async def channel(self, *, confirms: bool = False) -> "AsyncIterator[Channel]":
        """A new channel, closed at the end; with `confirms` it can `publish`."""
        opened: asyncio.Future[PikaChannel] = asyncio.get_running_loop().create_future()
        if self.closed.done():
            raise self.closed.result()
        raw = self._connection.channel(on_open_callback=lambda found: answer(opened, found))
        channel = Channel(raw)
        # What ends the connection ends the channel in a moment, with the same cause: pika tells every channel.
        await step(opened, channel.closed, STEP_LIMIT)
        try:
            if confirms:
                await channel.confirm()
            yield channel
        finally:
            channel.close()

    def _end(self, error: BaseException | None) -> None:
        if not self.closed.done():
            self.closed.set_result(
                of_connection(error, self._address.host, self._address.port, self._address.vhost)
            )

    async def _close(self) -> None:
        if self.closed.done():
            return
        with suppress(AMQPError):
            self._connection.close()
        await asyncio.wait({self.closed}, timeout=CLOSE_LIMIT)
        if not self.closed.done():  # a broker that is frozen or cut off does not answer
            # pika has no other way to let a socket go.
            self._connection._terminate_stream(None)  # type: ignore[attr-defined] # noqa: SLF001
            await asyncio.wait({self.closed}, timeout=CLOSE_LIMIT)


class _Connection(AsyncioConnection):
    def _on_connection_workflow_done(self, result: object) -> None:
        # pika 1.4.4 gives the class of the error, not an error, when an attempt to connect is given up.
        super()._on_connection_workflow_done(  # type: ignore[misc]
            result() if isinstance(result, type) else result
        )


def _parameters(address: Address) -> pika.ConnectionParameters:
    credentials: PlainCredentials | ExternalCredentials = ExternalCredentials()
    if address.username is not None:
        credentials = PlainCredentials(address.username, address.password, erase_on_connect=True)
    tls = None
    if address.tls is not None:
        tls = pika.SSLOptions(address.tls, address.server_name or address.host)
    return pika.ConnectionParameters(
        host=address.host,
        port=address.port,
        virtual_host=address.vhost,
        credentials=credentials,
        ssl_options=tls,
        heartbeat=address.heartbeat,
        connection_attempts=1,
        socket_timeout=5.0,
        stack_timeout=OPEN_LIMIT - 5,
        client_properties={"connection_name": address.name, "product": "OTP Broker"},
        # What was sent and is not acknowledged by then ends the connection, sooner than a missing heartbeat would.
        tcp_options={"TCP_USER_TIMEOUT": address.heartbeat * 1000},
    )
