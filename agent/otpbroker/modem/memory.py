"""The memory of a modem or its SIM for short messages: 27.005 sections 3.2.2 (+CPMS), 3.5.4 (+CMGD), 4.1, 4.2."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from otpbroker.modem import answers
from otpbroker.modem.at import AtConversation
from otpbroker.modem.parts import Place
from otpbroker.modem.results import AtError, quoted

REPORTS = "SR"  # the memory for delivery reports alone
_EVERYTHING = "MT"  # all memories as one
_RECEIVING = ("SM", "ME")
_RECEIVED = frozenset({"0", "1"})  # <stat>: unread, read; the others were written by a terminal
_LONGEST_NAME = 4


@dataclass(frozen=True, slots=True)
class Entry:
    """One message as it lies there; `received` by the network, not written there by a terminal."""

    place: Place
    received: bool
    pdu: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Fill:
    """How full a memory is."""

    used: int
    total: int

    @property
    def nearly_full(self) -> bool:
        return self.total > 0 and self.total - self.used <= max(1, self.total // 10)


class MessageMemory:
    """Raises `AtTimeout`, `LinkLost` and `OutOfStep`; what the modem refuses is as if it were not there."""

    def __init__(self, conversation: AtConversation) -> None:
        self._at = conversation
        self._selected = ""
        self.names: tuple[str, ...] = ()  # where messages and reports may lie

    async def survey(self) -> None:
        """Find out which memories there are."""
        self._selected = ""
        known = _names(await self._ask("AT+CPMS=?"))
        found = [*reversed(await self.fills()), *(name for name in _RECEIVING if name in known)]
        if found[:1] == [_EVERYTHING]:
            found = found[:1]
        # Else its places are those of the others once more.
        names = [name for name in found if name != _EVERYTHING] or found
        self.names = tuple(dict.fromkeys([*names, *(name for name in known if name == REPORTS)]))

    async def fills(self) -> dict[str, Fill]:
        """Those in use now; where messages from the network go comes last."""
        lines = await self._ask("AT+CPMS?")
        values = answers.fields(lines[0]) if lines else ()
        found: dict[str, Fill] = {}
        for name, used, total in zip(values[::3], values[1::3], values[2::3], strict=False):
            if _is_name(name) and used.isdecimal() and total.isdecimal():
                found.pop(name, None)
                found[name] = Fill(int(used), int(total))
        return found

    async def select(self, name: str) -> Fill | None:
        """Make this the memory that is read and deleted from; None when the modem refuses."""
        self._selected = ""
        try:
            lines = await self._at.command(f"AT+CPMS={quoted(name)}")
        except AtError:
            return None
        self._selected = name
        values = answers.fields(lines[0]) if lines else ()
        if len(values) < 2 or not (values[0].isdecimal() and values[1].isdecimal()):
            return Fill(0, 0)
        return Fill(int(values[0]), int(values[1]))

    async def list(self, name: str) -> tuple[Entry, ...]:
        """Everything in the selected memory of this name."""
        return tuple(_entries(name, await self._ask("AT+CMGL=4")))

    async def read(self, place: Place) -> Entry | None:
        """What lies in a place, or None."""
        if not await self._reach(place):
            return None
        lines = await self._ask(f"AT+CMGR={place.index}")
        if len(lines) < 2:
            return None
        return _entry(place, answers.fields(lines[0]), lines[1])

    async def delete(self, place: Place) -> bool:
        """Free a place; False when the modem does not let it go."""
        if not await self._reach(place):
            return False
        try:
            await self._at.command(f"AT+CMGD={place.index}")
        except AtError as error:
            return error.kind == "cms" and error.number == 321  # 27.005 section 3.2.5: nothing lies there
        return True

    async def _reach(self, place: Place) -> bool:
        return place.memory in {"", self._selected} or await self.select(place.memory) is not None

    async def _ask(self, command: str) -> tuple[str, ...]:
        try:
            return await self._at.command(command)
        except AtError:
            return ()


def announced(line: str) -> Place | None:
    """The place that `+CMTI` or `+CDSI` tells (27.005 section 3.4.1)."""
    values = answers.fields(line)
    if len(values) < 2 or not _is_name(values[0]) or not values[1].isdecimal() or len(values[1]) > 5:
        return None
    return Place(values[0], int(values[1]))


def whole_pdu(pdu: str, length: str) -> str:
    """The PDU with its SMSC field; modems exist that leave it out, as the `length` of the TPDU shows."""
    return f"00{pdu}" if length.isdecimal() and int(length) * 2 == len(pdu) else pdu


def _entries(name: str, lines: Iterable[str]) -> Iterator[Entry]:
    """`+CMGL: <index>,<stat>,[<alpha>],<length>`, then the PDU."""
    head: tuple[str, ...] = ()
    for line in lines:
        if line.startswith("+CMGL:"):
            head = answers.fields(line)
        elif len(head) > 1 and head[0].isdecimal():
            yield _entry(Place(name, int(head[0])), head[1:], line)
            head = ()


def _entry(place: Place, values: tuple[str, ...], pdu: str) -> Entry:
    """`values` are `<stat>,[<alpha>],<length>`."""
    return Entry(place, values[:1] == () or values[0] in _RECEIVED, whole_pdu(pdu, values[-1] if values else ""))


def _names(lines: Iterable[str]) -> tuple[str, ...]:
    """The first list of `+CPMS: ("SM","ME"),("SM"),("SM")`."""
    for line in lines:
        if found := re.match(r"\+CPMS: ?\(([^)]*)\)", line):
            return tuple(name for name in re.findall(r'"([^"]*)"', found[1]) if _is_name(name))
    return ()


def _is_name(text: str) -> bool:
    return text.isascii() and text.isalnum() and len(text) <= _LONGEST_NAME
