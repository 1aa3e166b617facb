"""What the agent is compared with: a bare AT loop, without queue, HTTP, journal or error handling."""

import asyncio
import os
import tty

from otpbroker.sms.submission import Sms
from otpbroker.sms.submit import encode_submit


class BareModem:
    """The shortest program that sends an SMS: `+CMGS`, wait for the prompt, PDU, wait for `OK`."""

    def __init__(self, port: str) -> None:
        self._file = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self._file)
        self._seen = b""
        self._wake = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._file, self._read)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._file)
        os.close(self._file)

    async def start(self) -> None:
        for command in (b"ATE0\r", b"AT+CMGF=0\r"):
            await self._ask(command, b"OK\r\n")

    async def send(self, receiver: str, text: str) -> None:
        (pdu,) = encode_submit(receiver, text, reference=0, life=300)
        await self._ask(b"AT+CMGS=%d\r" % Sms.tpdu_length(pdu), b"> ")
        await self._ask(pdu.encode() + b"\x1a", b"OK\r\n")

    async def _ask(self, octets: bytes, end: bytes) -> None:
        self._seen = b""
        os.write(self._file, octets)
        async with asyncio.timeout(10):
            while not self._seen.endswith(end):
                self._wake.clear()
                await self._wake.wait()

    def _read(self) -> None:
        self._seen += os.read(self._file, 4096)
        self._wake.set()
