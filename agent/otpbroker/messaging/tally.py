"""Parts by day and month of the device's calendar, on a clock that may be set at any time, in either direction.

A part sent belongs to the day that the clock said then, and setting the clock never takes it out of its day:

- Set back: days that have begun by any clock stay begun, so what is counted stays counted.
- Set forward: what by the new clock was sent today (this month) is moved there. So the first answer of a time
  server after a boot with a clock of yesterday does not free what was sent since the boot.
- A date far in the future, set by mistake, counts no longer than the longest day (month) lasts.
"""

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

Period = Literal["day", "month"]

# Seconds of the monotonic clock after which a part can't be of the current day or month: the longest there are,
# with an hour for the end of summer time.
LONGEST = {"day": 25 * 3600.0, "month": 31 * 86400.0 + 3600.0}
_STEP = 1.0  # seconds; by less than this a clock that is being disciplined may differ from itself
_MOST_SPANS = 128


class Calendar:
    """The current day and month by both clocks; `began` and `ends` are on the monotonic one."""

    def __init__(self, now: float, monotonic: float) -> None:
        self.frame = 0  # how often the clock was set
        self._offset = now - monotonic
        self._read(now)

    def look(self, now: float, monotonic: float) -> bool:
        """Whether it is another day now, or the clock was set."""
        offset = now - monotonic
        was_set = abs(offset - self._offset) > _STEP
        if not was_set and self._starts <= now < self._stops:
            return False
        if was_set:
            self.frame += 1
            self._offset = offset
        self._read(now)
        return True

    def began(self, period: Period) -> float:
        return (self._starts if period == "day" else self._month_starts) - self._offset

    def ends(self, period: Period) -> float:
        return (self._stops if period == "day" else self._month_stops) - self._offset

    def _read(self, now: float) -> None:
        year, month, day, *_ = time.localtime(now)

        def midnight(year: int, month: int, day: int) -> float:
            return time.mktime((year, month, day, 0, 0, 0, 0, 0, -1))  # also of the 32nd, and of month 13

        self.day = f"{year:04}-{month:02}-{day:02}"
        self.month = self.day[:7]
        self._starts, self._stops = midnight(year, month, day), midnight(year, month, day + 1)
        self._month_starts, self._month_stops = midnight(year, month, 1), midnight(year, month + 1, 1)


@dataclass(frozen=True, slots=True)
class Span:
    """Parts of one day which were sent while nobody set the clock; `first` and `last` are monotonic times."""

    day: str  # 2026-11-25
    first: float
    last: float
    parts: int
    promo: int  # of them those that count for the promo
    here: bool  # since this boot: then `first` and `last` are when, else not before


class _Counted(NamedTuple):
    """A count, good on this day before `until` on the monotonic clock."""

    parts: int
    day: str
    until: float


class Tally:
    """What one modem sent lately, as spans in the order of time."""

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self._spans = list(spans)
        self._counted: dict[tuple[Period, bool], _Counted] = {}
        self._under: tuple[int, str] | None = None  # the clock and its day when the last span grew

    def __iter__(self) -> Iterator[Span]:
        return iter(self._spans)

    def add(self, parts: int, promo: int, calendar: Calendar, now: float) -> Span:
        """Count parts sent up to `now` (monotonic). Returns the span that holds them, the last one."""
        self._counted.clear()
        under = (calendar.frame, calendar.day)
        if self._under == under and self._spans:
            last = self._spans[-1]
            self._spans[-1] = replace(last, last=now, parts=last.parts + parts, promo=last.promo + promo)
        else:
            begun = (span.day for span in self._spans if now - span.first < LONGEST["day"])
            day = max(begun, default=calendar.day)
            self._make_room(now)
            # No two begin at one moment: that is what tells them apart in the journal.
            first = max([now] + [math.nextafter(span.first, math.inf) for span in self._spans[-1:]])
            self._spans.append(Span(max(day, calendar.day), first, first, parts, promo, here=True))
            self._under = under
        return self._spans[-1]

    def clock_was_set(self, calendar: Calendar) -> bool:
        """Move to today, or this month, what by the clock as it is now was sent then. Whether that was any."""
        self._counted.clear()
        before, self._spans = self._spans, [_moved(span, calendar) for span in self._spans]
        return self._spans != before

    def count(self, period: Period, calendar: Calendar, now: float, *, promo: bool = False) -> int:
        """Parts of the current day or month; at `now` on the monotonic clock."""
        known = self._counted.get((period, promo))
        if known is None or known.day != calendar.day or now >= known.until:
            known = self._counted[period, promo] = self._count(period, calendar, now, promo=promo)
        return known.parts

    def _count(self, period: Period, calendar: Calendar, now: float, *, promo: bool) -> _Counted:
        current, length = (calendar.day, 10) if period == "day" else (calendar.month, 7)
        parts, until = 0, math.inf
        for span in self._spans:
            if span.day[:length] >= current and now - span.first < LONGEST[period]:
                parts += span.promo if promo else span.parts
                until = min(until, span.first + LONGEST[period])
        return _Counted(parts, calendar.day, until)

    def _make_room(self, now: float) -> None:
        """Drop what counts no longer; a clock that is set all the time would make spans without number."""
        self._spans = [span for span in self._spans if now - span.first < LONGEST["month"]]
        if len(self._spans) >= _MOST_SPANS:
            one, other, *rest = self._spans
            both = Span(
                max(one.day, other.day),
                max(one.first, other.first),
                max(one.last, other.last),
                one.parts + other.parts,
                one.promo + other.promo,
                here=one.here or other.here,
            )
            self._spans = [both, *rest]


def _moved(span: Span, calendar: Calendar) -> Span:
    if not span.here:  # nobody knows how long before this boot it was
        return span
    if span.last >= (began := calendar.began("day")):
        return replace(span, day=max(span.day, calendar.day), first=max(span.first, began))
    if span.last >= (began := calendar.began("month")):
        return replace(span, day=max(span.day, f"{calendar.month}-01"), first=max(span.first, began))
    return span
