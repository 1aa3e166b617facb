"""The numbers that get no message from any modem; persistent, checked in memory."""

import asyncio
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from otpbroker.errors import Unavailable
from otpbroker.files import replace_file

_log = logging.getLogger(__name__)


class Blocklist:
    """Numbers in normal form, kept in a text file with one number a line.

    Changes are appended (`-` before a number lifts it), so that one costs the same however long the list is;
    the file is written anew when it is loaded.
    """

    def __init__(self, path: Path, numbers: Iterable[str] = ()) -> None:
        self._path = path
        self._numbers = dict.fromkeys(numbers)
        self._writing = asyncio.Lock()

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file, if there is one, and compact it. A line that isn't a number is dropped with a warning."""
        numbers: dict[str, None] = {}
        text = path.read_text("ascii", "replace") if path.exists() else ""
        lines = text.split("\n")[:-1]  # what follows the last line end was cut off by a loss of power
        for place, line in enumerate(lines, 1):
            number = line.removeprefix("-")
            if not number.isdigit():
                _log.warning("%s: line %d is not a number, dropped", path.name, place)
            elif line.startswith("-"):
                numbers.pop(number, None)
            else:
                numbers[number] = None
        blocklist = cls(path, numbers)
        if text != blocklist._text():
            replace_file(path, blocklist._text())
        return blocklist

    def __len__(self) -> int:
        return len(self._numbers)

    def blocked(self, receiver: str) -> bool:
        return receiver in self._numbers

    def entries(self, offset: int = 0, limit: int = 100, containing: str = "") -> list[str]:
        """A page of the list in order of blocking."""
        found = [number for number in self._numbers if containing in number]
        return found[offset : offset + limit]

    async def block(self, receiver: str) -> None:
        """From the return on the number is blocked, over restarts too. Raises `Unavailable`: it is not."""
        async with self._writing:
            if receiver not in self._numbers:
                self._numbers[receiver] = None
                try:
                    await self._append(receiver)
                except Unavailable:
                    del self._numbers[receiver]
                    raise

    async def unblock(self, receiver: str) -> None:
        """From the return on the number gets messages, over restarts too. Raises `Unavailable`: it does not."""
        async with self._writing:
            if receiver in self._numbers:
                await self._append(f"-{receiver}")
                del self._numbers[receiver]

    async def _append(self, line: str) -> None:
        try:
            await asyncio.to_thread(self._append_now, line)
        except OSError as error:
            raise Unavailable("not-saved", f"the block list can't be written: {error.strerror}") from error

    def _append_now(self, line: str) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(descriptor)

    def _text(self) -> str:
        return "".join(f"{number}\n" for number in self._numbers)
