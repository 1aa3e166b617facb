"""A terminal for tests: types into a port and reads what comes back, octet for octet."""

import asyncio
import os
import re
from typing import Self

from otpbroker.sms.submission import Sms
from otpbroker.sms.submit import encode_submit

FINAL = re.compile(rb"\r\n(OK|ERROR|\+CM[ES] ERROR: [^\r]*)\r\n$")
PATIENCE = 5.0
RECEIVER = "6281234567890"


class Terminal:
    """Opens a port as a client does, within `with`."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self._came = bytearray()
        self._news = asyncio.Event()
        self.pieces: list[bytes] = []  # what each single read brought
        self.hung_up = False
        asyncio.get_running_loop().add_reader(self._descriptor, self._read)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)

    def type(self, octets: bytes) -> None:
        os.write(self._descriptor, octets)

    async def until(self, end: str | re.Pattern[bytes]) -> bytes:
        """Everything up to and with the first match of a pattern."""
        pattern = re.compile(re.escape(end.encode())) if isinstance(end, str) else end
        async with asyncio.timeout(PATIENCE):
            while (found := pattern.search(self._came)) is None:
                self._news.clear()
                await self._news.wait()
        taken = bytes(self._came[: found.end()])
        del self._came[: found.end()]
        return taken

    async def ask(self, line: str) -> list[str]:
        """A command line's answer as lines without the empty ones."""
        self.type(line.encode() + b"\r")
        return (await self.until(FINAL)).decode("ascii", "replace").split()

    async def whole(self, line: str) -> str:
        """A command line's answer as it came."""
        self.type(line.encode() + b"\r")
        return (await self.until(FINAL)).decode("ascii")

    async def submit(self, pdu: str) -> None:
        """`+CMGS` up to and with control-Z."""
        self.type(f"AT+CMGS={Sms.tpdu_length(pdu)}\r".encode())
        await self.until("\r\n> ")
        self.type(pdu.encode() + b"\x1a")

    async def send(self, text: str, receiver: str = RECEIVER) -> list[str]:
        """Each part of a message by `+CMGS`; the final lines of the last one."""
        lines: list[str] = []
        for pdu in encode_submit(receiver, text, reference=7, life=300):
            await self.submit(pdu)
            lines = (await self.until(FINAL)).decode("ascii", "replace").split("\r\n")
        return [line for line in lines if line]

    async def hang_up(self) -> None:
        """Wait until the port is gone."""
        async with asyncio.timeout(PATIENCE):
            while not self.hung_up:
                self._news.clear()
                await self._news.wait()

    def _read(self) -> None:
        try:
            piece = os.read(self._descriptor, 4096)
        except OSError:
            piece = b""
        if not piece:
            self.hung_up = True
            asyncio.get_running_loop().remove_reader(self._descriptor)
        else:
            self.pieces.append(piece)
            self._came += piece
        self._news.set()
