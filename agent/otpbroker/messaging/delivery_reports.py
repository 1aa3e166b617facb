"""Which message a delivery report is about, and what it makes of that message.

A report names the receiver and the reference of one part, 0 to 255 round and round (23.040 section 9.2.3.6). The
journal knows what was sent, so reports are understood after a crash of the process too.
"""

import hmac
import logging
from collections.abc import Callable
from typing import NamedTuple

from otpbroker.clock import Clock
from otpbroker.errors import Rejected, Unavailable
from otpbroker.events import Bus, DeliveryChanged
from otpbroker.messaging.journal import Journal
from otpbroker.messaging.msisdn import normalise
from otpbroker.messaging.outcome import Arrival, Outcome
from otpbroker.sms.status_report import StatusReport

_log = logging.getLogger(__name__)

LATEST = 86400.0  # seconds after a message's end of life in which it still may be reported of
CLOSE = 120.0  # seconds between the service centre's clock and ours by which a report tells its message
_MOST_EARLY = 256  # reports; a message has no more parts
_TELLING_DIGITS = 8  # the last ones of a number; national and international forms share them


class _Candidate(NamedTuple):
    outcome: Outcome
    part: int


class DeliveryReports:
    """The one place that changes a message after its final state."""

    def __init__(self, journal: Journal, bus: Bus, clock: Clock, country_code: Callable[[], str]) -> None:
        self._journal = journal
        self._bus = bus
        self._clock = clock
        self._country_code = country_code
        self._key = hmac.digest(journal.key, b"delivery report", "sha256")
        self._in_flight: dict[str, tuple[bytes, list[StatusReport]]] = {}  # by modem: its target, what came early

    def target(self, receiver: str) -> bytes:
        """What reports of messages to this receiver are found by: a keyed hash, whatever form its number has."""
        try:
            digits = normalise(receiver, self._country_code())
        except Rejected:
            digits = receiver
        return hmac.digest(self._key, digits[-_TELLING_DIGITS:].encode(), "sha256")[:16]

    def begin(self, modem_id: str, receiver: str) -> None:
        """This modem sends a message that asks for reports: those on its first parts may come before its end."""
        self._in_flight[modem_id] = self.target(receiver), []

    def end(self, modem_id: str) -> None:
        """What the modem was sending is final and in the journal, or waits for another modem."""
        _, early = self._in_flight.pop(modem_id, (b"", []))
        for report in early:
            self.reported(modem_id, report)

    def reported(self, modem_id: str, report: StatusReport) -> None:
        """A report came in through this modem."""
        target = self.target(str(report.receiver))
        in_flight, early = self._in_flight.get(modem_id, (b"", []))
        if target == in_flight and len(early) < _MOST_EARLY:
            early.append(report)
            return
        candidate = self._candidate(modem_id, target, report)
        if candidate is None:
            _log.info("modem %s: a delivery report is about no message that is known", modem_id)
        else:
            self._apply(candidate, Arrival(report.delivery.value))

    def _apply(self, candidate: _Candidate, arrival: Arrival) -> None:
        outcome, part = candidate
        assert outcome.receipt is not None
        receipt = outcome.receipt.with_part(part, arrival, self._clock.now())
        if receipt is outcome.receipt:
            return
        try:
            self._journal.arrived(outcome.id, receipt)
        except Unavailable as broken:
            _log.error("journal: a delivery report of %s is lost: %s", outcome.id, broken)
            return
        if receipt.arrival is not outcome.receipt.arrival:
            changed = DeliveryChanged(
                id=outcome.id,
                arrival=receipt.arrival.value,
                receiver=outcome.receiver,
                modem_id=outcome.modem_id,
                at=self._clock.now(),
            )
            self._bus.publish(changed)

    def _candidate(self, modem_id: str, target: bytes, report: StatusReport) -> _Candidate | None:
        """Of the parts with this receiver and reference the one sent when the report says that it was; where the
        clocks disagree the newest that waits, or else the newest.
        """
        now = self._clock.monotonic()
        fitting = [
            _Candidate(outcome, outcome.references.index(report.reference))
            for outcome, deadline in self._journal.sent_to(target)
            if outcome.modem_id == modem_id and report.reference in outcome.references and now <= deadline + LATEST
        ]
        if report.sent_at is not None:
            sent_at = report.sent_at.timestamp()

            def apart(candidate: _Candidate) -> float:
                """Seconds; the service centre's time is cut to whole ones."""
                after = candidate.outcome.changed_at - sent_at
                return max(0.0, -after, after - 1.0)

            close = [candidate for candidate in fitting if apart(candidate) <= CLOSE]
            if close:
                return min(close, key=apart)
        return next((each for each in fitting if _waits(each)), fitting[0] if fitting else None)


def _waits(candidate: _Candidate) -> bool:
    receipt = candidate.outcome.receipt
    return receipt is not None and not receipt.parts[candidate.part].settled
