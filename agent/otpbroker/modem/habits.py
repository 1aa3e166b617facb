"""What was learnt of modems and their SIMs and outlives their sessions: who never reports, whose memory hangs."""

from dataclasses import dataclass, field

from otpbroker.modem.backoff import Backoff

REPORTS_MISSING = 20  # reports that were asked for and did not come, before a word is said of it
REPORT_TIME = 3600.0  # seconds; networks report a phone that is switched on within moments
_REST_LEAST, _REST_MOST = 600.0, 6 * 3600.0
_REMEMBERED = 512  # modems; the one added first goes


@dataclass(slots=True)
class _Habit:
    asked: list[float] = field(default_factory=list)  # since the last report; no more than are needed
    rests_until: float = 0.0
    rest: Backoff = field(default_factory=lambda: Backoff(_REST_LEAST, _REST_MOST))


class Habits:
    """`who` is what tells one modem with its SIM from another; `now` is of any one monotonic clock."""

    def __init__(self) -> None:
        self._known: dict[str, _Habit] = {}

    def asked(self, who: str, now: float) -> None:
        """A part left that a report was asked for."""
        asked = self._habit(who).asked
        if len(asked) < REPORTS_MISSING:
            asked.append(now)

    def reported(self, who: str) -> None:
        """A report came, whichever."""
        self._habit(who).asked.clear()

    def never_reports(self, who: str, now: float) -> bool:
        """Whether `REPORTS_MISSING` reports have had their time since one came."""
        asked = self._habit(who).asked
        return len(asked) == REPORTS_MISSING and now - asked[-1] >= REPORT_TIME

    def hung(self, who: str, now: float) -> float:
        """Reading its memory got no answer: the seconds for which it is left alone, more each time."""
        habit = self._habit(who)
        seconds = habit.rest.next()
        habit.rests_until = now + seconds
        return seconds

    def rests(self, who: str, now: float) -> bool:
        return now < self._habit(who).rests_until

    def answered(self, who: str) -> None:
        """Its memory was read."""
        self._habit(who).rest.reset()

    def _habit(self, who: str) -> _Habit:
        habit = self._known.setdefault(who, _Habit())
        if len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]
        return habit
