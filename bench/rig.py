"""The things under test, as processes of their own: simulated modems, the agent, and what /proc tells of it."""

import asyncio
import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench.ports import free_port
from otpbroker.modem.simulator import ControlClient
from otpbroker.passwords import hash_password

USER = "bench"
PASSWORD = secrets.token_urlsafe(18)
_TICKS = os.sysconf("SC_CLK_TCK")
_START_LIMIT = 30.0


@dataclass(frozen=True, slots=True)
class Modems:
    """A running simulator: port paths, and its control socket."""

    ports: tuple[str, ...]
    control: ControlClient


@dataclass(frozen=True, slots=True)
class RunningAgent:
    """A running agent; `started` is how many seconds it took until REST answered."""

    pid: int
    port: int
    started: float

    def cpu(self) -> float:
        """Seconds of processor time so far, user and system."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def resident(self) -> float:
        """MiB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@contextlib.asynccontextmanager
async def modems(folder: Path, count: int, air: float) -> AsyncIterator[Modems]:
    """`count` simulated modems on ptys, each message `air` seconds in the air."""
    folder.mkdir(parents=True)
    control = folder / "control"
    command = ["simulate-modem", "--count", str(count), "--dir", str(folder / "modems"), "--control", str(control)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "otpbroker", *command, "--air", str(air), "--json", "--with-parent"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        async with asyncio.timeout(_START_LIMIT):
            line = await process.stdout.readline()
        ports = tuple(json.loads(line.removeprefix(b"READY "))["ports"])
        yield Modems(ports, ControlClient(control))
    finally:
        process.stdin.close()
        await process.wait()


class Installation:
    """An agent's folders below `folder` (in RAM) with a configuration; it can be started, killed, started again."""

    def __init__(
        self, folder: Path, ports: tuple[str, ...], *, rights: tuple[str, ...] = (), **sections: Any
    ) -> None:
        """`ports` become modems `modem-1`..., all equal; `sections` replace or add to the configuration's."""
        self.folders = {name: folder / name for name in ("state", "runtime", "log")}
        for path in self.folders.values():
            path.mkdir(parents=True)
        self.output = folder / "agent.log"
        self.port = free_port()
        document = {
            "modems": [{"id": f"modem-{n}", "port": path} for n, path in enumerate(ports, 1)],
            "api": {
                "http": {"port": self.port},
                "https": {"enabled": False},
                "users": [{"username": USER, "password": hash_password(PASSWORD), "rights": list(rights)}],
            },
            "admin": {"listen": {"port": 0}},
        } | sections
        (self.folders["state"] / "config.yaml").write_text(yaml.safe_dump(document))
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> RunningAgent:
        options = [word for name, path in self.folders.items() for word in (f"--{name}", str(path))]
        with self.output.open("ab") as log:
            start = time.perf_counter()
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "otpbroker", "run", *options), stdout=log, stderr=log
            )
        async with asyncio.timeout(_START_LIMIT):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except ConnectionRefusedError:
                    if self._process.returncode is not None:
                        raise RuntimeError(f"the agent ended: {self.output.read_text()}") from None
                    await asyncio.sleep(0.01)  # there is nothing to wait on in another process's start
                else:
                    itself = writer.get_extra_info("sockname") == writer.get_extra_info("peername")
                    writer.close()
                    if itself:  # a free port in the range that the kernel connects from can meet itself
                        continue
                    return RunningAgent(self._process.pid, self.port, time.perf_counter() - start)

    async def stop(self) -> None:
        """SIGTERM, and wait for the orderly end."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()

    async def kill(self) -> None:
        """SIGKILL: nothing of the process's own runs any more."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


@contextlib.asynccontextmanager
async def agent(folder: Path, ports: tuple[str, ...]) -> AsyncIterator[RunningAgent]:
    """A running agent with these modems and room for a heavy load."""
    installation = Installation(folder, ports, sms={"max_waiting": 100_000, "duplicate_window": 3600})
    try:
        yield await installation.start()
    finally:
        await installation.stop()
