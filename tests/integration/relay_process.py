"""The relay on ports of its own, here or as a process, and those who publish to it and consume from it."""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx2
import yaml
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from bench.ports import free_port
from otpbroker.messaging.wire.broker_frames import SUBPROTOCOL
from otpbroker.passwords import hash_password
from otpbroker.relay.server import Relay
from otpbroker.relay.settings import load_settings
from websocket_peers import Socket, basic
from websocket_peers import client as historic_client

PASSWORD = "lima ekor kucing"
_HASH = hash_password(PASSWORD)
USERS = [
    {"username": "shop", "password": _HASH, "publish": ["sms", "other"], "consume": ["answer-*"]},
    {"username": "device", "password": _HASH, "consume": ["sms", "other"], "publish": ["answer-*"]},
    {"username": "second", "password": _HASH, "consume": ["sms"]},
]


@dataclass
class RunningRelay:
    """Settings, users and log in `folder`; all its starts are on the same ports."""

    folder: Path
    port: int = field(default_factory=free_port)
    metrics_port: int = field(default_factory=free_port)
    historic: list[Socket] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    async def metrics(self) -> dict[str, float]:
        async with httpx2.AsyncClient(trust_env=False, timeout=10) as client:
            text = (await client.get(f"http://127.0.0.1:{self.metrics_port}/metrics")).text
        lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        return {name.removeprefix("otpbroker_relay_"): float(value) for name, _, value in lines}

    async def until(self, name: str, value: float) -> None:
        async with asyncio.timeout(10):
            while (await self.metrics()).get(name, 0.0) != value:
                await asyncio.sleep(0.02)  # what an outsider can see

    async def client(self, path: str, user: str, password: str = PASSWORD) -> Socket:
        """A historic client, hung up on at the end."""
        socket = await historic_client(self.port, path, user, password)
        self.historic.append(socket)
        return socket

    @contextlib.asynccontextmanager
    async def ours(self, user: str, channel: str = "sms") -> AsyncIterator["Ours"]:
        """A client that acknowledges."""
        async with connect(
            f"{self.url}?channel={channel}",
            additional_headers={"Authorization": basic(user, PASSWORD)},
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            proxy=None,
        ) as socket:
            assert socket.subprotocol == SUBPROTOCOL
            yield Ours(socket)


@dataclass
class RelayHere(RunningRelay):
    """In this process."""

    relay: Relay = field(init=False)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _running: asyncio.Task[None] | None = None

    async def start(self) -> Self:
        settings = load_settings(self.folder / "relay.yaml")
        ports = {"port": self.port, "metrics_port": self.metrics_port}
        self.relay = Relay(settings.model_copy(update=ports))
        self._stop = asyncio.Event()
        ready = asyncio.Event()

        def told(port: int, metrics_port: int | None) -> None:
            assert (port, metrics_port) == (self.port, self.metrics_port)
            ready.set()

        self._running = asyncio.create_task(self.relay.run(told, self._stop))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({self._running, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if self._running.done():
            waiting.cancel()
            self._running.result()
        return self

    async def stop(self) -> None:
        self._stop.set()
        if self._running is not None:
            await self._running


@dataclass
class RelayProcess(RunningRelay):
    """The real command."""

    process: asyncio.subprocess.Process | None = None

    @property
    def log(self) -> str:
        return (self.folder / "relay.log").read_text()

    async def start(self) -> Self:
        with (self.folder / "relay.log").open("ab") as log:
            at = log.tell()
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "otpbroker", "relay", "--config", str(self.folder / "relay.yaml")),
                *("--port", str(self.port), "--metrics-port", str(self.metrics_port)),
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )
        async with asyncio.timeout(20):
            while f"metrics on http://127.0.0.1:{self.metrics_port}/" not in self.log[at:]:
                assert self.process.returncode is None, self.log
                await asyncio.sleep(0.02)  # there is nothing to wait on in another process's start
        return self

    async def stop(self, number: signal.Signals = signal.SIGKILL) -> None:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
            await asyncio.wait_for(self.process.wait(), 15)


@dataclass
class Ours:
    socket: ClientConnection

    async def say(self, **frame: Any) -> None:
        await self.socket.send(json.dumps(frame))

    async def hear(self, seconds: float = 10) -> dict[str, Any]:
        return dict(json.loads(await asyncio.wait_for(self.socket.recv(), seconds)))

    async def quiet(self, seconds: float = 0.2) -> None:
        with contextlib.suppress(TimeoutError):
            raise AssertionError(await self.hear(seconds))

    async def publish(self, name: str, body: str = "{}", **more: Any) -> dict[str, Any]:
        """What the relay answers at once."""
        await self.say(type="publish", id=name, body=body, **more)
        return await self.hear()


def lay_out(folder: Path, **settings: Any) -> None:
    (folder / "users.yaml").write_text(yaml.safe_dump({"users": USERS}))
    (folder / "relay.yaml").write_text(yaml.safe_dump(settings))


_R = TypeVar("_R", RelayHere, RelayProcess)


def relaying(folder: Path, **settings: Any) -> contextlib.AbstractAsyncContextManager[RelayHere]:
    lay_out(folder, **settings)
    return _running(RelayHere(folder))


def relay_process(folder: Path, **settings: Any) -> contextlib.AbstractAsyncContextManager[RelayProcess]:
    lay_out(folder, **settings)
    return _running(RelayProcess(folder))


@contextlib.asynccontextmanager
async def _running(relay: _R) -> AsyncIterator[_R]:
    try:
        yield await relay.start()
    finally:
        for socket in relay.historic:
            socket.drop()
        await relay.stop()
