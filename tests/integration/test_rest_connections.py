"""What one client may cost others: connections are bounded in number and time, and nobody can hold up the end."""

import asyncio
import contextlib
import logging
import resource
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from quart import Quart, request
from rest_server import Connection, connection

from otpbroker.config.model import Listener
from otpbroker.web.certificate import ensure_certificate
from otpbroker.web.connections import LEAST, MOST, Connections, most_connections, vouch
from otpbroker.web.server import Bound, Limits, Server, tell_of_connections
from otpbroker.web.tls import TlsFiles

QUICK = Limits(connections=8, idle=0.4, handshake=0.4)
PATIENT = replace(QUICK, idle=30, handshake=30)
HALF_A_REQUEST = b"POST / HTTP/1.1\r\nHost: x\r\nX-Slow"
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class App:
    """One quick view, one that is held until a test lets go, one that reads a body."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()
        self.held = asyncio.Semaphore(0)
        self.quart = Quart(__name__)
        self.quart.config.update(BODY_TIMEOUT=0.4)
        self.quart.add_url_rule("/", view_func=self.quick)
        self.quart.add_url_rule("/held", view_func=self.hold)
        self.quart.add_url_rule("/body", view_func=self.body, methods=["POST"])

    async def quick(self) -> str:
        return "ok"

    async def hold(self) -> str:
        """Its caller has the right credentials."""
        vouch(request.scope)
        self.held.release()
        await self.let_go.wait()
        return "held"

    async def body(self) -> str:
        return str(len(await request.get_data()))


@pytest.fixture
async def app() -> App:
    return App()


@asynccontextmanager
async def serving(
    app: App, limits: Limits, tls: TlsFiles | None = None, grace: float = 0.5, patience: float | None = None
) -> AsyncIterator[tuple[Bound, Server, asyncio.Event]]:
    server = Server(app.quart, Listener(), field="api.http", tls=tls, grace=grace, patience=patience, limits=limits)
    bound, closing = server.bind(), asyncio.Event()
    task = asyncio.create_task(server.serve(closing))
    try:
        yield bound, server, closing
    finally:
        closing.set()
        async with asyncio.timeout(10):
            await task


async def answer(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        return head + await reader.readexactly(length)


async def hung_up(reader: asyncio.StreamReader, within: float = 2.5) -> bool:
    try:
        async with asyncio.timeout(within):
            with contextlib.suppress(ConnectionError):
                await reader.read()
            return True
    except TimeoutError:
        return False


@asynccontextmanager
async def several(
    bound: Bound, octets: bytes, count: int, source: str | None = None
) -> AsyncIterator[list[Connection]]:
    async with contextlib.AsyncExitStack() as stack:
        opened = []
        for _ in range(count):
            reader, writer = await stack.enter_async_context(connection(bound, source))
            writer.write(octets)
            await writer.drain()
            opened.append((reader, writer))
        yield opened


async def test_a_flood_of_half_requests_leaves_place_for_a_whole_one(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    """The flood may be larger than what the process may open at all."""
    with caplog.at_level(logging.INFO):
        async with serving(app, PATIENT) as (bound, _, _), several(bound, HALF_A_REQUEST, 50) as flood:
            async with connection(bound) as (reader, writer):
                writer.write(REQUEST)
                assert (await answer(reader)).endswith(b"ok")
            assert all([await hung_up(reader) for reader, _ in flood[:40]])
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(told) == 1, "a flood must not fill the log"
    assert "8 connections" in told[0]


async def test_a_flood_from_one_address_ends_its_own_connections_alone(app: App) -> None:
    slow = b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf"
    app.quart.config.update(BODY_TIMEOUT=30)
    async with (
        serving(app, PATIENT) as (bound, _, _),
        several(bound, b"", 2) as quiet,
        several(bound, slow, 40, source="127.0.0.2") as flood,
    ):
        assert await hung_up(flood[0][0])
        async with several(bound, slow, 20, source="127.0.0.3"):
            for reader, writer in quiet:  # they were there before, and have not said anything yet
                writer.write(REQUEST)
                assert (await answer(reader)).endswith(b"ok")


async def test_requests_of_one_connection_vouch_for_it_together(app: App, tmp_path: Path) -> None:
    """HTTP/2: the end of one request leaves the others' trust."""
    connections = Connections(1)
    with connections.listening_socket(socket.AF_INET) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        with socket.create_connection(listening.getsockname()), socket.socket() as newcomer:
            accepted, peer = listening.accept()
            first, second = connections.request(peer), connections.request(peer)
            for each in (first, second):
                each.vouch()
                each.vouch()
            first.ended()
            newcomer.connect(listening.getsockname())
            listening.setblocking(False)
            with pytest.raises(BlockingIOError):
                listening.accept()  # turned away
            assert newcomer.recv(1) == b""
            second.ended()
            with socket.create_connection(listening.getsockname()):
                listening.accept()[0].close()  # the first had to go
            accepted.close()


