"""Days and months on a clock that may be set at any time: nothing that was sent today is ever left out."""

import itertools
import time
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from otpbroker.messaging.tally import LONGEST, Calendar, Period, Span, Tally
from virtual_time import NOON, time_zone

HOUR, DAY = 3600.0, 86400.0
JAKARTA = "WIB-7"
BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"


@dataclass
class Device:
    """A tally on a device whose clock can be set; it remembers every part, and counts them by itself."""

    wall: float = NOON  # 15:00 in Jakarta, on the 15th of January 2027
    monotonic: float = 1000.0
    sent: list[tuple[float, int]] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    calendar: Calendar = field(init=False)

    def __post_init__(self) -> None:
        self.calendar = Calendar(self.wall, self.monotonic)

    def send(self, parts: int = 1) -> None:
        self.look()
        self.tally.add(parts, parts, self.calendar, self.monotonic)
        self.sent.append((self.monotonic, parts))

    def pass_time(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds

    def set_clock(self, seconds: float) -> None:
        """By so much, forward or back."""
        self.wall += seconds

    def boot(self) -> None:
        """What the state folder keeps is all that is left; the monotonic clock begins anew."""
        kept = [
            Span(span.day, span.first - self.monotonic, span.first - self.monotonic, span.parts, span.promo, False)
            for span in self.tally
        ]
        self.monotonic = 0.0
        self.tally, self.calendar = Tally(kept), Calendar(self.wall, 0.0)

    def look(self) -> None:
        frame = self.calendar.frame
        if self.calendar.look(self.wall, self.monotonic) and self.calendar.frame != frame:
            self.tally.clock_was_set(self.calendar)

    def count(self, period: Period = "day") -> int:
        self.look()
        return self.tally.count(period, self.calendar, self.monotonic)

    def sent_in(self, period: Period) -> int:
        """Parts since the last midnight (the first of the month) by the clock as it is set now: the whole truth."""
        year, month, day, *_ = time.localtime(self.wall)
        began = time.mktime((year, month, day if period == "day" else 1, 0, 0, 0, 0, 0, -1))
        return self.sent_within(self.wall - began)

    def sent_within(self, seconds: float) -> int:
        return sum(parts for at, parts in self.sent if self.monotonic - at <= seconds)


def test_a_day_ends_at_midnight_of_the_place_where_the_device_stands() -> None:
    with time_zone(JAKARTA):
        device = Device()
        device.send(2)
        device.pass_time(9 * HOUR - 1)
        assert device.count() == 2
        device.pass_time(1)
        assert (device.count(), device.count("month")) == (0, 2)


def test_a_month_ends_after_its_last_day() -> None:
    with time_zone(JAKARTA):
        device = Device()
        device.send()
        device.pass_time(16 * DAY)  # the 31st
        device.send()
        assert (device.count(), device.count("month")) == (1, 2)
        device.pass_time(9 * HOUR)
        assert (device.count(), device.count("month")) == (0, 0)


@pytest.mark.parametrize(("month", "hours"), [(3, 23), (10, 25)])
def test_a_day_of_a_change_to_or_from_summer_time_has_its_own_length(month: int, hours: int) -> None:
    with time_zone(BERLIN):
        sunday = {3: 28, 10: 31}[month]
        device = Device(wall=time.mktime((2027, month, sunday, 0, 0, 0, 0, 0, -1)))
        device.send()
        device.pass_time(hours * HOUR - 1)
        assert device.count() == 1
        device.pass_time(1)
        assert device.count() == 0


def test_a_clock_that_goes_back_frees_nothing() -> None:
    with time_zone(JAKARTA):
        device = Device()
        device.pass_time(10 * HOUR)  # it is one in the morning of the 16th
        device.send(3)
        device.set_clock(-50 * 60)  # still the 16th, but before it was sent
        assert device.count() == 3
        device.set_clock(-HOUR)  # the 15th
        assert device.count() == 3
        device.pass_time(2 * HOUR)  # and the 16th once more: it is today that it was sent
        assert device.count() == 3


def test_a_midnight_that_was_too_early_frees_nothing_when_the_clock_is_set_right() -> None:
    with time_zone(JAKARTA):
        device = Device()
        device.send(3)
        device.pass_time(9 * HOUR + 60)
        assert device.count() == 0
        device.set_clock(-HOUR)
        assert device.count() == 3


def test_what_was_sent_before_the_time_server_answered_is_of_today() -> None:
    """A device without a battery for its clock starts in the past."""
    with time_zone(JAKARTA):
        device = Device(wall=NOON - 5 * DAY)
        device.send(3)
        device.pass_time(40)
        device.set_clock(5 * DAY)
        assert (device.count(), device.count("month")) == (3, 3)


def test_what_was_sent_before_today_by_the_corrected_clock_is_not_of_today() -> None:
    with time_zone(JAKARTA):
        device = Device(wall=NOON - 5 * DAY)
        device.send(3)
        device.pass_time(16 * HOUR)
        device.set_clock(5 * DAY)  # seven in the morning
        assert (device.count(), device.count("month")) == (0, 3)


def test_a_clock_of_before_the_boot_frees_nothing() -> None:
    """Powered off at noon, the device starts with the clock of last night, then learns the time."""
    with time_zone(JAKARTA):
        device = Device()
        device.send(3)
        device.boot()
        device.set_clock(-16 * HOUR)
        assert device.count() == 3
        device.send(2)
        device.set_clock(16 * HOUR + 120)
        assert (device.count(), device.count("month")) == (5, 5)


def test_what_was_sent_under_a_clock_of_before_the_boot_stays_with_the_day_that_had_begun() -> None:
    with time_zone(JAKARTA):
        device = Device()
        device.send(3)
        device.boot()
        device.set_clock(-16 * HOUR)
        device.send(2)
        device.boot()  # before any time server answered
        device.set_clock(16 * HOUR)
        device.look()
        assert device.count() == 5


def test_what_was_moved_to_today_counts_to_its_end() -> None:
    with time_zone(JAKARTA):
        device = Device(wall=NOON - 15 * HOUR)  # midnight
        device.send(1)
        device.pass_time(20 * HOUR)
        device.send(1)
        device.pass_time(60)
        device.set_clock(5 * HOUR)  # one in the morning, and the later one was sent a minute ago
        assert device.count() == 2
        device.pass_time(5 * HOUR)
        assert device.count() == 2  # though the first is too old for any day by now


def test_what_was_sent_under_another_clock_is_told_apart() -> None:
    with time_zone(JAKARTA):
        device = Device()
        device.send(3)
        device.pass_time(HOUR)
        device.set_clock(-60)
        device.send(1)
        device.set_clock(8 * HOUR + 60 + 30 * 60)  # half past midnight: an hour ago was yesterday
        assert device.count() == 1


def test_a_day_that_the_device_was_off_is_over() -> None:
    with time_zone(JAKARTA):
        device = Device()
        device.send(3)
        device.boot()
        device.set_clock(DAY)
        device.look()
        assert (device.count(), device.count("month")) == (0, 3)


def test_a_date_far_in_the_future_is_forgotten_after_the_longest_day() -> None:
    with time_zone(JAKARTA):
        device = Device(wall=NOON + 9 * 365 * DAY)
        device.send(3)
        device.set_clock(-9 * 365 * DAY)
        assert device.count() == 3
        device.pass_time(25 * HOUR - 1)
        assert device.count() == 3
        device.pass_time(1)
        assert (device.count(), device.count("month")) == (0, 3)
        device.pass_time(30 * DAY)
        assert device.count("month") == 0


def test_a_clock_that_is_set_all_the_time_makes_no_endless_list() -> None:
    with time_zone(JAKARTA):
        device = Device()
        for step in range(1000):
            device.set_clock(-2.0 if step % 2 else 2.0)
            device.send()
        assert len(list(device.tally)) <= 128
        assert device.count() == 1000


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(1, 5)),
        st.tuples(st.just("pass"), st.floats(0, 3 * DAY) | st.sampled_from([1.0, HOUR, DAY, 31 * DAY])),
        st.tuples(
            st.just("set"), st.floats(-3 * DAY, 3 * DAY) | st.sampled_from([-400 * DAY, -HOUR, HOUR, 400 * DAY])
        ),
    ),
    max_size=40,
)


