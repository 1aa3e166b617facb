"""A WebSocket connection to a broker: the only importer of the websockets client."""

import asyncio
import base64
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol
from urllib.parse import SplitResult, urljoin, urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from otpbroker import __version__
from otpbroker.config.feeder import TlsSection
from otpbroker.config.feeder_websocket import WebsocketFeeder
from otpbroker.errors import Denied, Misconfigured, Unavailable
from otpbroker.feeder.broker_tls import tls_context

OPEN_WITHIN = 10.0  # seconds; TCP, TLS and handshake together
CLOSE_WITHIN = 2.0  # a peer that does not answer is left
LARGEST_MESSAGE = 512 * 1024  # an envelope of several commands, or one escaped within a frame of ours
_UNREAD = 4  # messages; then the library stops reading, and TCP tells the broker

# Below this the library writes every message into its log.
_quiet = logging.getLogger("otpbroker.feeder.websockets")
_quiet.setLevel(logging.WARNING)


class Gone(Unavailable):
    """The connection ended; `code` is the one of its closing frame (RFC 6455, section 7.4), if any."""

    def __init__(self, code: int | None) -> None:
        words = "without a word" if code is None else f"with code {code}"
        super().__init__("connection-lost", f"the broker ended the connection {words}")
        self.closed_with = code


class Line(Protocol):
    """An open connection. Every method but `abort` raises `Gone` when it is open no longer."""

    @property
    def subprotocol(self) -> str | None: ...

    async def receive(self) -> bytes:
        """The next message, text and binary alike."""
        ...

    async def send(self, text: str) -> None: ...

    async def ping(self) -> None:
        """Return when the other end answered; never an application's ping, which costs a consumer its place."""
        ...

    def abort(self) -> None:
        """Hang up, whatever the other end does."""
        ...


Dial = Callable[[str, tuple[str, ...]], AbstractAsyncContextManager[Line]]


def dialler(section: WebsocketFeeder) -> Dial:
    """Opens connections with the section's credentials and trust; no proxy, no compression.

    Entering one raises `Denied` (credentials), `Misconfigured` (trust, address) or `Unavailable`.
    """
    credentials = f"{section.username}:{section.password.get_secret_value()}"
    encoded = base64.b64encode(credentials.encode()).decode()
    headers = {"Authorization": f"Basic {encoded}"} if section.username else {}

    @asynccontextmanager
    async def dial(url: str, subprotocols: tuple[str, ...]) -> AsyncIterator[Line]:
        context = await asyncio.to_thread(_trust, section.ca) if url.startswith("wss:") else None
        try:
            connection = await _Connect(
                url,
                additional_headers=headers,
                subprotocols=[Subprotocol(name) for name in subprotocols] or None,
                compression=None,
                proxy=None,
                ssl=context,
                user_agent_header=f"OTPBroker/{__version__}",
                open_timeout=OPEN_WITHIN,
                close_timeout=CLOSE_WITHIN,
                ping_interval=None,
                max_size=LARGEST_MESSAGE,
                max_queue=_UNREAD,
                logger=_quiet,
            )
        except (WebSocketException, OSError, TimeoutError, EOFError, ValueError) as error:
            raise _explained(error) from error
        try:
            yield _Line(connection)
        finally:
            await connection.close()

    return dial


class _Connect(connect):
    """Follows a redirection within the same origin alone: elsewhere it would come without its credentials."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        location = exc.response.headers.get("Location") if isinstance(exc, InvalidStatus) else None
        if isinstance(exc, InvalidStatus) and exc.response.status_code // 100 == 3 and location is not None:
            here, there = urlsplit(self.uri), urlsplit(urljoin(self.uri, location))
            if _origin(there) != _origin(here):
                port = "" if there.port is None else f":{there.port}"
                return Misconfigured(
                    "broker-elsewhere",
                    f"the broker sends to {there.scheme}://{there.hostname}{port}",
                    field="url",
                    remedy="set url to where it is, with wss:// if it takes TLS alone",
                )
        return super().process_redirect(exc)


def _origin(address: SplitResult) -> tuple[str, str | None, int | None]:
    usual = {"ws": 80, "wss": 443}.get(address.scheme)
    return address.scheme, address.hostname, address.port or usual


class _Line:
    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    @property
    def subprotocol(self) -> str | None:
        return self._connection.subprotocol

    async def receive(self) -> bytes:
        try:
            return await self._connection.recv(decode=False)
        except ConnectionClosed as error:
            raise _gone(error) from None

    async def send(self, text: str) -> None:
        try:
            await self._connection.send(text)
        except ConnectionClosed as error:
            raise _gone(error) from None

    async def ping(self) -> None:
        try:
            await (await self._connection.ping())
        except ConnectionClosed as error:
            raise _gone(error) from None

    def abort(self) -> None:
        self._connection.transport.abort()


def _trust(ca: str | None) -> ssl.SSLContext | None:
    try:
        return tls_context(TlsSection(enabled=True, ca=ca))
    except Misconfigured as error:
        raise Misconfigured(error.code, error.detail, field="ca") from None


def _gone(error: ConnectionClosed) -> Gone:
    return Gone(error.rcvd.code if error.rcvd is not None else None)


def _explained(error: Exception) -> Denied | Misconfigured | Unavailable:
    match error:
        case InvalidStatus() if error.response.status_code in {401, 403}:
            return refused(f"HTTP {error.response.status_code}")
        case InvalidStatus():
            status = error.response.status_code
            return Unavailable("broker-unusable", f"the broker answered with HTTP {status}")
        case ssl.SSLCertVerificationError():
            return Misconfigured(
                "certificate-untrusted",
                f"the broker's certificate is not trusted: {error.verify_message}",
                remedy="set ca to the certificate of its authority",
            )
        case ssl.SSLError():
            return Unavailable("tls-failed", f"TLS failed: {error.reason or 'the peer speaks something else'}")
        case TimeoutError():
            return Unavailable("broker-silent", "the broker did not answer in time")
        case OSError():
            return Unavailable("broker-unreachable", error.strerror or "the broker can't be reached")
        case ValueError():
            return Misconfigured(
                "address-unusable",
                "the address can't be used, or the broker sends to one that can't",
                field="url",
                remedy="correct url",
            )
    return Unavailable("broker-unusable", "the broker ended the handshake, or does not speak WebSocket")


def refused(how: str) -> Denied:
    return Denied(
        "broker-refused", f"the broker does not let this device in ({how})", remedy="check user name and password"
    )
