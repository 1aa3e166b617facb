"""Odd HTTP, octet by octet: what no client library sends, an attacker does (weaknesses 20 and 21)."""

import asyncio
import json
import tracemalloc

import pytest
from rest_server import ScriptedCore, authorization, configuration, connection, exchange, serving

from otpbroker.messaging.wire import LARGEST_BODY
from otpbroker.web.access import Access
from otpbroker.web.hashing import HashingThread
from otpbroker.web.server import Bound

SEND = b'{"command":"send-sms","data":{"msisdn":"0812","message":"x"}}'
AUTH = f"Authorization: {authorization()}"


def request(*headers: str, body: bytes = b"", method: str = "POST", path: str = "/api/sms") -> bytes:
    head = [f"{method} {path} HTTP/1.1", "Host: gateway", AUTH, *headers, "", ""]
    return "\r\n".join(head).encode("latin-1") + body


def status(response: bytes) -> int:
    return int(response.split(b" ", 2)[1])


async def still_serves(bound: Bound) -> None:
    response = await exchange(bound, request(f"Content-Length: {len(SEND)}", body=SEND))
    assert json.loads(response.partition(b"\r\n\r\n")[2])["response_code"] == "0000"


@pytest.mark.parametrize(
    "length",
    ["-1", "+5", "1e3", "0x10", "", "5, 6", "99999999999999999999999999", "²"],
)
async def test_a_content_length_that_is_no_length_is_refused_at_once(length: str) -> None:
    """Weakness 20: a negative or huge length was read octet by octet."""
    core = ScriptedCore()
    async with serving(core) as bound:
        octets = request(f"Content-Length: {length}", body=SEND)
        async with asyncio.timeout(2):
            response = await exchange(bound, octets)
        assert status(response) in {400, 413}
        assert not core.asked
        await still_serves(bound)


async def test_two_different_lengths_are_refused() -> None:
    """Request smuggling (RFC 9112 section 6.3)."""
    core = ScriptedCore()
    async with serving(core) as bound:
        response = await exchange(bound, request("Content-Length: 5", f"Content-Length: {len(SEND)}", body=SEND))
    assert status(response) == 400
    assert not core.asked


async def test_an_announced_body_that_is_too_large_is_refused_before_it_comes() -> None:
    async with serving(ScriptedCore()) as bound:
        async with asyncio.timeout(2):
            response = await exchange(bound, request(f"Content-Length: {LARGEST_BODY + 1}"))
        assert status(response) == 413
        assert b"application/problem+json" in response


@pytest.mark.parametrize("path", ["/api/sms", "/api/v1/messages"])
async def test_a_body_without_end_is_cut_off(path: str) -> None:
    """Weakness 20: unbounded bodies."""
    core = ScriptedCore()
    async with serving(core) as bound:
        async with connection(bound) as (_, writer):
            writer.write(request("Transfer-Encoding: chunked", "Content-Type: application/json", path=path))
            async with asyncio.timeout(5):
                with pytest.raises(ConnectionError):
                    await send_for_ever(writer, b"1000\r\n" + b" " * 4096 + b"\r\n")
        assert not core.asked
        await still_serves(bound)


async def test_a_body_grows_no_further_while_the_request_waits_for_something_else() -> None:
    """Quart 0.23 would take it all: here the credentials are not even checked yet."""
    turn = asyncio.Event()

    class Patient(HashingThread):
        async def run(self, function, *args, **kwargs):  # type: ignore[no-untyped-def] # passes on what it gets
            await turn.wait()
            return await super().run(function, *args, **kwargs)

    access = Access(lambda: configuration().api.users, Patient())
    async with serving(ScriptedCore(), access=access) as bound, connection(bound) as (reader, writer):
        tracemalloc.start()
        writer.write(request("Transfer-Encoding: chunked"))
        async with asyncio.timeout(10):
            for _ in range(500):
                writer.write(b"4000\r\n" + b" " * 0x4000 + b"\r\n")
                await writer.drain()
            held, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            turn.set()
            assert b" 413 " in await reader.readuntil(b"\r\n")
    assert held < 4_000_000  # of 8 MB sent; the client's own buffers count too


async def send_for_ever(writer: asyncio.StreamWriter, chunk: bytes) -> None:
    while True:
        writer.write(chunk)
        await writer.drain()
        await asyncio.sleep(0)