@given(steps=_STEPS, zone=st.sampled_from([JAKARTA, BERLIN]))
@example(steps=[("pass", 9 * HOUR - 1), ("send", 1), ("pass", 3.0), ("set", 10 * HOUR), ("send", 2)], zone=JAKARTA)
def test_whatever_the_clock_does_what_was_sent_today_is_counted(steps: list[tuple[str, float]], zone: str) -> None:
    with time_zone(zone):
        device = Device()
        for act, value in steps:
            before = {period: device.count(period) for period in LONGEST}
            if act == "send":
                device.send(int(value))
            elif act == "pass":
                device.pass_time(value)
            else:
                device.set_clock(value)
            for period, longest in LONGEST.items():
                assert device.count(period) >= device.sent_in(period)
                assert device.count(period) <= device.sent_within(2 * longest)  # and old parts never count
                if act == "set" and value < 0:
                    assert device.count(period) >= before[period]


@given(gaps=st.lists(st.floats(0, 2 * DAY), min_size=1, max_size=60), zone=st.sampled_from([JAKARTA, BERLIN]))
def test_while_nobody_sets_the_clock_the_counts_are_exact(gaps: list[float], zone: str) -> None:
    with time_zone(zone):
        device = Device()
        for parts, gap in zip(itertools.cycle([1, 3, 2]), gaps, strict=False):
            device.send(parts)
            device.pass_time(gap)
            assert device.count() == device.sent_in("day")
            assert device.count("month") == device.sent_in("month")
