"""A modem on a pty that shares nothing with our simulator: it echoes for ever, dribbles and never stops talking."""

import asyncio
import os
import pty
import re
import tty

PIECE = 5  # octets
GAP = 0.0002  # seconds between two pieces
STORM = ("^RSSI:17", "^BOOT:38112413,0,0,0,75", "+CREG: 1", "^DSFLOWRPT:00000001,0,0,0,0,0,0", "+CIEV: 2,4", "RING")

ANSWERS = {
    "AT": (),
    "AT+CGMI": ("Foreign Works",),
    "AT+CGMM": ("FW-1",),
    "AT+CGMR": ("11.608.13",),
    "AT+CGSN": ("490154203237518",),
    "AT+CIMI": ("510010000000001",),
    "AT+CPIN?": ("+CPIN: READY",),
    "AT+CREG=1": (),
    "AT+CREG?": ("+CREG: 1,5",),
    "AT+CMGF=0": (),
    "AT+CSCA?": ('+CSCA: "+62816124",145',),
    "AT+CSQ": ("+CSQ: 24,99",),
    "AT+COPS?": ('+COPS: 0,0,"Foreign",2',),
}


class ForeignModem:
    """Commands that are not in `ANSWERS` get ERROR, `ATE0` among them. `pdus` are what it was given to send."""

    def __init__(self) -> None:
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        self.pdus: list[str] = []
        self.commands: list[str] = []
        self.air = 0.0
        self._line = b""
        self._body = False
        self._output = b""
        self._chatter = 0
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._master, self._read)
        self._timer: asyncio.TimerHandle | None = None

    def unplug(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._master)
        os.close(self._slave)
        os.close(self._master)

    def _read(self) -> None:
        for octet in os.read(self._master, 4096):
            self._octet(bytes((octet,)))

    def _octet(self, octet: bytes) -> None:
        self._say(octet)
        if octet == b"\x1b":
            self._body, self._line = False, b""
        elif self._body and octet == b"\x1a":
            self._body = False
            self.pdus.append(self._taken())
            self._loop.call_later(self.air, self._sent, len(self.pdus))
        elif octet == b"\r" and not self._body:
            self._command(self._taken())
        else:
            self._line += octet

    def _taken(self) -> str:
        line, self._line = self._line.decode(), b""
        return line

    def _command(self, command: str) -> None:
        self.commands.append(command)
        if re.fullmatch(r"AT\+CMGS=\d+", command):
            self._body = True
            self._storm()
            self._say(b"\r\n> ")
        elif command in ANSWERS:
            for line in ANSWERS[command]:
                self._storm()
                self._say(f"\r\n{line}\r\n".encode())
            self._storm()
            self._say(b"\r\nOK\r\n")
        else:
            self._say(b"\r\nERROR\r\n")

    def _sent(self, reference: int) -> None:
        self._storm()
        self._say(f"\r\n+CMGS: {reference}\r\n".encode())
        self._storm()
        self._say(b"\r\nOK\r\n")

    def _storm(self) -> None:
        self._chatter += 1
        self._say(f"\r\n{STORM[self._chatter % len(STORM)]}\r\n".encode())

    def _say(self, data: bytes) -> None:
        self._output += data
        if self._timer is None:
            self._timer = self._loop.call_later(GAP, self._dribble)

    def _dribble(self) -> None:
        self._timer = None
        try:
            written = os.write(self._master, self._output[:PIECE])
        except BlockingIOError:
            written = 0
        self._output = self._output[written:]
        if self._output:
            self._timer = self._loop.call_later(GAP, self._dribble)