async def test_a_flood_before_the_credentials_are_checked_is_cut_off() -> None:
    core = ScriptedCore()
    async with serving(core) as bound:
        octets = request("Content-Length: 50000000").replace(AUTH.encode(), b"Authorization: Basic eDp5")
        response = await exchange(bound, octets + b"x" * 5_000_000)
        assert response == b"" or status(response) in {401, 413}
        await still_serves(bound)


@pytest.mark.parametrize(
    "octets",
    [
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS to the plain port
        b"POST /api/sms HTTP/9.9\r\nHost: x\r\n\r\n",
        b"POST /api/sms HTTP/1.1\r\n\r\n",  # no Host
        b"POST /api/sms HTTP/1.1\r\nHost: x\r\nBad Header: y\r\n\r\n",
        b"POST /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /api/sms HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    ],
)
async def test_what_is_not_http_ends_the_connection(octets: bytes) -> None:
    core = ScriptedCore()
    async with serving(core) as bound:
        async with asyncio.timeout(5):
            response = await exchange(bound, octets + (b"" if octets.endswith(b"\n") else b"\r\n\r\n"))
        assert response == b"" or 400 <= status(response) < 500
        assert not core.asked
        await still_serves(bound)


@pytest.mark.parametrize("path", ["/../api/sms", "/api/../../etc/passwd", "/api/%2e%2e/sms", "/api/v1/..%2f..%2fx"])
async def test_there_is_nothing_above_the_paths(path: str) -> None:
    """Weaknesses 13 and 14: path traversal."""
    async with serving(ScriptedCore()) as bound:
        response = await exchange(bound, request("Content-Length: 0", method="GET", path=path))
    assert status(response) in {404, 405}


async def test_a_header_named_remote_addr_does_not_change_the_address() -> None:
    """Else an attacker's failures would count for somebody else."""
    core = ScriptedCore()
    async with serving(core) as bound:
        wrong = request("Content-Length: 0").replace(AUTH.encode(), b"Authorization: Basic c2hvcDp4")
        answers = []
        for guess in range(12):
            forged = f"Remote-Addr: 192.0.2.{guess}\r\nX-Forwarded-For: 192.0.2.{guess}\r\nContent-Length"
            header = f"Authorization: {authorization('shop', str(guess))}"
            octets = wrong.replace(b"Content-Length", forged.encode()).replace(
                b"Authorization: Basic c2hvcDp4", header.encode()
            )
            answers.append(status(await exchange(bound, octets)))
    assert answers == [401] * 10 + [429] * 2


async def test_requests_follow_each_other_on_one_connection() -> None:
    core = ScriptedCore()
    one = request(f"Content-Length: {len(SEND)}", body=SEND)
    async with serving(core) as bound, connection(bound) as (reader, writer), asyncio.timeout(5):
        for _ in range(3):
            writer.write(one)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            assert json.loads(await reader.readexactly(length))["response_code"] == "0000"
    assert len(core.messages) == 3


async def test_expect_continue_is_answered() -> None:
    """curl sends it with bodies over 1 MiB, older PHP with all."""
    async with serving(ScriptedCore()) as bound, connection(bound) as (reader, writer), asyncio.timeout(5):
        writer.write(request(f"Content-Length: {len(SEND)}", "Expect: 100-continue"))
        assert b" 100 " in await reader.readuntil(b"\r\n\r\n")
        writer.write(SEND)
        assert b" 200 " in await reader.readuntil(b"\r\n\r\n")


async def test_http_1_0_without_host_is_served() -> None:
    octets = request(f"Content-Length: {len(SEND)}", body=SEND).replace(b"HTTP/1.1", b"HTTP/1.0")
    async with serving(ScriptedCore()) as bound:
        response = await exchange(bound, octets.replace(b"Host: gateway\r\n", b""))
    assert status(response) == 200


async def test_a_client_that_goes_away_while_it_waits_harms_nobody() -> None:
    core = ScriptedCore(hold=asyncio.Event())
    async with serving(core) as bound:
        async with connection(bound) as (_, writer), asyncio.timeout(5):
            writer.write(request(f"Content-Length: {len(SEND)}", body=SEND))
            await core.arrived.wait()
            writer.transport.abort()
        assert core.hold is not None
        core.hold.set()
        await still_serves(bound)
