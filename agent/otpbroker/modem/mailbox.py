"""A modem's message memory while it is emptied: what is told of is read, what is kept elsewhere is deleted.

Nothing is deleted before `free` says so, but what nobody will ever read when there is no room for more.
"""

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from otpbroker.modem.at import AtConversation
from otpbroker.modem.habits import Habits
from otpbroker.modem.memory import REPORTS, Entry, MessageMemory
from otpbroker.modem.parts import Arrived, Parts, Place
from otpbroker.modem.results import AtTimeout
from otpbroker.sms.deliver import Deliver, decode_deliver
from otpbroker.sms.status_report import StatusReport, decode_status_report

log = logging.getLogger(__name__)

_Waiting = TypeVar("_Waiting")

PART_LIFE = 6 * 3600.0  # seconds that a part waits for the others of its message
_SETTLE = 300.0  # of these at least so many from its reading, however old it is: the others may lie beside it
_LAST_INDEX = 255
_MOST_TOLD = 1000


class Mailbox:
    """`arrived` gets each message once it is whole or given up, `reported` each delivery report.

    `holds` tells whether a part is of a message that is kept already.
    `now` is the loop's clock, `wall` Unix time. Talking to the modem raises `AtTimeout`, `LinkLost`, `OutOfStep`.
    """

    def __init__(
        self,
        conversation: AtConversation,
        habits: Habits,
        parts: Parts,
        *,
        arrived: Callable[[Arrived], None],
        reported: Callable[[StatusReport], None],
        holds: Callable[[Deliver], bool],
        now: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._memory = MessageMemory(conversation)
        self._habits = habits
        self._parts = parts
        self._arrived = arrived
        self._reported = reported
        self._holds = holds
        self._now = now
        self._wall = wall
        self.reset("")

    def reset(self, who: str) -> None:
        """The modem of this name (see `Habits`) has started: nothing is known of its memory."""
        self._who = who
        self._surveyed = False
        self._told: dict[Place, None] = {}  # to be read
        self._lists: dict[str, None] = {}  # memories to be listed
        self._given: set[Place] = set()  # read, and in the core's hands
        self._free: dict[Place, None] = {}  # to be deleted
        self._kept: set[Place] = set()  # stays: not received, or the modem does not let it go
        self._unreadable: set[Place] = set()
        self._counted: dict[str, int] = {}  # entries of a memory when it was listed

    @property
    def busy(self) -> bool:
        return not self._surveyed or bool(self._free or self._told or self._lists)

    def tell(self, place: Place, *, report: bool) -> None:
        """The modem says that a message or a report lies there."""
        if len(self._told) >= _MOST_TOLD:  # a modem that tells nonsense
            self._told.clear()
            self._lists.update(dict.fromkeys(self._memory.names))
        self._told[place] = None
        if report and place.memory != REPORTS and REPORTS in self._memory.names:
            self._lists[REPORTS] = None  # Quectel keeps reports there and tells of "SM"

    def take(self, part: Deliver, place: Place | None) -> bool:
        """A message or a part of one, lying in a place or sent directly; whether any message is whole by it."""
        whole = self._parts.add(part, place, self._since(part))
        for arrived in whole:
            self._give(arrived)
        return bool(whole)

    def free(self, places: Iterable[Place]) -> None:
        """What lay there is kept elsewhere."""
        for place in places:
            self._given.discard(place)
            self._free[place] = None

    async def step(self) -> None:
        """Do what is next: a look into one place, one list, or one deletion."""
        if not self._surveyed:
            self._surveyed = True
            await self._memory.survey()
            self._lists.update(dict.fromkeys(self._memory.names))
        elif self._free:
            await self._delete(_first(self._free))
        elif self._told:
            await self._read(_first(self._told))
        elif self._lists:
            await self._list(_first(self._lists))

    async def look(self) -> bool:
        """Give up what is too old, find what the modem did not tell of; whether its memory is nearly full."""
        for arrived in self._parts.give_up(self._now() - PART_LIFE):
            self._give(arrived)
        fills = await self._memory.fills()
        known = self._known
        for name, fill in fills.items():
            there = sum(place.memory == name for place in known)
            if fill.used != there and self._counted.get(name) != fill.used:
                self._lists[name] = None
        full = bool(fills) and list(fills.values())[-1].nearly_full
        if full and not self.busy and not self._given:
            self._make_room()
        return full

    def _make_room(self) -> None:
        """What waits for its other parts, or can't be read, must not keep everything else out."""
        self.free(self._unreadable)
        self._unreadable.clear()
        if not self._free and (oldest := self._parts.give_up_oldest()) is not None:
            self._give(oldest)

    @property
    def _known(self) -> set[Place]:
        return {*self._parts.places, *self._given, *self._free, *self._told, *self._kept, *self._unreadable}

    async def _list(self, name: str) -> None:
        who = f"{self._who} list"
        fill = await self._memory.select(name)
        if fill is None:
            return
        self._counted[name] = fill.used
        if fill.total and not fill.used:
            return
        if self._habits.rests(who, self._now()):  # one by one, then
            last = min(fill.total or _LAST_INDEX, _LAST_INDEX)
            known = self._known
            places = (Place(name, index) for index in range(last + 1))
            self._told.update(dict.fromkeys(place for place in places if place not in known))
            return
        try:
            entries = await self._memory.list(name)
        except AtTimeout:
            self._habits.hung(who, self._now())
            self._lists[name] = None
            raise
        self._habits.answered(who)
        known = self._known
        for entry in entries:
            if entry.place not in known:
                self._sort(entry)

    async def _read(self, place: Place) -> None:
        who = f"{self._who} read"
        # What is not deleted yet is nothing new; read twice it would be deleted twice, then with it its successor.
        if place in self._given or place in self._free or self._habits.rests(who, self._now()):
            return
        try:
            entry = await self._memory.read(place)
        except AtTimeout:
            self._told.clear()
            self._habits.hung(who, self._now())
            raise
        self._habits.answered(who)
        self._kept.discard(place)
        self._unreadable.discard(place)
        if entry is not None:
            self._sort(entry)

    async def _delete(self, place: Place) -> None:
        self._kept.add(place)
        if await self._memory.delete(place):
            self._kept.discard(place)
        else:
            log.warning("a modem does not delete a message from %s", place.memory or "its memory")

    def _sort(self, entry: Entry) -> None:
        if not entry.received:
            self._kept.add(entry.place)
            return
        match decoded(entry.pdu):
            case StatusReport() as report:
                self._reported(report)
                self._free[entry.place] = None
            case Deliver() as part if part.concatenation is not None and self._holds(part):
                self._free[entry.place] = None
            case Deliver() as part:
                self.take(part, entry.place)
            case None:
                log.warning("what lies in a modem's memory is no PDU that is known")
                self._unreadable.add(entry.place)

    def _give(self, arrived: Arrived) -> None:
        self._given.update(arrived.places)
        self._arrived(arrived)

    def _since(self, part: Deliver) -> float:
        """Since when its message is under way, by the service centre's clock as far as that can be believed."""
        age = 0.0 if part.sent_at is None else self._wall() - part.sent_at.timestamp()
        return self._now() - min(max(age, 0.0), PART_LIFE - _SETTLE)


def decoded(pdu: str) -> Deliver | StatusReport | None:
    """By its TP-MTI (23.040 section 9.2.3.1), or None for what is neither or broken."""
    try:
        first_octet = int(pdu[2 + 2 * int(pdu[:2], 16) :][:2], 16)
        return decode_status_report(pdu) if first_octet & 0x03 == 0x02 else decode_deliver(pdu)
    except ValueError:  # `PduError` is one
        return None


def _first(waiting: dict[_Waiting, None]) -> _Waiting:
    """Take the one that waits longest."""
    first = next(iter(waiting))
    del waiting[first]
    return first
