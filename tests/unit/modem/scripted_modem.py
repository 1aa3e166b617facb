"""The far end of a link for unit tests: answers by a table, in pieces of any size, with or without echo."""

import asyncio
import re
from collections.abc import Callable

IMEI = "356938035643809"
ICCID = "8962100000000000017"

# What a well-behaved modem with an open SIM in its home network answers.
ANSWERS: dict[str, str | None] = {
    "AT": "OK",
    "ATE0": "OK",
    "AT+CGMI": "ACME\r\nOK",
    "AT+CGMM": "M1\r\nOK",
    "AT+CGMR": "Revision: 1.0\r\nOK",
    "AT+CGSN": f"{IMEI}\r\nOK",
    "AT+CCID": f"+CCID: {ICCID}\r\nOK",
    "AT+CPIN?": "+CPIN: READY\r\nOK",
    "AT+CIMI": "510101234567890\r\nOK",
    "AT+CNUM": '+CNUM: "","+628111111111",145\r\nOK',
    "AT+CREG?": "+CREG: 1,1\r\nOK",
    "AT+CEREG?": "ERROR",
    "AT+CSCA?": '+CSCA: "+62816124",145\r\nOK',
    "AT+CMMS?": "+CMMS: 0\r\nOK",
    "AT+CSQ": "+CSQ: 20,99\r\nOK",
    "AT+COPS?": '+COPS: 0,0,"XL",7\r\nOK',
}


class ScriptedModem:
    """Fits `modem.Link`. `answers` go over `ANSWERS`; None is silence, an unknown command gets OK.

    A PDU is answered by what `on_pdu` makes of it. `lines`, `pdus` and `escapes` are what the modem was given.
    """

    def __init__(
        self,
        answers: dict[str, str | None] | None = None,
        *,
        piece: int = 0,
        echo: bool = False,
        before: str = "",
        on_pdu: Callable[[str], str | None] | None = None,
    ) -> None:
        self.answers = {**ANSWERS, **(answers or {})}
        self.piece = piece
        self.echo = echo
        self.before = before  # octets before each answer: noise, or unsolicited lines
        self.on_pdu = on_pdu or self.accept
        self.prompt: str | None = "\r\n> "
        self.prompting = False
        self.lines: list[str] = []
        self.pdus: list[str] = []
        self.escapes = 0
        self.closed = False
        self._reference = 0
        self._input = bytearray()
        self._on_data: Callable[[bytes], None] | None = None
        self._on_lost: Callable[[str], None] | None = None
        self._early: list[bytes] = []

    def start(self, on_data: Callable[[bytes], None], on_lost: Callable[[str], None]) -> None:
        self._on_data, self._on_lost = on_data, on_lost
        self.closed = False
        for data in self._early:
            on_data(data)
        self._early.clear()

    async def close(self) -> None:
        self.closed = True

    def hang_up(self) -> None:
        assert self._on_lost is not None
        self._on_lost("hang-up")

    def accept(self, _pdu: str) -> str:
        self._reference += 1
        return f"+CMGS: {self._reference}\r\n\r\nOK"

    def write(self, data: bytes) -> None:
        assert not self.closed
        for octet in data:
            self._octet(octet)

    def say(self, text: str) -> None:
        """Octets to the terminal, now: as one piece or in many."""
        data = text.encode("latin-1")
        size = self.piece or len(data) or 1
        for start in range(0, len(data), size):
            if self._on_data is None:
                self._early.append(data[start : start + size])
            elif not self.closed:
                self._on_data(data[start : start + size])

    def say_soon(self, text: str) -> None:
        asyncio.get_running_loop().call_soon(self.say, text)

    def _octet(self, octet: int) -> None:
        if octet == 0x1B:
            self.escapes += 1
            self.prompting = False
            self._input.clear()
        elif self.prompting:
            if octet == 0x1A:
                self.prompting = False
                self._pdu(self._taken())
            elif octet == 0x0D:
                self.say_soon("\r\n> ")
            else:
                self._input.append(octet)
        elif octet == 0x0D:
            self._line(self._taken())
        else:
            self._input.append(octet)

    def _taken(self) -> str:
        text = self._input.decode("latin-1")
        self._input.clear()
        return text

    def _line(self, line: str) -> None:
        self.lines.append(line)
        echo = f"{line}\r" if self.echo else ""
        if re.match(r"AT\+CMGS=\d+$", line) and line not in self.answers:
            self.prompting = True
            if self.prompt is not None:
                self.say_soon(echo + self.before + self.prompt)
            return
        answer = self.answers.get(line, "OK")
        if answer is not None:
            self.say_soon(f"{echo}{self.before}\r\n{answer}\r\n")

    def _pdu(self, pdu: str) -> None:
        self.pdus.append(pdu)
        answer = self.on_pdu(pdu)
        if answer is not None:
            self.say_soon((pdu + "\x1a" if self.echo else "") + f"{self.before}\r\n{answer}\r\n")