async def test_who_waits_for_an_answer_is_not_ended_for_a_newcomer(app: App) -> None:
    held = REQUEST.replace(b"/ ", b"/held ")
    async with serving(app, PATIENT) as (bound, _, _), several(bound, held, 7) as waiting:
        for _ in waiting:
            await app.held.acquire()
        async with several(bound, HALF_A_REQUEST, 4) as flood:
            assert all([await hung_up(reader) for reader, _ in flood[:3]])
            app.let_go.set()
            for reader, _ in waiting:
                assert (await answer(reader)).endswith(b"held")


async def test_when_all_wait_for_answers_a_newcomer_is_turned_away_and_comes_in_later(app: App) -> None:
    held = REQUEST.replace(b"/ ", b"/held ")
    async with serving(app, PATIENT) as (bound, _, _), several(bound, held, 8) as waiting:
        for _ in waiting:
            await app.held.acquire()
        async with connection(bound) as (reader, _):
            assert await hung_up(reader)
        app.let_go.set()
        assert (await answer(waiting[0][0])).endswith(b"held")
        async with connection(bound) as (reader, writer):
            writer.write(REQUEST)
            assert (await answer(reader)).endswith(b"ok")


async def test_a_request_whose_head_comes_slowly_is_ended(app: App) -> None:
    async with serving(app, QUICK) as (bound, _, _), several(bound, HALF_A_REQUEST, 1) as ((reader, writer),):
        assert await hung_up(reader)
        writer.write(b"")


async def test_a_connection_without_a_request_is_ended(app: App) -> None:
    async with serving(app, QUICK) as (bound, _, _), connection(bound) as (reader, writer):
        writer.write(REQUEST)
        await answer(reader)
        assert await hung_up(reader)


async def test_a_body_that_comes_slowly_is_refused(app: App) -> None:
    slow = b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf"
    async with serving(app, PATIENT) as (bound, _, _), several(bound, slow, 1) as ((reader, _),):
        assert b" 408 " in (await answer(reader)).splitlines()[0]


async def test_a_tls_handshake_that_never_comes_is_ended(app: App, tmp_path: Path) -> None:
    files = ensure_certificate(tmp_path, ["127.0.0.1"])
    async with serving(app, QUICK, files) as (bound, _, _), connection(bound) as (reader, _):
        assert await hung_up(reader)


def test_what_is_not_said_otherwise_is_bounded_too() -> None:
    assert Limits().idle <= 60
    assert Limits().handshake <= 15
    assert Limits().connections == MOST


