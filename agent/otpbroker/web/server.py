"""HTTP and HTTPS listeners: the only module that knows hypercorn."""

import asyncio
import errno
import logging
import socket
import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, cast

from hypercorn.asyncio import serve
from hypercorn.config import Config as HypercornConfig
from hypercorn.config import Sockets
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope
from quart import Quart

from otpbroker.config.model import Listener
from otpbroker.errors import Misconfigured
from otpbroker.web.asgi import BAD_TARGET, STOPPING, bounded, is_target, say
from otpbroker.web.connections import MOST, REQUEST, Connections
from otpbroker.web.tls import TlsFiles, server_context

_log = logging.getLogger(__name__)
_hypercorn_log = logging.getLogger("otpbroker.web.hypercorn")
_hypercorn_log.setLevel(logging.WARNING)

# What connections get to close by themselves after their requests, until they are hung up.
_SETTLING = 1.0

_REMEDIES = {
    errno.EADDRINUSE: "another program listens there: stop it or choose another port",
    errno.EACCES: "ports below 1024 need a right that this program lacks: choose a higher port",
    errno.EADDRNOTAVAIL: "this device has no such address: choose one of its own, or 0.0.0.0",
}


@dataclass(frozen=True, slots=True)
class Bound:
    """Where a server really listens; `port` is never 0."""

    host: str
    port: int
    tls: bool

    @property
    def url(self) -> str:
        """The base address without a trailing slash; a wildcard address becomes its loopback."""
        address = ip_address(self.host)
        host = self.host
        if address.is_unspecified:
            host = "127.0.0.1" if address.version == 4 else "::1"
        if address.version == 6:
            host = f"[{host}]"
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may cost; times in seconds.

    `idle` bounds a connection without a request and a request whose head comes slowly. A slow body is bounded by
    each application's BODY_TIMEOUT.
    """

    connections: int = MOST
    idle: float = 30.0
    handshake: float = 10.0


class Server:
    """One listener of one application.

    Quart's own start-up and shutdown hooks are not run: parts that live are children of the agent. Bodies are
    bounded by the application's MAX_CONTENT_LENGTH, however they come.
    """

    def __init__(
        self,
        app: Quart,
        listener: Listener,
        *,
        field: str,
        tls: TlsFiles | None = None,
        grace: float = 3.0,
        patience: float | None = None,
        limits: Limits = Limits(),
    ) -> None:
        """`field` is the listener's place in the configuration (`api.http`). Requests under way get `patience`
        seconds when the server closes, and `grace` seconds (also if `patience` is None) when it is cancelled.
        """
        self._app = app
        self._address = listener.address
        self._port = listener.port
        self._field = field
        self._tls = tls
        self._grace = grace
        self._patience = grace if patience is None else patience
        self._limits = limits
        self._connections = Connections(limits.connections)
        self._socket: socket.socket | None = None
        self._requests: set[asyncio.Task[object]] = set()
        self._cut: set[asyncio.Task[object]] = set()
        self._no_requests = asyncio.Event()
        self._no_requests.set()

    def bind(self) -> Bound:
        """Take the port, so that it is known before the first request; a second call changes nothing.

        Raises `Misconfigured` if the port or the certificate cannot be had.
        """
        if self._tls is not None:
            server_context(self._tls, self._field)
        if self._socket is None:
            self._socket = self._listen()
            self._port = self._socket.getsockname()[1]
        return Bound(self._address, self._port, self._tls is not None)

    def close(self) -> None:
        """Give the port back if it was bound and never served."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def use(self, app: Quart) -> None:
        """Answer with another application from the next request on."""
        self._app = app

    async def port_given_back(self) -> None:
        """Return when another server may take the port; requests may still be under way."""
        await self._connections.port_given_back.wait()

    async def serve(self, closing: asyncio.Event) -> None:
        """Answer requests until `closing` is set; live streams watch the same event and end themselves.

        The port is given back at once. What still runs after its time is cancelled, and every connection that stays
        is hung up: hypercorn 0.18 would wait for them, on Python 3.12.1 and newer for ever.
        """
        bound = self.bind()
        stop = asyncio.Event()
        serving = asyncio.create_task(serve(self._handle, self._settings(), shutdown_trigger=stop.wait))
        closed = asyncio.create_task(closing.wait())
        _log.info("listening on %s", bound.url)
        grace = self._grace
        try:
            await asyncio.wait({serving, closed}, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()
            stop.set()
            await self._requests_ended(serving, self._patience)
            grace = 0.0
        finally:
            closed.cancel()
            stop.set()
            await self._finish(serving, grace)

    async def _requests_ended(self, serving: asyncio.Task[None], seconds: float) -> None:
        ended = asyncio.create_task(self._no_requests.wait())
        try:
            await asyncio.wait({serving, ended}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()

    async def _finish(self, serving: asyncio.Task[None], grace: float) -> None:
        await self._requests_ended(serving, grace)
        self._cut |= self._requests
        for request in self._cut:
            request.cancel()
        await asyncio.wait({serving}, timeout=_SETTLING)
        self._connections.end()  # of TLS, clients may keep what the server said goodbye to
        await asyncio.wait({serving}, timeout=_SETTLING)
        if not serving.done():
            serving.cancel()
            await asyncio.wait({serving}, timeout=_SETTLING)
        if serving.done() and not serving.cancelled() and (error := serving.exception()):
            _log.debug("the last connections ended by %r", error)

    async def _handle(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """The ASGI application: Quart's, each request known while it runs."""
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        if scope["type"] == "websocket":  # there are none here; refused before it is accepted: 403
            await send({"type": "websocket.close", "code": 1000, "reason": None})
            return
        if not is_target(scope["path"]):
            await say(send, BAD_TARGET)
            return
        task = asyncio.current_task()
        assert task is not None
        answered = False

        async def noted_send(event: ASGISendEvent) -> None:
            nonlocal answered
            answered = True
            await send(event)

        client = scope["client"] or ("", 0)
        self._requests.add(task)
        self._no_requests.clear()
        request = self._connections.request(client)
        cast(dict[str, object], scope)[REQUEST] = request
        limit = self._app.config["MAX_CONTENT_LENGTH"]
        try:
            await self._app(scope, bounded(receive, limit) if limit else receive, noted_send)
        except asyncio.CancelledError:
            if answered or task not in self._cut:
                raise
            task.uncancel()
            await say(send, STOPPING)
        finally:
            request.ended()
            self._cut.discard(task)
            self._requests.discard(task)
            if not self._requests:
                self._no_requests.set()

    def _listen(self) -> socket.socket:
        family = socket.AF_INET6 if ip_address(self._address).version == 6 else socket.AF_INET
        listening = self._connections.listening_socket(family)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            listening.setblocking(False)
            listening.bind((self._address, self._port))
            listening.listen(128)  # now, or another program could still bind the port and listen first
        except OSError as error:
            listening.close()
            raise Misconfigured(
                "cannot-listen",
                f"cannot listen on {self._address} port {self._port}: {error.strerror}",
                field=f"{self._field}.port",
                remedy=_REMEDIES.get(error.errno or 0, "choose another address or port"),
            ) from error
        return listening

    def _settings(self) -> HypercornConfig:
        assert self._socket is not None
        settings = _Settings(self._socket, server_context(self._tls, self._field) if self._tls else None)
        self._socket = None  # hypercorn owns it from here
        settings.accesslog = None
        settings.errorlog = _hypercorn_log
        settings.include_server_header = False
        settings.backlog = 128
        settings.graceful_timeout = self._patience + self._grace + 3 * _SETTLING
        settings.h2_max_concurrent_streams = 32
        settings.websocket_ping_interval = 20
        settings.ssl_handshake_timeout = self._limits.handshake
        settings.keep_alive_timeout = self._limits.idle
        # It would also end every stream and every wait for an outcome in which the client has nothing to say.
        settings.read_timeout = None
        return settings


def tell_of_connections(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An exception handler for the loop: how strangers end their connections is nothing for the log."""
    if isinstance(context.get("exception"), OSError) and "client_connected_cb" in context["message"]:
        _log.debug("a connection ended by %r", context["exception"])
    else:
        loop.default_exception_handler(context)


class _Settings(HypercornConfig):
    def __init__(self, listening: socket.socket, context: ssl.SSLContext | None) -> None:
        super().__init__()
        self._listening = listening
        self._context = context

    @property
    def ssl_enabled(self) -> bool:
        return self._context is not None

    def create_ssl_context(self) -> ssl.SSLContext | None:
        return self._context

    def create_sockets(self) -> Sockets:
        if self.ssl_enabled:
            return Sockets([self._listening], [], [])
        return Sockets([], [self._listening], [])
