"""Joining the parts of long messages, which come in any order, more than once, or never."""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

from otpbroker.sms.address import Address
from otpbroker.sms.deliver import Deliver
from otpbroker.sms.user_data import Concatenation, join_texts

_GAP = "…"


@dataclass(frozen=True, slots=True)
class Message:
    """What arrived: complete when `parts == total`, else `text` shows an ellipsis for what is missing."""

    sender: Address
    text: str = field(repr=False)
    sent_at: datetime | None  # of the first part that is there
    parts: int
    total: int
    fingerprints: tuple[bytes, ...] = field(default=(), repr=False, compare=False)  # of the parts that are there

    @property
    def complete(self) -> bool:
        return self.parts == self.total


_Key = tuple[Address, int, int]


@dataclass(slots=True)
class _Half:
    """A message of which parts are missing, by their index."""

    total: int
    since: float
    parts: dict[int, Deliver] = field(default_factory=dict, repr=False)

    def join(self) -> Message:
        first = self.parts[min(self.parts)]
        runs = groupby(range(1, self.total + 1), self.parts.__contains__)
        text = "".join(
            join_texts(self.parts[index].user_data for index in run) if present else _GAP for present, run in runs
        )
        fingerprints = tuple(part.fingerprint for part in self.parts.values())
        return Message(first.sender, text, first.sent_at, len(self.parts), self.total, fingerprints)


@dataclass(frozen=True, slots=True)
class _Finished:
    """What is remembered of a finished message, to know its parts again: hashes, no text."""

    since: float
    parts: frozenset[int]


class Reassembler:
    """Joins parts by sender, reference and total. Times are seconds of any one monotonic clock.

    At most `capacity` unfinished messages are kept, each for `max_age` seconds from its first part. A part
    that comes again is ignored, also after its message is finished; another text under the same numbers
    begins a new message.
    """

    def __init__(self, *, max_age: float, capacity: int = 64) -> None:
        self._max_age = max_age
        self._capacity = capacity
        # Both in the order of their age, the oldest first.
        self._halves: OrderedDict[_Key, _Half] = OrderedDict()
        self._finished: OrderedDict[_Key, _Finished] = OrderedDict()
        self._given_up: deque[Message] = deque(maxlen=capacity)

    def add(self, part: Deliver, now: float) -> Message | None:
        """The message that `part` is or completes, or None while others are missing."""
        place = part.concatenation
        if place is None:
            return Message(part.sender, part.text, part.sent_at, parts=1, total=1, fingerprints=(part.fingerprint,))
        self._forget_old(now)
        key = (part.sender, place.reference, place.total)
        finished = self._finished.get(key)
        # Sent anew, the same text has another time stamp; sent again by the service centre, it has not.
        if finished is not None and hash(part) in finished.parts:
            return None
        half = self._half(key, part, place, now)
        half.parts.setdefault(place.index, part)
        if len(half.parts) < half.total:
            return None
        del self._halves[key]
        self._remember(key, half, now)
        return half.join()

    def expire(self, now: float) -> tuple[Message, ...]:
        """The messages given up since the last call: too old, displaced by newer ones, or by another text.

        The last `capacity` of them, when nobody asked for longer.
        """
        self._forget_old(now)
        given_up = tuple(self._given_up)
        self._given_up.clear()
        return given_up

    def _half(self, key: _Key, part: Deliver, place: Concatenation, now: float) -> _Half:
        """The half message that `part` belongs to, begun if need be."""
        half = self._halves.get(key)
        if half is not None and half.parts.get(place.index, part).user_data == part.user_data:
            return half
        if half is not None:
            self._give_up(key)
        elif len(self._halves) >= self._capacity:
            self._give_up(next(iter(self._halves)))
        half = self._halves[key] = _Half(place.total, now)
        return half

    def _remember(self, key: _Key, half: _Half, now: float) -> None:
        self._finished.pop(key, None)
        self._finished[key] = _Finished(now, frozenset(map(hash, half.parts.values())))
        if len(self._finished) > self._capacity:
            self._finished.popitem(last=False)

    def _forget_old(self, now: float) -> None:
        limit = now - self._max_age
        while self._halves and next(iter(self._halves.values())).since <= limit:
            self._give_up(next(iter(self._halves)))
        while self._finished and next(iter(self._finished.values())).since <= limit:
            self._finished.popitem(last=False)

    def _give_up(self, key: _Key) -> None:
        self._given_up.append(self._halves.pop(key).join())
