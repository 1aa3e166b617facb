"""Parts of long messages that wait for the others, with the places of a modem's memory where they lie."""

from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from otpbroker.sms.address import Address
from otpbroker.sms.deliver import Deliver
from otpbroker.sms.reassemble import Message, Reassembler

_REMEMBERED = 64  # finished messages whose parts are known when the service centre sends them again
_MOST = 64  # unfinished ones; a SIM holds fewer parts


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of a modem's memory (27.005 section 3.1): `SM`, `ME`, `SR`, ...; "": whichever is selected."""

    memory: str
    index: int


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message as whole as it will be, and the places to free when it is kept.

    None: its parts were there before, only the places are left over. `direct`: some of it lies in no memory.
    """

    message: Message | None
    places: tuple[Place, ...]
    direct: bool

    @property
    def long(self) -> bool:
        return self.message is not None and self.message.total > 1


_Key = tuple[Address, int, int]


@dataclass(slots=True)
class _Half:
    since: float
    parts: dict[int, Deliver] = field(default_factory=dict, repr=False)
    places: list[Place] = field(default_factory=list)
    direct: bool = False

    def arrived(self) -> Arrived:
        return Arrived(_joined(self.parts.values()), tuple(self.places), self.direct)


class Parts:
    """Told apart by sender, reference and total (23.040 section 9.2.3.24.1). Times are of any one monotonic clock.

    The memory itself stays the truth: what was read from it is read again after a restart. What came directly is
    nowhere else, for it was acknowledged.
    """

    def __init__(self) -> None:
        self._halves: dict[_Key, _Half] = {}
        # Hashes of parts, no text; and whether some came directly.
        self._finished: OrderedDict[_Key, tuple[frozenset[int], bool]] = OrderedDict()

    @property
    def places(self) -> frozenset[Place]:
        """Where parts lie that wait for others."""
        return frozenset(place for half in self._halves.values() for place in half.places)

    def add(self, part: Deliver, place: Place | None, since: float) -> tuple[Arrived, ...]:
        """What a `part` that is under way `since` completes, and what it displaces.

        `place` None: it came directly and lies nowhere.
        """
        places = () if place is None else (place,)
        direct = place is None
        number = part.concatenation
        if number is None:
            return (Arrived(_joined((part,)), places, direct),)
        key = (part.sender, number.reference, number.total)
        if key in self._finished and hash(part) in self._finished[key][0]:
            return (Arrived(None, places, direct),)
        displaced = self._displaced(key, part, number.index)
        half = self._halves.setdefault(key, _Half(since))
        half.parts.setdefault(number.index, part)
        half.places += places
        half.direct |= direct
        if len(half.parts) < number.total:
            return displaced
        del self._halves[key]
        self._finished[key] = frozenset(map(hash, half.parts.values())), half.direct
        if len(self._finished) > _REMEMBERED:
            self._finished.popitem(last=False)
        return (*displaced, half.arrived())

    def forget_memory(self) -> None:
        """It is read anew: what lies there will be found again, and may have been taken out."""
        self._halves = {key: half for key, half in self._halves.items() if half.direct}
        for half in self._halves.values():
            half.places.clear()
        self._finished = OrderedDict((key, known) for key, known in self._finished.items() if known[1])

    def give_up(self, before: float) -> tuple[Arrived, ...]:
        """The messages begun before a time: what there is of them is all that there will be."""
        old = [key for key, half in self._halves.items() if half.since < before]
        return tuple(self._halves.pop(key).arrived() for key in old)

    def give_up_oldest(self) -> Arrived | None:
        if not self._halves:
            return None
        oldest = min(self._halves, key=lambda key: self._halves[key].since)
        return self._halves.pop(oldest).arrived()

    def _displaced(self, key: _Key, part: Deliver, index: int) -> tuple[Arrived, ...]:
        """The half message whose numbers `part` uses for another text, or the oldest where there are too many."""
        half = self._halves.get(key)
        if half is None:
            oldest = self.give_up_oldest() if len(self._halves) >= _MOST else None
            return () if oldest is None else (oldest,)
        if half.parts.get(index, part).user_data == part.user_data:
            return ()
        return (self._halves.pop(key).arrived(),)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What came in through one modem and is not kept yet; it outlives the opening of a port."""

    parts: Parts = field(default_factory=Parts)
    whole: deque[Arrived] = field(default_factory=deque)

    def forget_memory(self) -> None:
        """See `Parts`."""
        self.parts.forget_memory()
        direct = [replace(each, places=()) for each in self.whole if each.direct]
        self.whole.clear()
        self.whole.extend(direct)


def _joined(parts: Iterable[Deliver]) -> Message:
    joiner = Reassembler(max_age=1.0)
    for part in parts:
        if (message := joiner.add(part, 0.0)) is not None:
            return message
    (message,) = joiner.expire(1.0)
    return message
