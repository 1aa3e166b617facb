"""HTTP and HTTPS listeners: the only module that knows hypercorn."""

import asyncio
import errno
import logging
import socket
import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from hypercorn.asyncio import serve
from hypercorn.config import Config as HypercornConfig
from hypercorn.typing import ASGIReceiveCallable, ASGIReceiveEvent, ASGISendCallable, Scope
from quart import Quart

from otpbroker.config.model import Listener
from otpbroker.errors import Misconfigured

_log = logging.getLogger(__name__)
_hypercorn_log = logging.getLogger("otpbroker.web.hypercorn")
_hypercorn_log.setLevel(logging.WARNING)

# ChaCha20 first: the processors of Raspberry Pi 3 and 4 have no AES instructions.
_CIPHERS = "ECDHE+CHACHA20:ECDHE+AESGCM"

# What connections get to close after their requests were cancelled, until hypercorn cancels them too.
_SETTLING = 1.0

_REMEDIES = {
    errno.EADDRINUSE: "another program listens there: stop it or choose another port",
    errno.EACCES: "ports below 1024 need a right that this program lacks: choose a higher port",
    errno.EADDRNOTAVAIL: "this device has no such address: choose one of its own, or 0.0.0.0",
}


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """A certificate chain and its private key, both PEM."""

    certificate: Path
    key: Path


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
    ) -> None:
        """`field` is the listener's place in the configuration (`api.http`), `grace` the seconds that requests
        under way get to finish once the server is to close.
        """
        self._app = app
        self._address = listener.address
        self._port = listener.port
        self._field = field
        self._tls = tls
        self._grace = grace
        self._socket: socket.socket | None = None
        self._requests: set[asyncio.Task[object]] = set()

    def bind(self) -> Bound:
        """Take the port, so that it is known before the first request; a second call changes nothing.

        Raises `Misconfigured` if the port or the certificate cannot be had.
        """
        if self._tls is not None:
            self._ssl_context(self._tls)
        if self._socket is None:
            self._socket = self._listen()
            self._port = self._socket.getsockname()[1]
        return Bound(self._address, self._port, self._tls is not None)

    def close(self) -> None:
        """Give the port back if it was bound and never served."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def serve(self, closing: asyncio.Event) -> None:
        """Answer requests until `closing` is set; live streams watch the same event and end themselves.

        What still runs `grace` seconds later is cancelled: with an open stream hypercorn 0.18 would never end
        on Python 3.12.1 and newer.
        """
        bound = self.bind()
        stop = asyncio.Event()
        serving = asyncio.create_task(serve(self._handle, self._settings(), shutdown_trigger=stop.wait))
        closed = asyncio.create_task(closing.wait())
        _log.info("listening on %s", bound.url)
        try:
            await asyncio.wait({serving, closed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            closed.cancel()
            stop.set()
            await self._finish(serving)
        if not serving.cancelled():
            serving.result()

    async def _finish(self, serving: asyncio.Task[None]) -> None:
        await asyncio.wait({serving}, timeout=self._grace)
        if not serving.done():
            for request in self._requests:
                request.cancel()
            await asyncio.wait({serving}, timeout=_SETTLING + 1)
        if not serving.done():  # a peer that does not answer the end of its TLS session
            serving.cancel()
            await asyncio.wait({serving}, timeout=1)

    async def _handle(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """The ASGI application: Quart's, each request known while it runs."""
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        task = asyncio.current_task()
        assert task is not None
        self._requests.add(task)
        limit = self._app.config["MAX_CONTENT_LENGTH"]
        try:
            await self._app(scope, _bounded(receive, limit) if limit else receive, send)
        finally:
            self._requests.discard(task)

    def _listen(self) -> socket.socket:
        family = socket.AF_INET6 if ip_address(self._address).version == 6 else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
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

    def _ssl_context(self, tls: TlsFiles) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        context.set_ciphers(_CIPHERS)
        context.set_alpn_protocols(["h2", "http/1.1"])
        try:
            context.load_cert_chain(tls.certificate, tls.key)
        except OSError as error:  # ssl.SSLError is one
            raise Misconfigured(
                "unusable-certificate",
                f"cannot use the certificate {tls.certificate.name}: {error.strerror or error.__class__.__name__}",
                field=self._field,
                remedy="install a PEM certificate that belongs to its key",
            ) from error
        return context

    def _settings(self) -> HypercornConfig:
        assert self._socket is not None
        settings = _Settings(self._ssl_context(self._tls) if self._tls else None)
        settings.bind = [f"fd://{self._socket.detach()}"]  # hypercorn owns it from here
        self._socket = None
        settings.accesslog = None
        settings.errorlog = _hypercorn_log
        settings.include_server_header = False
        settings.backlog = 128
        settings.graceful_timeout = self._grace + _SETTLING
        settings.h2_max_concurrent_streams = 32
        settings.websocket_ping_interval = 20
        settings.ssl_handshake_timeout = 10
        # Bounds a connection without a request and a request whose head comes slowly. `read_timeout` stays off:
        # it would also end every stream and every wait for an outcome in which the client has nothing to say.
        # A slow body is bounded by each application's BODY_TIMEOUT.
        settings.keep_alive_timeout = 30
        settings.read_timeout = None
        return settings


def _bounded(receive: ASGIReceiveCallable, limit: int) -> ASGIReceiveCallable:
    """`receive`, with a body that ends one octet beyond the limit, for which Quart answers 413.

    By itself Quart 0.23 takes a chunked body whole into memory before it looks at its size, and bodies of requests
    that wait for something else too.
    """
    left = limit + 1

    async def receive_bounded() -> ASGIReceiveEvent:
        nonlocal left
        while True:
            event = await receive()
            if event["type"] != "http.request":
                return event
            if left == 0:
                continue
            body = event["body"][:left]
            left -= len(body)
            return {"type": "http.request", "body": body, "more_body": event["more_body"] and left > 0}

    return receive_bounded


class _Settings(HypercornConfig):
    def __init__(self, context: ssl.SSLContext | None) -> None:
        super().__init__()
        self._context = context

    @property
    def ssl_enabled(self) -> bool:
        return self._context is not None

    def create_ssl_context(self) -> ssl.SSLContext | None:
        return self._context
