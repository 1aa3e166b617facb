"""One connection to an AMQP 0-9-1 broker on our own event loop, and its channels. The only importer of pika.

A connection is used once: when it is gone, every wait on it ends with an error that tells what can be done:
`Unavailable` (try again soon), `Denied` (credentials, rights), `Misconfigured` (what was asked for is not there, or
is otherwise). Acknowledgements on a channel that is gone are dropped: its broker gives those messages again.
"""

import asyncio
import itertools
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

import pika
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.adapters.utils.connection_workflow import AMQPConnectorStackTimeout
from pika.channel import Channel as PikaChannel
from pika.credentials import ExternalCredentials, PlainCredentials
from pika.exceptions import AMQPError
from pika.spec import Basic, BasicProperties

from otpbroker.errors import Denied, Misconfigured, OtpBrokerError, Unavailable

# Its errors are ours, told once; and it would log parts of messages.
logging.getLogger("pika").setLevel(logging.CRITICAL)

STEP_LIMIT = 15.0  # seconds for the broker to answer one method
CONFIRM_LIMIT = 30.0  # seconds for it to take over one message
OPEN_LIMIT = 20.0  # seconds for TCP, TLS and AMQP together
CLOSE_LIMIT = 3.0

LONGEST_NAME = 255  # octets, AMQP 0-9-1 section 4.2.5.3

_NUMBER = "x-otpbroker-number"  # by which a message that no queue took is known again

Arguments = Mapping[str, object]
Answer = TypeVar("Answer")


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


@dataclass(frozen=True, slots=True)
class Properties:
    """AMQP 0-9-1 section 4.2.6.1, class Basic, but for the user id, which a broker takes from its sender alone."""

    content_type: str | None = None
    content_encoding: str | None = None
    headers: dict[str, Any] | None = field(default=None, repr=False)
    delivery_mode: Any = None
    priority: int | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    expiration: str | None = None
    message_id: str | None = None
    timestamp: int | None = None
    type: str | None = None
    app_id: str | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """A message to be acknowledged by its tag."""

    tag: int
    body: bytes = field(repr=False)
    properties: Properties
    redelivered: bool


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
            await _step(broker._opened, broker.closed, OPEN_LIMIT)
            yield broker
        finally:
            await broker._close()

    @asynccontextmanager
    async def channel(self, *, confirms: bool = False) -> "AsyncIterator[Channel]":
        """A new channel, closed at the end; with `confirms` it can `publish`."""
        opened: asyncio.Future[PikaChannel] = asyncio.get_running_loop().create_future()
        if self.closed.done():
            raise self.closed.result()
        raw = self._connection.channel(on_open_callback=lambda found: _answer(opened, found))
        channel = Channel(raw)
        # What ends the connection ends the channel in a moment, with the same cause: pika tells every channel.
        await _step(opened, channel.closed, STEP_LIMIT)
        try:
            if confirms:
                await channel.confirm()
            yield channel
        finally:
            channel.close()

    def _end(self, error: BaseException | None) -> None:
        if not self.closed.done():
            self.closed.set_result(_of_connection(error, self._address))

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


class Channel:
    """One channel; `closed` is done when it is gone, with the reason."""

    def __init__(self, raw: PikaChannel) -> None:
        loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[OtpBrokerError] = loop.create_future()
        self._raw = raw
        self._published = 0  # as the broker counts them
        self._unconfirmed: dict[int, asyncio.Future[bool]] = {}
        self._unroutable: set[int] = set()
        raw.add_on_close_callback(lambda _, error: self._end(_of_channel(error)))
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
            deliver(Received(int(method.delivery_tag or 0), body, _received(properties), method.redelivered))

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
        self._emit(exchange, key, body, _wire(properties, headers), mandatory=mandatory)
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._unconfirmed[number] = done
        try:
            taken = await _step(done, self.closed, CONFIRM_LIMIT)
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
            self._emit(exchange, key, body, _wire(properties, properties.headers))

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
            raise _of_channel(error) from error
        self._published += 1  # what pika refuses never gets there, and the broker does not count it

    async def _ask(self, start: Callable[[Callable[[object], None]], object]) -> Any:
        """Send one method and wait for its answer."""
        if self.closed.done():
            raise self.closed.result()
        done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        try:
            start(lambda frame: _answer(done, frame))
        except AMQPError as error:
            raise _of_channel(error) from error
        return await _step(done, self.closed, STEP_LIMIT)

    def _confirmed(self, frame: Any) -> None:
        tag: int = frame.method.delivery_tag
        taken = not isinstance(frame.method, Basic.Nack)
        numbers = [number for number in self._unconfirmed if number <= tag] if frame.method.multiple else [tag]
        for number in numbers:
            if (done := self._unconfirmed.get(number)) is not None:
                _answer(done, taken)

    def _returned(self, _: object, __: Basic.Return, properties: BasicProperties, ___: bytes) -> None:
        number = (properties.headers or {}).get(_NUMBER)
        if isinstance(number, int):
            self._unroutable.add(int(number))

    def _end(self, error: OtpBrokerError) -> None:
        if not self.closed.done():
            self.closed.set_result(error)


def _answer(future: "asyncio.Future[Answer]", value: Answer) -> None:
    if not future.done():
        future.set_result(value)


