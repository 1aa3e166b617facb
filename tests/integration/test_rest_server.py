"""A listener: its port, its certificate, its end."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from quart import Quart, Response
from rest_server import connection

from otpbroker.config.model import Listener
from otpbroker.errors import Misconfigured
from otpbroker.web.certificate import ensure_certificate
from otpbroker.web.server import Bound, Server
from otpbroker.web.tls import TlsFiles

GRACE = 0.5


class App:
    """Quick, slow and endless views."""

    def __init__(self) -> None:
        self.closing = asyncio.Event()
        self.opened = asyncio.Event()
        self.quart = Quart(__name__)
        self.quart.add_url_rule("/", view_func=self.quick)
        self.quart.add_url_rule("/slow", view_func=self.slow)
        self.quart.add_url_rule("/polite", view_func=self.polite)
        self.quart.add_url_rule("/endless", view_func=self.endless)

    async def quick(self) -> str:
        return "ok"

    async def slow(self) -> str:
        self.opened.set()
        await asyncio.sleep(60)
        return "late"

    async def polite(self) -> Response:
        """A live stream that ends itself when all is to end."""
        return self._stream(until=self.closing)

    async def endless(self) -> Response:
        return self._stream(until=asyncio.Event())

    def _stream(self, until: asyncio.Event) -> Response:
        async def events() -> AsyncIterator[bytes]:
            self.opened.set()
            yield b"data: first\n\n"
            await until.wait()

        response = Response(events(), content_type="text/event-stream")
        response.timeout = None
        return response


@pytest.fixture
async def app() -> App:
    return App()


def server(app: App, tls: TlsFiles | None = None, port: int = 0) -> Server:
    return Server(app.quart, Listener(port=port), field="api.http", tls=tls, grace=GRACE)


@asynccontextmanager
async def request(bound: Bound, path: str) -> AsyncIterator[asyncio.StreamReader]:
    async with connection(bound) as (reader, writer):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        yield reader


async def test_the_port_is_known_before_the_first_request(app: App) -> None:
    listening = server(app)
    bound = listening.bind()
    assert listening.bind() == bound
    assert bound.url == f"http://127.0.0.1:{bound.port}"
    serving = asyncio.create_task(listening.serve(app.closing))
    async with httpx2.AsyncClient(base_url=bound.url) as http:
        assert (await http.get("/")).text == "ok"
    app.closing.set()
    await serving


def test_a_busy_port_is_told_with_its_remedy() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(Misconfigured) as problem:
            Server(Quart(__name__), Listener(port=port), field="api.http").bind()
    assert problem.value.code == "cannot-listen"
    assert problem.value.field == "api.http.port"
    assert str(port) in problem.value.detail
    assert "another program" in (problem.value.remedy or "")


def test_an_address_that_is_not_the_devices_is_told() -> None:
    with pytest.raises(Misconfigured) as problem:
        Server(Quart(__name__), Listener(address="192.0.2.1"), field="api.http").bind()
    assert "no such address" in (problem.value.remedy or "")


def test_a_bound_port_can_be_given_back() -> None:
    listening = Server(Quart(__name__), Listener(), field="api.http")
    bound = listening.bind()
    listening.close()
    with socket.socket() as other:
        other.bind((bound.host, bound.port))


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "https://127.0.0.1:1"), ("::", "https://[::1]:1"), ("::1", "https://[::1]:1")],  # noqa: S104
)
def test_the_url_can_be_opened_from_the_device_itself(host: str, url: str) -> None:
    assert Bound(host, 1, tls=True).url == url


async def test_https_with_the_devices_own_certificate(app: App, tmp_path: Path) -> None:
    files = ensure_certificate(tmp_path, ["127.0.0.1"])
    listening = server(app, files)
    bound = listening.bind()
    assert bound.url.startswith("https://")
    serving = asyncio.create_task(listening.serve(app.closing))
    trust = ssl.create_default_context(cafile=str(files.certificate))
    async with httpx2.AsyncClient(base_url=bound.url, verify=trust) as http:
        assert (await http.get("/")).text == "ok"
    app.closing.set()
    await serving


async def test_tls_1_2_at_least_and_chacha20_first(app: App, tmp_path: Path) -> None:
    listening = server(app, ensure_certificate(tmp_path, ["127.0.0.1"]))
    bound = listening.bind()
    serving = asyncio.create_task(listening.serve(app.closing))

    async def handshake(version: ssl.TLSVersion, ciphers: str) -> str:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_ciphers(ciphers)
        context.minimum_version = context.maximum_version = version
        _, writer = await asyncio.open_connection(bound.host, bound.port, ssl=context)
        cipher: str = writer.get_extra_info("cipher")[0]
        writer.close()
        await writer.wait_closed()
        return cipher

    assert "CHACHA20" in await handshake(ssl.TLSVersion.TLSv1_2, "AESGCM:CHACHA20")
    assert "AES" in await handshake(ssl.TLSVersion.TLSv1_2, "AESGCM")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await handshake(ssl.TLSVersion.TLSv1_2, "kRSA")
    with (
        pytest.warns(DeprecationWarning, match="TLSv1_1"),
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        await handshake(ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0")
    app.closing.set()
    await serving


def test_a_certificate_that_cannot_be_used_is_told_before_serving(tmp_path: Path) -> None:
    (tmp_path / "certificate.pem").write_text("nonsense")
    missing = TlsFiles(tmp_path / "certificate.pem", tmp_path / "key.pem")
    with pytest.raises(Misconfigured) as problem:
        Server(Quart(__name__), Listener(), field="api.https", tls=missing).bind()
    assert (problem.value.code, problem.value.field) == ("unusable-certificate", "api.https")


@pytest.mark.parametrize(
    ("path", "longest"),
    [("/", GRACE), ("/polite", GRACE), ("/slow", GRACE + 0.9), ("/endless", GRACE + 0.9)],
)
async def test_the_end_does_not_wait_for_who_stays(app: App, path: str, longest: float) -> None:
    """With hypercorn 0.18 alone an open stream holds up the end for ever on Python 3.12.1 and newer."""
    listening = server(app)
    bound = listening.bind()
    serving = asyncio.create_task(listening.serve(app.closing))
    async with request(bound, path) as reader:
        await (reader.readuntil(b"\r\n\r\n") if path == "/" else app.opened.wait())

        started = time.monotonic()
        app.closing.set()
        await serving

        assert time.monotonic() - started < longest
        async with asyncio.timeout(2):
            await reader.read()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(bound.host, bound.port)


async def test_a_polite_stream_ends_whole(app: App) -> None:
    listening = server(app)
    bound = listening.bind()
    serving = asyncio.create_task(listening.serve(app.closing))
    async with request(bound, "/polite") as reader:
        await app.opened.wait()
        app.closing.set()
        await serving
        async with asyncio.timeout(2):
            assert (await reader.read()).endswith(b"data: first\n\n\r\n0\r\n\r\n")


async def test_cancellation_ends_it_too(app: App) -> None:
    listening = server(app)
    bound = listening.bind()
    serving = asyncio.create_task(listening.serve(app.closing))
    async with request(bound, "/slow") as reader:
        await app.opened.wait()
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        async with asyncio.timeout(2):
            await reader.read()


async def test_it_can_be_started_again_on_the_same_port(app: App) -> None:
    listening = server(app)
    first = listening.bind()
    for _ in range(2):
        closing = asyncio.Event()
        serving = asyncio.create_task(listening.serve(closing))
        async with httpx2.AsyncClient(base_url=first.url) as http:
            assert (await http.get("/")).text == "ok"
        closing.set()
        await serving
    assert listening.bind() == first
    listening.close()