@pytest.mark.parametrize(("allowed", "most"), [(1024, (1024 - 256) // 3), (200, LEAST), (100_000, MOST)])
def test_three_listeners_together_leave_files_for_everything_else(
    monkeypatch: pytest.MonkeyPatch, allowed: int, most: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (allowed, allowed))
    assert most_connections(3) == most


async def test_the_end_does_not_wait_for_a_tls_client_that_says_no_goodbye(app: App, tmp_path: Path) -> None:
    """A keep-alive client that reads no more: asyncio would wait 30 s for its close_notify."""
    files = ensure_certificate(tmp_path, ["127.0.0.1"])
    before = asyncio.all_tasks()
    async with serving(app, PATIENT, files) as (bound, server, closing):
        mute = await asyncio.to_thread(_mute_tls_client, bound)
        started = time.monotonic()
        closing.set()
        await server.port_given_back()
    assert time.monotonic() - started < 4
    assert asyncio.all_tasks() == before, "something of its connection is left and holds up the program's end"
    mute.close()


def _careless_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _mute_tls_client(bound: Bound) -> socket.socket:
    """Connected, served once, and from then on without a reaction."""
    client = _careless_context().wrap_socket(socket.create_connection((bound.host, bound.port), timeout=5))
    client.sendall(REQUEST)
    assert b" 200 " in client.recv(4096)
    return client


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (b"GET http://[bad HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
        (b"GET nonsense HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
        (b"GET http://gateway/ HTTP/1.1\r\nHost: gateway\r\n\r\n", b"200"),
        (
            (
                b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            ),
            b"403",
        ),
    ],
)
async def test_odd_requests_are_answered_and_not_logged(
    app: App, caplog: pytest.LogCaptureFixture, octets: bytes, status: bytes
) -> None:
    async with serving(app, PATIENT) as (bound, _, _), several(bound, octets, 1) as ((reader, _),):
        assert (await answer(reader)).split(b" ", 2)[1] == status
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_what_breaks_tls_is_not_logged(app: App, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = ensure_certificate(tmp_path, ["127.0.0.1"])
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(tell_of_connections)
    async with serving(app, PATIENT, files) as (bound, _, _):
        await asyncio.to_thread(_say_goodbye_and_go_on, bound)
        await asyncio.sleep(0.2)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def _say_goodbye_and_go_on(bound: Bound) -> None:
    """Octets that are no TLS record of this session follow its close_notify."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = _careless_context().wrap_bio(incoming, outgoing)
    with socket.create_connection((bound.host, bound.port), timeout=5) as client:
        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                client.sendall(outgoing.read())
                incoming.write(client.recv(65536))
        with contextlib.suppress(ssl.SSLError):
            session.unwrap()
        client.sendall(outgoing.read())
        client.sendall(b"\x17\x03\x03\x00\x20" + b"x" * 32)
        client.recv(65536)


async def test_a_request_that_outstays_the_end_is_told_so(app: App) -> None:
    held = REQUEST.replace(b"/ ", b"/held ")
    async with serving(app, PATIENT, grace=0.2) as (bound, _, closing), several(bound, held, 1) as ((reader, _),):
        await app.held.acquire()
        closing.set()
        response = await answer(reader)
    assert b" 503 " in response.splitlines()[0]
    assert b'"code": "stopping"' in response


async def test_what_is_under_way_when_a_server_closes_has_its_patience(app: App) -> None:
    held = REQUEST.replace(b"/ ", b"/held ")
    async with (
        serving(app, PATIENT, grace=0.1, patience=30) as (bound, server, closing),
        several(bound, held, 1) as ((reader, _),),
    ):
        await app.held.acquire()
        closing.set()
        await server.port_given_back()
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind((bound.host, bound.port))
            other.listen()  # another server may take the port now
        await asyncio.sleep(0.3)  # longer than the grace
        app.let_go.set()
        assert (await answer(reader)).endswith(b"held")


async def test_a_cancelled_server_shows_grace_alone(app: App) -> None:
    server = Server(app.quart, Listener(), field="api.http", grace=0.1, patience=30, limits=PATIENT)
    bound, closing = server.bind(), asyncio.Event()
    task = asyncio.create_task(server.serve(closing))
    async with several(bound, REQUEST.replace(b"/ ", b"/held "), 1) as ((reader, _),):
        await app.held.acquire()
        closing.set()
        await server.port_given_back()
        task.cancel()
        response = await answer(reader)
        with pytest.raises(asyncio.CancelledError):
            await task
    assert b" 503 " in response.splitlines()[0]
