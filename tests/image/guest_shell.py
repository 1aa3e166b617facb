"""The host's end of guest/shell.py: commands in, results out, over the socket of a port of the machine."""

import asyncio
import contextlib
import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Result:
    """What a command in the guest did."""

    code: int
    output: str
    errors: str


class CommandFailed(AssertionError):
    """A command that had to succeed did not."""


@dataclass(slots=True)
class GuestShell:
    """Several commands may run at the same time; answers find their askers by number."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    _asked: dict[int, "asyncio.Future[Result]"] = field(default_factory=dict)
    _listening: "asyncio.Task[None] | None" = None

    @classmethod
    async def connect(cls, socket: Path) -> "GuestShell":
        shell = cls(*await asyncio.open_unix_connection(str(socket), limit=1 << 24))
        shell._listening = asyncio.create_task(shell._listen())
        return shell

    async def run(self, command: str, *, text: str = "", seconds: float = 60, check: bool = True) -> Result:
        """Run in /bin/sh as root. A non-zero exit is `CommandFailed` unless `check` is off; 124 is a time-out."""
        number = next(self._numbers)
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        asked = {"id": number, "command": command, "input": text, "timeout": seconds}
        self.writer.write(b"\n" + json.dumps(asked).encode() + b"\n")
        try:
            async with asyncio.timeout(seconds + 20):
                await self.writer.drain()
                result = await answer
        finally:
            self._asked.pop(number, None)
        if check and result.code != 0:
            raise CommandFailed(f"{command}\nexit code {result.code}\n{result.output}{result.errors}")
        return result

    async def ready(self, seconds: float) -> None:
        """Wait until the guest answers."""
        async with asyncio.timeout(seconds):
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(3):
                        await self.run("true", seconds=3)
                        return

    async def close(self) -> None:
        if self._listening:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        self.writer.close()

    async def _listen(self) -> None:
        while line := await self.reader.readline():
            try:
                told = json.loads(line)
            except ValueError:  # a kernel message in between, on a serial port
                continue
            waiting = self._asked.get(told.get("id", -1))
            if waiting and not waiting.done():
                waiting.set_result(Result(told["code"], told["output"], told["errors"]))
