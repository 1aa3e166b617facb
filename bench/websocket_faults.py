"""A minute of load through a real `otpbroker relay` that is killed, stopped in order, and frozen."""

import asyncio
import base64
import json
import secrets
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import yaml
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from bench.ports import free_port
from bench.rig import PASSWORD, USER, Installation, Modems, modems
from bench.scenarios import Row, at_most
from otpbroker.messaging.wire import broker_frames as frames
from otpbroker.passwords import hash_password

SECONDS, RATE = 60, 8  # the simulated phone remembers 500
MODEMS, AIR = 4, 0.3  # a third more than the load
QUIET = 3.0  # seconds between two faults
LONGEST_NOTICED = 21.0  # of a frozen relay: two pings of the feeder's, and asking how it stands
LONGEST_WAIT = 36.0  # the longest back-off with its jitter, a try under way, and a message
_PUBLISHER, _DEVICE = "shop", "device"


@dataclass
class _Relay:
    """The real command with its folder; it keeps its port."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: asyncio.subprocess.Process | None = None

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        password = hash_password(PASSWORD)
        users = [
            {"username": _PUBLISHER, "password": password, "publish": ["sms"]},
            {"username": _DEVICE, "password": password, "consume": ["sms"]},
        ]
        (self.folder / "users.yaml").write_text(yaml.safe_dump({"users": users}))
        document = {"port": self.port, "metrics_port": None, "users": "users.yaml"}
        (self.folder / "relay.yaml").write_text(yaml.safe_dump(document))

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    async def start(self) -> None:
        with (self.folder / "relay.log").open("ab") as log:
            command = ("relay", "--config", str(self.folder / "relay.yaml"))
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "otpbroker", *command), stdout=log, stderr=log
            )
        async with asyncio.timeout(30):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except ConnectionRefusedError:
                    await asyncio.sleep(0.02)  # there is nothing to wait on in another process's start
                else:
                    writer.close()
                    return

    async def end(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)
            await self.process.wait()

    def tell(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)


@dataclass
class _Publisher:
    """`count` messages, `rate` a second, each with an id of its own; what is not settled is published again."""

    relay: _Relay
    count: int
    rate: float
    verdicts: dict[str, str] = field(default_factory=dict)
    connections: int = 0
    _run: str = field(default_factory=lambda: secrets.token_hex(4))

    @property
    def texts(self) -> list[str]:
        return [f"load {number:05d}" for number in range(self.count)]

    async def run(self) -> None:
        """Until all are settled."""
        began = time.monotonic()
        while len(self.verdicts) < self.count:
            try:
                async with self._connected() as socket:
                    self.connections += 1
                    saying = asyncio.create_task(self._say(socket, began))
                    try:
                        await self._hear(socket)
                    finally:
                        saying.cancel()
                        await asyncio.gather(saying, return_exceptions=True)
            except (WebSocketException, OSError, TimeoutError):
                await asyncio.sleep(0.1)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[ClientConnection]:
        basic = base64.b64encode(f"{_PUBLISHER}:{PASSWORD}".encode()).decode()
        async with connect(
            f"{self.relay.url}?channel=sms",
            additional_headers={"Authorization": f"Basic {basic}"},
            subprotocols=[Subprotocol(frames.SUBPROTOCOL)],
            proxy=None,
            open_timeout=5,
            close_timeout=1,
        ) as socket:
            yield socket

    async def _say(self, socket: ClientConnection, began: float) -> None:
        for number, text in enumerate(self.texts):
            if text in self.verdicts:
                continue
            await asyncio.sleep(max(0.0, began + number / self.rate - time.monotonic()))
            body = json.dumps({"command": "send-sms", "data": {"receiver": f"62812{number:08d}", "message": text}})
            await socket.send(frames.dump(frames.Publish(id=f"{self._run}-{number}", body=body)))

    async def _hear(self, socket: ClientConnection) -> None:
        while len(self.verdicts) < self.count:
            frame = frames.load(await asyncio.wait_for(socket.recv(decode=False), 15))  # silent for so long: gone
            if isinstance(frame, frames.Settled):
                self.verdicts[self.texts[int(frame.id.rpartition("-")[2])]] = frame.verdict


async def websocket_faults(folder: Path) -> list[Row]:
    """Each fault lasts until the device tells of it; then how long until a message is sent again."""
    async with AsyncExitStack() as stack:
        relay = _Relay(folder / "relay")
        stack.push_async_callback(relay.end, signal.SIGKILL)
        await relay.start()
        simulated = await stack.enter_async_context(modems(folder / "simulated", MODEMS, AIR))
        entry = {"id": "relay", "kind": "websocket", "url": relay.url, "username": _DEVICE, "password": PASSWORD}
        agent = Installation(folder / "agent", simulated.ports, rights=("feeders",), feeders=[entry])
        stack.push_async_callback(agent.kill)
        await agent.start()
        await _until_connected(agent)
        publisher = _Publisher(relay, SECONDS * RATE, RATE)
        publishing = asyncio.create_task(publisher.run())
        rows = []
        for name, number in (
            ("killed and started", signal.SIGKILL),
            ("stopped in order and started", signal.SIGTERM),
            ("frozen", signal.SIGSTOP),
        ):
            await asyncio.sleep(QUIET)
            rows += await _suffer(name, number, relay, agent, simulated)
            await _until_connected(agent)
        async with asyncio.timeout(SECONDS + 60):
            await publishing
        await asyncio.sleep(10 * AIR)  # a second copy would come now
        copies = {message.text: message.copies for message in await simulated.control.messages()}
        await agent.stop()
    return rows + _told(publisher, copies)


async def _suffer(
    name: str, number: signal.Signals, relay: _Relay, agent: Installation, simulated: Modems
) -> list[Row]:
    begin = time.perf_counter()
    if number is signal.SIGSTOP:
        relay.tell(number)
    else:
        await relay.end(number)
    while await _state(agent) == "connected":
        await asyncio.sleep(0.02)
    noticed = time.perf_counter() - begin
    await asyncio.sleep(2 * AIR)  # what is in the air lands
    before = await _arrived(simulated)
    begin = time.perf_counter()
    if number is signal.SIGSTOP:
        relay.tell(signal.SIGCONT)
    else:
        await relay.start()
    async with asyncio.timeout(60):
        while await _arrived(simulated) == before:
            await asyncio.sleep(0.02)
    return [
        at_most(f"relay {name}: noticed after", noticed, LONGEST_NOTICED, "s"),
        at_most(f"relay {name}: sending again after", time.perf_counter() - begin, LONGEST_WAIT, "s"),
    ]


def _told(publisher: _Publisher, copies: dict[str, int]) -> list[Row]:
    kind = f"relay faults, {publisher.count} messages in {SECONDS} s"
    twice = [text for text, times in copies.items() if times > 1]
    silently = [text for text in twice if publisher.verdicts.get(text) != "unknown"]
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in Counter(publisher.verdicts.values()).items())
    return [
        at_most(f"{kind}: lost", sum(text not in copies for text in publisher.texts), 0, ""),
        at_most(f"{kind}: doubled silently", len(silently), 0, ""),
        Row(f"{kind}: doubled and told as unknown", str(len(twice) - len(silently)), "", good=True),
        Row(f"{kind}: settled", verdicts, "", good=True),
        Row(f"{kind}: connections of the publisher", str(publisher.connections), "", good=True),
    ]


async def _arrived(simulated: Modems) -> int:
    return sum(message.copies for message in await simulated.control.messages())


async def _until_connected(agent: Installation) -> None:
    async with asyncio.timeout(60):
        while await _state(agent) != "connected":
            await asyncio.sleep(0.05)


async def _state(agent: Installation) -> Any:
    async with httpx2.AsyncClient(auth=(USER, PASSWORD), timeout=30, trust_env=False) as client:
        answer = await client.get(f"http://127.0.0.1:{agent.port}/api/v1/feeders")
    answer.raise_for_status()
    return answer.json()["feeders"][0]["state"]
