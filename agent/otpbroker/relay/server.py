"""The relay's listeners: WebSocket for publishers and consumers, metrics on loopback."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import parse_qs, urlsplit
from weakref import WeakKeyDictionary

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from otpbroker.clock import Clock
from otpbroker.errors import Misconfigured, OtpBrokerError, Unavailable
from otpbroker.messaging.wire import broker_frames as frames
from otpbroker.rate import TokenBuckets, TooManyAttempts
from otpbroker.relay.client import Client, Ended, Hall, Kind
from otpbroker.relay.exchange import Exchange
from otpbroker.relay.metrics import Metrics
from otpbroker.relay.metrics_page import serve_metrics
from otpbroker.relay.settings import RelaySettings, is_channel
from otpbroker.relay.users import RelayUser, Users
from otpbroker.web.access import CHALLENGE, Access, Unauthenticated
from otpbroker.web.connections import Connections
from otpbroker.web.hashing import HashingThread

_log = logging.getLogger(__name__)

# Below this the library writes every message into its log.
_quiet = logging.getLogger("otpbroker.relay.websockets")
_quiet.setLevel(logging.WARNING)

OPEN_WITHIN = 10.0  # seconds for TLS, and again for the handshake with its password
CLOSE_WITHIN = 2.0
STOP_WITHIN = 5.0
_UNREAD = 4  # messages of a client, then TCP holds it back
_BACKLOG = 128
_GONE_AFTER = 30  # seconds without any answer of its system


class Relay:
    """Users, channels and listeners; everything is in memory and gone when it ends."""

    def __init__(self, settings: RelaySettings, clock: Clock | None = None) -> None:
        """Raises `Misconfigured` for a users file or certificate that can't be used. Blocks."""
        clock = clock or Clock()
        self._settings = settings
        self._users = Users(settings.users)
        self._context = _tls(settings)
        self._access = Access(self._users, HashingThread(), clock.monotonic)
        self.metrics = Metrics()
        self.exchange = Exchange(settings.limits, settings.broadcast, self.metrics, clock.monotonic)
        limits = settings.limits
        self._hall = Hall(
            exchange=self.exchange,
            limits=limits,
            rates=TokenBuckets(capacity=limits.burst, refill=limits.rate, clock=clock.monotonic),
            complaints=TokenBuckets(capacity=1, refill=1 / 60, clock=clock.monotonic),
            clock=clock,
        )
        self._clock = clock
        self._connections = Connections(limits.connections)
        self._admitted: WeakKeyDictionary[ServerConnection, tuple[RelayUser | None, Kind, str]] = (
            WeakKeyDictionary()
        )
        self._clients: dict[ServerConnection, Client] = {}
        self._due = asyncio.Event()

    async def run(self, ready: Callable[[int, int | None], None], stop: asyncio.Event) -> None:
        """Work until `stop` is set; `ready` is told the ports. Raises `Misconfigured` when one can't be had."""
        self.exchange.on_due = self._due.set
        settings = self._settings
        listening = self._bind(settings.listen_address, settings.port)
        server = await serve(
            self._converse,
            sock=listening,
            ssl=self._context,
            process_request=self._admit,
            select_subprotocol=_ours,
            subprotocols=[Subprotocol(frames.SUBPROTOCOL)],
            server_header=None,
            compression=None,
            open_timeout=OPEN_WITHIN,
            close_timeout=CLOSE_WITHIN,
            ping_interval=None,
            max_size=settings.limits.message * 6 + 4096,  # JSON may need six octets for one
            max_queue=_UNREAD,
            write_limit=0,  # written means: the system has it
            logger=_quiet,
        )
        ticking = asyncio.create_task(self._tick())
        metrics = await serve_metrics(settings.metrics_port, lambda: self.metrics.text(self.exchange.rows))
        try:
            port = listening.getsockname()[1]
            ready(port, metrics.sockets[0].getsockname()[1] if metrics is not None else None)
            await stop.wait()
        finally:
            if self.exchange.held:
                _log.warning("%d messages were held and are gone", self.exchange.held)
            for closing in (server, *((metrics,) if metrics else ())):
                closing.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(STOP_WITHIN):
                    await server.wait_closed()
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)

    async def reload(self) -> None:
        """Read the certificate and the users again; who has other rights now has to come again."""
        with _what_was_known_counts_on("users"):
            await self._refresh_users(again=True)
        with _what_was_known_counts_on("certificate"):
            await self._refresh_certificate()

    async def _refresh_certificate(self) -> None:
        context, tls = self._context, self._settings.tls
        if context is None or tls is None:
            return
        # A key that does not belong to its certificate would spoil the context that is in use.
        await asyncio.to_thread(_tls, self._settings)
        await asyncio.to_thread(context.load_cert_chain, tls.certificate, tls.key)

    async def _refresh_users(self, *, again: bool = False) -> None:
        if await asyncio.to_thread(self._users.refresh, again=again):
            for connection, client in tuple(self._clients.items()):
                if self._users.named(client.user.username) != client.user:
                    connection.transport.abort()

    async def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Decide who comes and in which manner; channel clients are told of wrong credentials by their greeting."""
        query = parse_qs(urlsplit(request.path).query)
        name = next((query[key][0] for key in ("topic", "channel") if key in query), "")
        offered = request.headers.get_all("Sec-WebSocket-Protocol")
        if any(frames.SUBPROTOCOL in (one.strip() for one in line.split(",")) for line in offered):
            kind = Kind.ACKNOWLEDGED
        else:
            kind = Kind.TOPIC if name else Kind.CHANNEL
        if kind is not Kind.CHANNEL and not is_channel(name):
            return connection.respond(HTTPStatus.BAD_REQUEST, "Name the channel: ?channel=NAME or ?topic=NAME\n")
        proofs = request.headers.get_all("Authorization")
        if len(proofs) > 1 or not "".join(proofs).isascii():
            return connection.respond(HTTPStatus.BAD_REQUEST, "Send one Authorization header, in ASCII.\n")
        peer = connection.remote_address
        if peer is None:  # gone already
            return connection.respond(HTTPStatus.BAD_REQUEST, "")
        user: RelayUser | None = None
        try:
            with _what_was_known_counts_on("users"):
                await self._refresh_users()
            user = self._users.named(await self._access.authenticate("".join(proofs), peer[0]))
        except (Unauthenticated, TooManyAttempts, Unavailable) as error:
            self.metrics.refused += 1
            if kind is not Kind.CHANNEL or not isinstance(error, Unauthenticated):
                return _refusal(connection, error)
        if user is not None:
            self._connections.request((peer[0], peer[1])).vouch()
        self._admitted[connection] = (user, kind, name)
        return None

    async def _converse(self, connection: ServerConnection) -> None:
        user, kind, name = self._admitted.pop(connection)
        if user is None:
            with suppress(ConnectionClosed):
                await connection.send(frames.greeting(self._clock.now(), accepted=False))
            await connection.close(1008)
            return
        _watch_over(connection)
        client = Client(_Socket(connection), user, kind, name, self._hall)
        self._clients[connection] = client
        self.metrics.connections[kind.value] += 1
        try:
            await client.converse()
        finally:
            self.metrics.connections[kind.value] -= 1
            del self._clients[connection]

    async def _tick(self) -> None:
        """End late messages and give kept ones, when it is time for them."""
        while True:
            due = self.exchange.due
            self._due.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if due is None else max(0.01, due - self._clock.monotonic())):
                    await self._due.wait()
                    continue
            self.exchange.tick()

    def _bind(self, address: str, port: int) -> socket.socket:
        family = socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET
        listening = self._connections.listening_socket(family)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((address, port))
            listening.listen(_BACKLOG)
        except OSError as error:
            listening.close()
            raise Misconfigured(
                "port-unusable", f"{address} port {port}: {error.strerror}", remedy="choose another address or port"
            ) from None
        listening.setblocking(False)
        return listening


class _Socket:
    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection

    async def receive(self) -> bytes:
        try:
            return await self._connection.recv(decode=False)
        except ConnectionClosed:
            raise Ended from None

    async def send(self, text: str) -> None:
        try:
            await self._connection.send(text)
        except ConnectionClosed:
            raise Ended from None

    async def ping(self) -> None:
        try:
            await (await self._connection.ping())
        except ConnectionClosed:
            raise Ended from None

    async def close(self, code: int) -> None:
        await self._connection.close(code)

    def abort(self) -> None:
        self._connection.transport.abort()


@contextmanager
def _what_was_known_counts_on(what: str) -> Iterator[None]:
    """Around the reading of a file that others wrote."""
    try:
        yield
    except (OtpBrokerError, OSError) as error:
        _log.error("%s not read again, what was known counts on: %s", what, error)  # not a defect of ours


def _ours(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    ours = Subprotocol(frames.SUBPROTOCOL)
    return ours if ours in offered else None


def _refusal(connection: ServerConnection, error: OtpBrokerError) -> Response:
    if isinstance(error, Unauthenticated):
        response = connection.respond(HTTPStatus.UNAUTHORIZED, "User name or password is missing or wrong.\n")
        response.headers["WWW-Authenticate"] = CHALLENGE
    elif isinstance(error, TooManyAttempts):
        response = connection.respond(HTTPStatus.TOO_MANY_REQUESTS, "Too many failed attempts.\n")
        response.headers["Retry-After"] = str(int(error.retry_after) + 1)
    else:
        response = connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "Try again in a moment.\n")
    return response


def _watch_over(connection: ServerConnection) -> None:
    """A client whose system is gone is noticed though it is never pinged: historic ones may not know pings."""
    accepted = connection.transport.get_extra_info("socket")
    with suppress(OSError):  # it is gone already
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (
            (socket.TCP_KEEPIDLE, 10),
            (socket.TCP_KEEPINTVL, 5),
            (socket.TCP_KEEPCNT, 4),
            (socket.TCP_USER_TIMEOUT, _GONE_AFTER * 1000),
        ):
            accepted.setsockopt(socket.IPPROTO_TCP, option, value)


def _tls(settings: RelaySettings) -> ssl.SSLContext | None:
    if settings.tls is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        context.load_cert_chain(settings.tls.certificate, settings.tls.key)
    except OSError as error:  # ssl.SSLError is one
        raise Misconfigured(
            "unusable-certificate",
            f"cannot use the certificate: {error.strerror or error.__class__.__name__}",
            field="tls",
            remedy="name a PEM certificate and the key that belongs to it",
        ) from None
    return context
