"""The WebSocket brokers and clients that exist, octet by octet as their transcripts show; without any library."""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from bench.ports import free_port

USER, PASSWORD = "qa", "4lt0@1234"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
ACCEPTED = (
    b'{"command":"connect","response_code":"00","response_text":"Accepted",'
    b'"data":[{"time_stamp":"2026-11-22T15:12:48.000Z"}]}'
)
REJECTED = ACCEPTED.replace(b'"00"', b'"01"').replace(b"Accepted", b"Rejected")


def basic(user: str = USER, password: str = PASSWORD) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@dataclass(eq=False)
class Socket:
    """One end of a WebSocket after its handshake; `path` and `headers` are the client's (names in lower case)."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    path: str = "/"
    headers: dict[str, str] = field(default_factory=dict)
    masks: bool = False
    pinged: int = 0
    thawed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}

    @property
    def known(self) -> bool:
        return self.headers.get("authorization") == basic()

    async def frame(self) -> tuple[int, bytes]:
        first, second = await self.reader.readexactly(2)
        assert first & 0x70 == 0, "no extension was agreed on"
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack(">H", await self.reader.readexactly(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", await self.reader.readexactly(8))
        mask = await self.reader.readexactly(4) if second & 0x80 else b""
        payload = await self.reader.readexactly(length)
        return first & 0x0F, _masked(payload, mask) if mask else payload

    async def message(self) -> bytes:
        """The next text or binary message; pings are answered as the transcripts show."""
        while True:
            opcode, payload = await self.frame()
            await self.thawed.wait()
            if opcode == PING:
                self.pinged += 1
                await self.write(PONG, payload)
            elif opcode == CLOSE:
                await self.write(CLOSE, payload[:2])
                raise asyncio.IncompleteReadError(b"", None)
            elif opcode in {TEXT, BINARY}:
                return payload

    async def write(self, opcode: int, payload: bytes) -> None:
        mask = os.urandom(4) if self.masks else b""
        flag = 0x80 if self.masks else 0
        if len(payload) < 126:
            head = bytes([0x80 | opcode, flag | len(payload)])
        else:
            head = bytes([0x80 | opcode, flag | 126]) + struct.pack(">H", len(payload))
        self.writer.write(head + mask + (_masked(payload, mask) if mask else payload))
        await self.writer.drain()

    async def text(self, payload: bytes | str) -> None:
        await self.write(TEXT, payload.encode() if isinstance(payload, str) else payload)

    async def close(self, code: int = 1000) -> None:
        await self.write(CLOSE, struct.pack(">H", code))
        self.writer.close()

    def drop(self) -> None:
        """End the connection without a closing frame."""
        transport = self.writer.transport
        transport.abort()


def _masked(payload: bytes, mask: bytes) -> bytes:
    return bytes(octet ^ mask[place % 4] for place, octet in enumerate(payload))


class Broker:
    """A listener whose `talk` is one generation's behaviour; it can be killed, frozen and started again."""

    refuse_with: int | None = None  # an HTTP status instead of a handshake
    location: str = ""  # where that sends to

    def __init__(self) -> None:
        self.port = free_port()
        self.sockets: list[Socket] = []
        self.arrived = asyncio.Condition()
        self.tries = 0
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    async def start(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        return self

    async def kill(self) -> None:
        """As SIGKILL leaves it: every connection reset, the port free."""
        assert self._server is not None
        self._server.close()
        for socket in self.sockets:
            socket.drop()
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        self.sockets.clear()

    def freeze(self) -> None:
        """As SIGSTOP leaves it: connections stand, nothing is answered on those there are."""
        for socket in self.sockets:
            socket.thawed.clear()

    async def until(self, true: Callable[[], bool], seconds: float = 10) -> None:
        async with asyncio.timeout(seconds), self.arrived:
            await self.arrived.wait_for(true)

    async def talk(self, socket: Socket) -> None:
        raise NotImplementedError

    async def changed(self) -> None:
        async with self.arrived:
            self.arrived.notify_all()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        self.tries += 1
        socket = None
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)
            }
            if self.refuse_with is not None:
                to = f"Location: {self.location}\r\n" if self.location else ""
                writer.write(f"HTTP/1.1 {self.refuse_with} No\r\n{to}Content-Length: 0\r\n\r\n".encode())
                await self.changed()
                return
            accept = hashlib.sha1(
                (headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode(),
                usedforsecurity=False,
            )
            writer.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + base64.b64encode(accept.digest()) + b"\r\n"
                b"X-Powered-By: Ratchet/0.2.7\r\n\r\n"
            )
            socket = Socket(reader, writer, head[0].split()[1], headers)
            socket.thawed.set()
            self.sockets.append(socket)
            await self.talk(socket)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the last: this broker was killed
        finally:
            self._talks.discard(task)
            if socket in self.sockets:
                self.sockets.remove(socket)
            writer.close()
            await self.changed()


