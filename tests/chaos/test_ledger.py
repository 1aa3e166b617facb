"""The judge: what the phone says decides whether an outcome was true."""

import pytest

from bench.chaos.ledger import Entry, Ledger, Verdict
from otpbroker.events import Bus
from otpbroker.messaging.outcome import Outcome, State
from otpbroker.modem.simulator import Phone
from otpbroker.modem.simulator.phone import Part
from otpbroker.sms.segment import segment
from otpbroker.sms.user_data import UserData

NUMBERS = {"modem-1": "62812001", "modem-2": "62812002"}


class Court:
    """A ledger and a phone."""

    def __init__(self) -> None:
        self.ledger = Ledger(Bus())
        self.phone = Phone()

    def message(self, state: State | None, *, copies: int = 0, sender: str = "62812001", hold: float = 1.0) -> None:
        """One that modem-1 had, with its end and what arrived of it."""
        name = f"m{sum(1 for _ in self.ledger.entries)}"
        entry = Entry("62811", name, 100.0, [(100.1, "modem-1")])
        self.ledger.accept(name, entry)
        if state is not None:
            self.ledger.close(Outcome(name, state, "", "rest", 100.0, 400.0, 100.0 + hold, modem_id="modem-1"))
        segments = segment(name)
        for _ in range(copies):
            data = UserData(segments.encoding, segments.parts[0])
            self.phone.receive("stick", Part("62811", data, None, status_report=False), sender)

    def judge(self) -> Verdict:
        return self.ledger.judge("x", self.phone, number_of=NUMBERS.__getitem__, touched=lambda _: False)


@pytest.mark.parametrize(
    ("state", "copies"),
    [(State.SENT, 1), (State.UNKNOWN, 0), (State.UNKNOWN, 1)],
)
def test_what_is_true_is_neither_lost_nor_doubled(state: State, copies: int) -> None:
    court = Court()
    court.message(state, copies=copies)
    verdict = court.judge()
    assert (verdict.lost, verdict.doubles, verdict.astray) == ((), (), ())
    assert (verdict.messages, verdict.of(state)) == (1, 1)


@pytest.mark.parametrize(
    ("state", "copies"), [(None, 0), (None, 1), (State.SENT, 0), (State.FAILED, 0), (State.EXPIRED, 0)]
)
def test_what_never_ended_or_never_arrived_is_lost(state: State | None, copies: int) -> None:
    court = Court()
    court.message(state, copies=copies)
    assert len(court.judge().lost) == 1


@pytest.mark.parametrize(
    ("state", "copies"), [(State.SENT, 2), (State.UNKNOWN, 2), (State.FAILED, 1), (State.EXPIRED, 1)]
)
def test_what_came_twice_or_though_it_failed_is_a_silent_double(state: State, copies: int) -> None:
    court = Court()
    court.message(state, copies=copies)
    verdict = court.judge()
    assert (len(verdict.doubles), verdict.lost) == (1, ())


def test_what_came_from_another_number_went_astray() -> None:
    court = Court()
    court.message(State.SENT, copies=1, sender="62812002")
    assert len(court.judge().astray) == 1


def test_the_longest_hold_is_of_untouched_messages_and_the_longest_wait_of_handed_on_ones() -> None:
    court = Court()
    for hold in (1.0, 3.0, 2.0):
        court.message(State.SENT, copies=1, hold=hold)
    moved = Entry("62811", "moved", 100.0, [(100.0, "modem-1"), (105.5, "modem-2"), (106.0, "modem-2")])
    court.ledger.accept("moved", moved)
    court.ledger.close(Outcome("moved", State.UNKNOWN, "", "rest", 100.0, 400.0, 120.0, modem_id="modem-2"))
    verdict = court.ledger.judge(
        "x", court.phone, number_of=NUMBERS.__getitem__, touched=lambda entry: entry is moved
    )
    assert verdict.longest_hold == pytest.approx(3.0)
    assert verdict.next_modem == pytest.approx(5.5)
