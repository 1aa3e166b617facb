"""A scripted modem with a message memory, and a core that takes what comes in."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from modem_desk import Desk
from scripted_modem import ScriptedModem

from otpbroker.modem.incoming import FIRST_LOOK
from otpbroker.modem.modem import Modem
from otpbroker.sms.deliver import Deliver, encode_deliver
from otpbroker.sms.reassemble import Message
from otpbroker.sms.status_report import StatusReport, encode_status_report
from otpbroker.sms.submission import Sms

SENT_AT = datetime.fromtimestamp(1_800_000_000, UTC)
LONG = "Kode Anda 123456, jangan diberikan kepada siapa pun. " * 6


def texts(text: str, sender: str = "BANK", reference: int = 7) -> tuple[str, ...]:
    """The PDUs of a message from the network."""
    return encode_deliver(sender, text, sent_at=SENT_AT, reference=reference, smsc="+62816124")


def report(reference: int = 1, status: int = 0) -> str:
    return encode_status_report(
        "+628123456789", reference=reference, sent_at=SENT_AT, discharged_at=SENT_AT, status=status
    )


class MemoryModem(ScriptedModem):
    """Keeps messages in memories of 20 places each; `answers` go before, None still being silence."""

    def __init__(self, answers: dict[str, str | None] | None = None, *, receiving: str = "SM") -> None:
        super().__init__(answers)
        self.places: dict[str, dict[int, str]] = {"SM": {}, "ME": {}, "SR": {}}
        self.statuses: dict[tuple[str, int], int] = {}
        self.receiving = receiving
        self.selected = "ME"
        self.notify = ""
        self.lists = 0

    def put(self, *pdus: str, memory: str = "SM", status: int = 0) -> None:
        for pdu in pdus:
            index = next(at for at in range(1, 100) if at not in self.places[memory])
            self.places[memory][index] = pdu
            self.statuses[memory, index] = status

    def deliver(self, *pdus: str, memory: str = "SM", tell: str = "+CMTI", as_if: str = "") -> None:
        """Store and tell; `as_if` another memory."""
        for pdu in pdus:
            self.put(pdu, memory=memory)
            self.say(f'\r\n{tell}: "{as_if or memory}",{max(self.places[memory])}\r\n')

    def send(self, pdu: str, code: str = "+CDS: ") -> None:
        """Directly, past the memory."""
        self.say(f"\r\n{code}{Sms.tpdu_length(pdu)}\r\n{pdu}\r\n")

    @property
    def stored(self) -> int:
        return sum(map(len, self.places.values()))

    def _line(self, line: str) -> None:
        if line not in self.answers and (answer := self._answer(line)) is not None:
            self.lines.append(line)
            self.say_soon(f"\r\n{answer}\r\n")
        else:
            super()._line(line)

    def _fill(self, memory: str) -> str:
        return f"{len(self.places[memory])},20"

    def _answer(self, line: str) -> str | None:
        mine = self.places[self.selected]
        if line == "AT+CPMS=?":
            return '+CPMS: ("SM","ME","SR"),("SM","ME"),("SM","ME")\r\nOK'
        if line == "AT+CPMS?":
            names = (self.selected, "SM", self.receiving)
            return "+CPMS: " + ",".join(f'"{name}",{self._fill(name)}' for name in names) + "\r\nOK"
        if found := re.fullmatch(r'AT\+CPMS="(\w+)"', line):
            self.selected = found[1]
            return f"+CPMS: {self._fill(self.selected)},{self._fill('SM')},{self._fill('SM')}\r\nOK"
        if line == "AT+CMGL=4":
            self.lists += 1
            listed = (
                f"+CMGL: {at},{self.statuses[self.selected, at]},,{Sms.tpdu_length(pdu)}\r\n{pdu}\r\n"
                for at, pdu in sorted(mine.items())
            )
            return "".join(listed) + "OK"
        if found := re.fullmatch(r"AT\+CMGR=(\d+)", line):
            pdu = mine.get(int(found[1]))
            status = self.statuses.get((self.selected, int(found[1])))
            return "OK" if pdu is None else f"+CMGR: {status},,{Sms.tpdu_length(pdu)}\r\n{pdu}\r\nOK"
        if found := re.fullmatch(r"AT\+CMGD=(\d+)", line):
            return "+CMS ERROR: 321" if mine.pop(int(found[1]), None) is None else "OK"
        if found := re.fullmatch(r"AT\+CNMI=(.*)", line):
            self.notify = found[1]
            return "OK"
        if line == "AT+CNMI?":
            return f"+CNMI: {self.notify}\r\nOK"
        return None


class Core:
    """Fits `modem.shared.Inbound`; does not keep anything while it is `full`."""

    def __init__(self) -> None:
        self.full = False
        self.reports: list[StatusReport] = []
        self.messages: list[Message] = []
        self.offered = 0
        self.held: set[bytes] = set()  # parts of messages that it kept

    @property
    def texts(self) -> list[str]:
        return [message.text for message in self.messages]

    def reported(self, modem_id: str, report: StatusReport) -> None:
        assert modem_id == "m1"
        self.reports.append(report)

    async def received(self, modem_id: str, message: Message) -> bool:
        assert modem_id == "m1"
        self.offered += 1
        if not self.full:
            self.messages.append(message)
            self.held.update(message.fingerprints)
        return not self.full

    def holds(self, modem_id: str, part: Deliver) -> bool:
        assert modem_id == "m1"
        return part.fingerprint in self.held


@asynccontextmanager
async def ready(wire: MemoryModem, core: Core) -> AsyncIterator[Modem]:
    """A modem that has read what lay in its memory at the start."""
    async with Desk(wire, inbound=core).ready() as modem:
        await asyncio.sleep(FIRST_LOOK + 0.1)
        yield modem


def deleted(wire: MemoryModem) -> int:
    return sum(line.startswith("AT+CMGD=") for line in wire.lines)