class ChannelBroker(Broker):
    """The first generation: greets, registers, relays whole envelopes to at most `receivers` (0: all)."""

    def __init__(self, receivers: int = 2) -> None:
        super().__init__()
        self.receivers = receivers
        self.registered: dict[Socket, str] = {}
        self.received: list[tuple[Socket, bytes]] = []

    async def talk(self, socket: Socket) -> None:
        await socket.text(ACCEPTED if socket.known else REJECTED)
        try:
            while True:
                octets = await socket.message()
                if socket.known:
                    self.received.append((socket, octets))
                    await self._act(socket, octets)
                    await self.changed()
        finally:
            self.registered.pop(socket, None)

    async def _act(self, socket: Socket, octets: bytes) -> None:
        try:
            request = json.loads(octets)
        except ValueError:
            return
        match request.get("command"):
            case "receive-message":
                self.registered[socket] = request["channel"]
            case "send-message":
                await self.relay(octets, request, socket)
            case "ping":
                self.registered.pop(socket, None)
                await socket.text(ACCEPTED)

    async def relay(self, octets: bytes, request: dict[str, Any], sender: Socket | None = None) -> None:
        wanted = [s for s, name in self.registered.items() if name == request["channel"] and s is not sender]
        most = int(request.get("number_of_receiver", self.receivers))
        for receiver in wanted[: most or None]:
            await receiver.text(octets)

    async def push(self, octets: bytes, channel: str = "sms", opcode: int = TEXT) -> int:
        """Octets for the consumers, valid for the broker or not; to how many they went."""
        receivers = [socket for socket, name in self.registered.items() if name == channel]
        return await _written(receivers, opcode, octets)


class TopicBroker(Broker):
    """The third generation: says nothing by itself, relays verbatim to all other clients of the topic."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[bytes] = []

    async def talk(self, socket: Socket) -> None:
        if "authorization" in socket.headers and not socket.known:
            await socket.close(1000)
            return
        await self.changed()
        while True:
            octets = await socket.message()
            self.said.append(octets)
            await self.push(octets, socket.query.get("topic", ""), sender=socket)
            await self.changed()

    async def push(
        self, octets: bytes, topic: str = "sms", opcode: int = TEXT, sender: Socket | None = None
    ) -> int:
        receivers = [s for s in self.sockets if s.query.get("topic") == topic and s is not sender]
        return await _written(receivers, opcode, octets)


class BareBroker(TopicBroker):
    """What the second generation's client expects: bare commands for `?channel=`, nothing said by either."""

    async def push(
        self, octets: bytes, topic: str = "sms", opcode: int = TEXT, sender: Socket | None = None
    ) -> int:
        receivers = [s for s in self.sockets if s.query.get("channel") == topic and s is not sender]
        return await _written(receivers, opcode, octets)


async def _written(receivers: list[Socket], opcode: int, octets: bytes) -> int:
    """To how many it was written; a frozen broker writes nothing."""
    written = 0
    for receiver in receivers:
        with contextlib.suppress(ConnectionError):
            if receiver.thawed.is_set():
                await receiver.write(opcode, octets)
                written += 1
    return written


@asynccontextmanager
async def started(*brokers: Broker) -> AsyncIterator[None]:
    try:
        for broker in brokers:
            await broker.start()
        yield
    finally:
        for broker in brokers:
            await broker.kill()


async def client(
    port: int, path: str = "/ws?sessid=1", user: str = USER, password: str = PASSWORD, *, php: bool = True
) -> Socket:
    """A historic client, its handshake as in the transcript. Raises `ConnectionError` with the status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "pragma: no-cache",
        "Upgrade: WebSocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: Z/4cPOfEguAMaOZYWPJExA==",
        "Sec-WebSocket-Version: 13",
        f"Authorization: {basic(user, password)}",
        *(["Content-type: application/json"] if php else []),
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    status = head.split(b"\r\n", 1)[0].decode()
    if " 101 " not in status:
        writer.close()
        raise ConnectionError(status)
    assert b"YsY4iDzJqX9Fh1Qmdw1lgnjyHaw=" in head, "the accept value of the transcript's key"
    socket = Socket(reader, writer, path, masks=True)
    socket.thawed.set()
    return socket


def pretty(value: object) -> str:
    """JSON as PHP's clients write it."""
    return json.dumps(value, indent=4)


async def nothing(socket: Socket, seconds: float = 0.2) -> None:
    """Nothing comes for a while."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            raise AssertionError(f"this came: {await socket.message()!r}")
