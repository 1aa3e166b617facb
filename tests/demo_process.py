"""The real `otpbroker demo` as a process, on ports of its own."""

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Demo:
    """A running demo and what its `READY` line told."""

    process: asyncio.subprocess.Process
    facts: dict[str, Any]

    async def interrupt(self) -> int:
        """Ctrl-C, and wait for the end."""
        self.process.send_signal(signal.SIGINT)
        return await asyncio.wait_for(self.process.wait(), 20)


@contextlib.asynccontextmanager
async def running_demo(*options: str) -> AsyncIterator[Demo]:
    ports = [word for name in ("admin", "api", "https", "phone") for word in (f"--{name}-port", "0")]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "otpbroker", "demo", "--json", *ports, *options), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            line = await process.stdout.readline()
        yield Demo(process, json.loads(line.removeprefix(b"READY ")))
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            await asyncio.wait_for(process.wait(), 20)
