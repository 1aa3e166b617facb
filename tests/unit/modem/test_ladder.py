"""Which step is next for a modem that has to be brought back."""

import pytest

from otpbroker.events import Fault, RecoveryStep
from otpbroker.modem import link
from otpbroker.modem.ladder import GOOD_WHILE, LADDER, LONG_WHILE, SECONDS, Ladder
from otpbroker.modem.timeouts import RESYNC_LIMIT, RESYNC_TRIES, TIMEOUTS

RESYNC, RADIO, REOPEN, USB_RESET, PORT_POWER, QUARANTINE = RecoveryStep


class Bench:
    """A ladder and its clock."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.ladder = Ladder(lambda: self.time)

    def fails(self, *faults: Fault) -> list[RecoveryStep]:
        return [self.ladder.next(fault) for fault in faults]

    def works(self, seconds: float, *, sent: bool) -> None:
        self.ladder.cured()
        if sent:
            self.ladder.sent()
        self.time += seconds


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize(
    ("fault", "first"),
    [
        (Fault.SILENT, RESYNC),
        (Fault.RESTARTED, RESYNC),
        (Fault.REFUSING, RADIO),
        (Fault.UNWILLING, RADIO),
        (Fault.DEAF, REOPEN),
        (Fault.DEAD_PORT, USB_RESET),
        (Fault.HANGS_UP, USB_RESET),
        (Fault.DROPS_OUT, QUARANTINE),
    ],
)
def test_each_fault_begins_where_something_could_help(bench: Bench, fault: Fault, first: RecoveryStep) -> None:
    assert bench.fails(fault) == [first]


def test_every_fault_has_its_first_step() -> None:
    for fault in Fault:
        assert Bench().fails(fault)


def test_steps_that_do_not_help_lead_upwards(bench: Bench) -> None:
    steps = bench.fails(Fault.SILENT, Fault.DEAF, Fault.DEAF, Fault.DEAD_PORT, Fault.DEAF)
    assert steps == [RESYNC, REOPEN, USB_RESET, PORT_POWER, QUARANTINE]


def test_after_a_quarantine_what_is_above_an_opening_is_tried_again(bench: Bench) -> None:
    bench.fails(*[Fault.DEAF] * 4)
    assert bench.fails(*[Fault.DEAF] * 4) == [USB_RESET, PORT_POWER, QUARANTINE, USB_RESET]


def test_one_that_refuses_again_after_its_rest_rests_again(bench: Bench) -> None:
    assert bench.fails(*[Fault.REFUSING] * 4) == [RADIO, USB_RESET, PORT_POWER, QUARANTINE]
    bench.works(1, sent=False)
    assert bench.fails(Fault.REFUSING) == [QUARANTINE]
    bench.works(1, sent=False)
    assert bench.fails(Fault.REFUSING) == [QUARANTINE]


def test_what_fails_again_soon_climbs(bench: Bench) -> None:
    taken = []
    for _ in range(6):
        taken += bench.fails(Fault.SILENT)
        bench.works(GOOD_WHILE - 1, sent=False)
    assert taken == [RESYNC, RADIO, REOPEN, USB_RESET, PORT_POWER, QUARANTINE]


@pytest.mark.parametrize(
    ("seconds", "sent", "step"),
    [
        (GOOD_WHILE, True, RESYNC),
        (GOOD_WHILE - 1, True, RADIO),
        (GOOD_WHILE, False, RADIO),  # it was ready, but has proved nothing
        (LONG_WHILE, False, RESYNC),
    ],
)
def test_what_worked_for_a_good_while_begins_at_the_bottom(
    bench: Bench, seconds: float, sent: bool, step: RecoveryStep
) -> None:
    bench.fails(Fault.SILENT)
    bench.works(seconds, sent=sent)
    assert bench.fails(Fault.SILENT) == [step]


def test_one_that_sends_between_its_faults_is_never_put_in_quarantine(bench: Bench) -> None:
    taken = []
    for _ in range(7):
        taken += bench.fails(Fault.SILENT)
        bench.works(10, sent=True)
    assert taken == [RESYNC, RADIO, REOPEN, USB_RESET, PORT_POWER, RESYNC, RADIO]


def test_unless_nothing_brings_it_back_this_time(bench: Bench) -> None:
    bench.fails(Fault.SILENT)
    bench.works(10, sent=True)
    assert bench.fails(*[Fault.DEAF] * 4) == [REOPEN, USB_RESET, PORT_POWER, QUARANTINE]


def test_a_step_that_cannot_be_is_left_out_from_then_on(bench: Bench) -> None:
    assert bench.fails(Fault.DEAF, Fault.DEAF) == [REOPEN, USB_RESET]
    bench.ladder.impossible(USB_RESET)
    assert bench.fails(Fault.DEAF) == [PORT_POWER]
    bench.ladder.impossible(PORT_POWER)
    assert bench.fails(Fault.DEAF, Fault.DEAF, Fault.DEAF) == [QUARANTINE] * 3


def test_a_step_that_cannot_be_now_is_left_out_this_once(bench: Bench) -> None:
    assert bench.fails(Fault.DEAF, Fault.DEAF) == [REOPEN, USB_RESET]
    bench.ladder.skip(USB_RESET)
    assert bench.fails(Fault.DEAF) == [PORT_POWER]
    bench.ladder.skip(PORT_POWER)
    assert bench.fails(*[Fault.DEAF] * 4) == [QUARANTINE, USB_RESET, PORT_POWER, QUARANTINE]


def test_steps_that_cannot_be_now_are_not_asked_for_in_a_circle(bench: Bench) -> None:
    """Though a modem that sends between its faults would be spared the quarantine."""
    bench.fails(Fault.SILENT)
    bench.works(10, sent=True)
    assert bench.fails(Fault.DEAD_PORT) == [USB_RESET]
    bench.ladder.skip(USB_RESET)
    assert bench.fails(Fault.DEAD_PORT) == [PORT_POWER]
    bench.ladder.skip(PORT_POWER)
    assert bench.fails(Fault.DEAD_PORT, Fault.DEAD_PORT) == [QUARANTINE, USB_RESET]


def test_a_productive_modem_is_spared_the_quarantine_where_nothing_lies_below_it(bench: Bench) -> None:
    for step in (USB_RESET, PORT_POWER):
        bench.ladder.impossible(step)
    taken = []
    for _ in range(4):
        taken += bench.fails(Fault.SILENT)
        bench.works(10, sent=True)
    assert taken == [RESYNC, RADIO, REOPEN, RESYNC]


def test_a_loose_plug_is_no_reason_for_a_quarantine(bench: Bench) -> None:
    assert bench.fails(*[Fault.HANGS_UP] * 4) == [USB_RESET, PORT_POWER, REOPEN, USB_RESET]


def test_a_step_that_was_taken_for_another_reason_is_not_taken_again(bench: Bench) -> None:
    bench.fails(Fault.SILENT)
    bench.ladder.reached(RADIO)
    assert bench.fails(Fault.SILENT) == [REOPEN]


def test_rests_double_up_to_a_bound_until_a_message_is_sent(bench: Bench) -> None:
    rests = [bench.ladder.rest() for _ in range(8)]
    for rest, length in zip(rests, (30, 60, 120, 240, 480, 900, 900, 900), strict=True):
        assert rest == pytest.approx(length, rel=0.2)
    bench.ladder.sent()
    assert bench.ladder.rest() == pytest.approx(30, rel=0.2)


def test_what_was_pulled_out_begins_anew(bench: Bench) -> None:
    bench.fails(*[Fault.DEAF] * 4)
    bench.ladder.impossible(USB_RESET)
    bench.ladder.rest()
    bench.ladder.forget()
    assert bench.fails(Fault.DEAF, Fault.DEAF) == [REOPEN, USB_RESET]
    assert bench.ladder.rest() == pytest.approx(30, rel=0.2)


def test_the_rungs_say_how_long_they_take_by_what_they_wait_for() -> None:
    assert [rung.step for rung in LADDER] == list(RecoveryStep)
    assert all(len(rung.what) > 20 for rung in LADDER)
    resync = sum(RESYNC_TRIES) + RESYNC_LIMIT
    assert SECONDS[RESYNC] == resync
    assert SECONDS[RADIO] == 2 * (resync + TIMEOUTS["+CFUN"].seconds)
    assert SECONDS[REOPEN] == link.CLOSE_LIMIT + link.OPEN_LIMIT + resync
