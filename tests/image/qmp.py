"""The QEMU machine protocol: one command at a time, events kept for who asks."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class QmpError(Exception):
    """QEMU refused a command."""


@dataclass(slots=True)
class Qmp:
    """A connection after its greeting."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    events: list[dict[str, Any]] = field(default_factory=list)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @classmethod
    async def connect(cls, socket: Path) -> "Qmp":
        qmp = cls(*await asyncio.open_unix_connection(str(socket)))
        await qmp.reader.readline()
        await qmp.execute("qmp_capabilities")
        return qmp

    async def execute(self, command: str, **arguments: Any) -> Any:
        """The value that the command returns. Underscores of argument names become hyphens."""
        named = {name.replace("_", "-"): value for name, value in arguments.items()}
        async with self._turn, asyncio.timeout(30):
            self.writer.write(json.dumps({"execute": command, "arguments": named}).encode() + b"\n")
            await self.writer.drain()
            async for message in self._messages():
                if "error" in message:
                    raise QmpError(f"{command}: {message['error']['desc']}")
                if "return" in message:
                    return message["return"]
                self.events.append(message)
        raise QmpError(f"{command}: QEMU is gone")

    async def event(self, name: str, seconds: float = 30) -> dict[str, Any]:
        """The next event of this name, also one that came while a command was waited for."""
        async with self._turn, asyncio.timeout(seconds):
            for index, message in enumerate(self.events):
                if message["event"] == name:
                    return self.events.pop(index)
            async for message in self._messages():
                if message.get("event") == name:
                    return message
                self.events.append(message)
        raise QmpError(f"{name}: QEMU is gone")

    async def _messages(self) -> AsyncIterator[dict[str, Any]]:
        while line := await self.reader.readline():
            yield json.loads(line)