async def _step(done: "asyncio.Future[Answer]", closed: "asyncio.Future[OtpBrokerError]", limit: float) -> Answer:
    waits: set[asyncio.Future[Any]] = {done, closed}
    await asyncio.wait(waits, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
    if done.done():
        return done.result()
    if closed.done():
        raise closed.result()
    raise Unavailable("broker-silent", f"the broker did not answer within {limit:.0f} s")


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


def _received(found: BasicProperties) -> Properties:
    return Properties(
        content_type=_text(found.content_type),
        content_encoding=_text(found.content_encoding),
        headers=dict(found.headers) if found.headers else None,
        delivery_mode=found.delivery_mode,
        priority=found.priority,
        correlation_id=_text(found.correlation_id),
        reply_to=_text(found.reply_to),
        expiration=_text(found.expiration),
        message_id=_text(found.message_id),
        timestamp=found.timestamp,
        type=_text(found.type),
        app_id=_text(found.app_id),
    )


def _text(found: str | bytes | None) -> str | None:
    """pika leaves octets that are no UTF-8 as they are; what stands for them may be longer than a property."""
    if isinstance(found, bytes):
        return found.decode(errors="backslashreplace").encode()[:LONGEST_NAME].decode(errors="ignore")
    return found


def _wire(properties: Properties, headers: dict[str, Any] | None) -> BasicProperties:
    return BasicProperties(**(asdict(properties) | {"headers": headers}))


def _of_channel(error: BaseException) -> OtpBrokerError:
    """What the broker said when it closed a channel (AMQP 0-9-1 section 1.2 has the codes)."""
    match error:
        case pika.exceptions.ChannelClosedByBroker(reply_code=403, reply_text=text):
            return Denied("access-refused", text, remedy="give the user the right to it, at the broker")
        case pika.exceptions.ChannelClosedByBroker(reply_code=404, reply_text=text):
            return Misconfigured("not-found", text)
        case pika.exceptions.ChannelClosedByBroker(reply_code=405 | 406, reply_text=text):
            return Misconfigured("precondition-failed", text)
        case pika.exceptions.ConnectionClosedByBroker(reply_code=540, reply_text=text):
            return Misconfigured("not-implemented", text)
        case pika.exceptions.ShortStringTooLong():
            return Misconfigured("too-long", f"a name has more than {LONGEST_NAME} octets")
    return Unavailable("broker-lost", f"the connection to the broker was lost: {_words(error)}")


def _of_connection(error: BaseException | None, address: Address) -> OtpBrokerError:
    """Why a connection could not be opened, or was lost."""
    causes = list(_causes(error))
    for cause in causes:
        match cause:
            case ssl.SSLCertVerificationError():
                return Denied(
                    "certificate-refused",
                    f"the broker's certificate is not trusted: {cause.verify_message}",
                    remedy="set tls.ca to the authority that signed it, or tls.server_name to the name in it",
                )
            case pika.exceptions.ConnectionClosedByBroker(reply_code=403, reply_text=text):
                return Denied("wrong-credentials", text, remedy="correct username and password")
            case pika.exceptions.ProbableAuthenticationError():
                return Denied(
                    "wrong-credentials",
                    "the broker refused user name and password",
                    remedy="correct username and password",
                )
            case pika.exceptions.AuthenticationError():
                return Denied(
                    "wrong-credentials",
                    "the broker does not take this kind of credentials",
                    remedy="set username and password, or let the broker take certificates (EXTERNAL)",
                )
            case pika.exceptions.ConnectionClosedByBroker(reply_code=530 | 402, reply_text=text):
                return Denied("vhost-refused", text, remedy="correct vhost, or give the user the right to it")
            case pika.exceptions.ProbableAccessDeniedError():
                return Denied(
                    "vhost-refused",
                    f"the broker refused the virtual host {address.vhost}",
                    remedy="correct vhost, or give the user the right to it",
                )
            case pika.exceptions.ConnectionClosedByBroker(reply_code=540, reply_text=text):
                return Misconfigured("not-implemented", text)
    if any(isinstance(cause, AMQPConnectorStackTimeout) for cause in causes):
        return Unavailable("broker-silent", f"{address.host}:{address.port}: what is there does not answer")
    last = causes[-1] if causes else None
    return Unavailable("broker-unreachable", f"{address.host}:{address.port}: {_words(last)}")


def _causes(error: object) -> "itertools.chain[BaseException]":
    """An error and what it wraps, outermost first; pika wraps in three ways."""
    if not isinstance(error, BaseException):
        return itertools.chain()
    inner = [
        *getattr(error, "exceptions", ()),
        getattr(error, "exception", None),
        *(argument for argument in error.args if isinstance(argument, BaseException)),
    ]
    return itertools.chain([error], *(_causes(found) for found in inner if found is not error))


def _words(error: BaseException | None) -> str:
    match error:
        case None:
            return "it was closed"
        case socket.gaierror():
            return "there is no host of this name"
        case OSError(strerror=str(text)):
            return text
        case pika.exceptions.AMQPHeartbeatTimeout():
            return "no heartbeat"
        case pika.exceptions.IncompatibleProtocolError():
            return "what answers there does not speak AMQP, or is just starting or ending"
        case pika.exceptions.StreamLostError():
            return "the connection broke"
        case pika.exceptions.ConnectionClosed(reply_text=text) | pika.exceptions.ChannelClosed(reply_text=text):
            return str(text)
        case TimeoutError():
            return "no answer"
    return str(error) or type(error).__name__
