"""One modem's limits and counts: sliding windows on the monotonic clock, days and months of the calendar."""

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from otpbroker.config.limits import LimitsSection
from otpbroker.config.tariff import PromoSection
from otpbroker.messaging.tally import LONGEST, Calendar, Span, Tally

MINUTE, HOUR = 60.0, 3600.0  # seconds

Ended = tuple[tuple[float, int], ...]  # when messages ended (monotonic), and their parts; in the order of time


@dataclass(frozen=True, slots=True)
class Usage:
    """What is known of a modem from before; monotonic times of this boot, negative ones are of before it.

    The last message of the hour is in `minute` too, with 0 parts when it is older.
    """

    spans: tuple[Span, ...] = ()
    minute: Ended = ()
    hour: Ended = ()


class Window:
    """Parts of messages that ended within the last `length` seconds."""

    def __init__(self, length: float, ended: Ended = ()) -> None:
        self._length = length
        self._ended = deque(ended)
        self._total = sum(parts for _, parts in ended)

    def add(self, at: float, parts: int) -> None:
        self._ended.append((at, parts))
        self._total += parts
        self.total(at)

    def total(self, now: float) -> int:
        while self._ended and self._ended[0][0] + self._length <= now:
            self._total -= self._ended.popleft()[1]
        return self._total

    def free_at(self, room: int) -> float:
        """When at most `room` parts are left of those that are in it now."""
        left, free = self._total, -math.inf
        for at, parts in self._ended:
            if left <= room:
                break
            left, free = left - parts, at + self._length
        return free


class Meter:
    """What one modem sent and what it has in the air; `now` is on the monotonic clock everywhere."""

    def __init__(self, usage: Usage) -> None:
        self.tally = Tally(usage.spans)
        self.obey(LimitsSection(), None)
        self.flying = 0  # parts that are reserved
        self.flying_promo = 0
        self._minute = Window(MINUTE, usage.minute)
        self._hour = Window(HOUR, usage.hour)
        known = usage.minute or usage.hour  # a release before this one took over the hour alone
        self._ended = known[-1][0] if known else -math.inf  # its last message

    def obey(self, limits: LimitsSection, promo: PromoSection | None) -> None:
        """Take these from now on; what was counted stays."""
        self.limits = limits
        self.promo = promo

    @property
    def paused_until(self) -> float:
        return self._ended + self.limits.pause

    def fits(self, parts: int, calendar: Calendar, now: float) -> bool:
        """Whether its caps leave room for so many parts beside those in the air."""
        return all(used + self.flying + parts <= cap for cap, used, _ in self._caps(calendar, now))

    def free_at(self, parts: int, calendar: Calendar, now: float) -> float:
        """When its caps will, had it nothing in the air and nobody set the clock; inf: never."""
        free = -math.inf
        for cap, used, room_at in self._caps(calendar, now):
            if used + parts > cap:
                free = max(free, room_at(cap - parts) if parts <= cap else math.inf)
        return free

    def promo_count(self, calendar: Calendar, now: float) -> int:
        """Parts of the current period that count for its promo."""
        if self.promo is None:
            return 0
        return self.flying_promo + self.tally.count(self.promo.per, calendar, now, promo=True)

    def promo_stage(self, parts: int, calendar: Calendar, now: float) -> int:
        """As long as this number stays the same, so do the prices of messages of up to so many parts."""
        if self.promo is None:
            return 0
        counted, begin = self.promo_count(calendar, now), self.promo.after
        end = begin + self.promo.most if self.promo.most else math.inf
        for stage, (least, most) in enumerate(((0, begin), (begin, end), (end, math.inf)), 1):
            if least <= counted <= most - parts:
                return -stage
        return counted

    def sent(self, parts: int, promo: int, calendar: Calendar, now: float) -> Span:
        """A message has ended. Returns the span that holds its parts. What is not limited yet may be soon."""
        self._minute.add(now, parts)
        self._hour.add(now, parts)
        self._ended = now
        return self.tally.add(parts, promo, calendar, now)

    def usage(self, now: float) -> Usage:
        """What is to be remembered; minute and hour as if all had ended with the last message."""
        spans = tuple(span for span in self.tally if now - span.first < LONGEST["month"])
        if not (hour := self._hour.total(now)):
            return Usage(spans)
        return Usage(spans, ((self._ended, self._minute.total(now)),), ((self._ended, hour),))

    def _caps(self, calendar: Calendar, now: float) -> Iterator[tuple[int, int, Callable[[int], float]]]:
        """Each cap that there is, the parts counted under it, and when it has room for so many."""
        limits = self.limits
        if cap := limits.per_minute:
            yield cap, self._minute.total(now), self._minute.free_at
        if cap := limits.per_hour:
            yield cap, self._hour.total(now), self._hour.free_at
        if cap := limits.per_day:
            yield cap, self.tally.count("day", calendar, now), partial(_after, calendar.ends("day"))
        if cap := limits.per_month:
            yield cap, self.tally.count("month", calendar, now), partial(_after, calendar.ends("month"))


def _after(end: float, _room: int) -> float:
    return end
