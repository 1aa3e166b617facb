"""The counts of the modems in the journal's file: they survive a crash of the process, exactly."""

from collections.abc import Iterable

from otpbroker.messaging.journal_file import JournalFile
from otpbroker.messaging.meter import HOUR, Usage
from otpbroker.messaging.tally import LONGEST, Span

SCHEMA = """
CREATE TABLE IF NOT EXISTS usage_span (
    modem_id TEXT NOT NULL,
    first REAL NOT NULL,
    last REAL NOT NULL,
    day TEXT NOT NULL,
    parts INTEGER NOT NULL,
    promo INTEGER NOT NULL,
    here INTEGER NOT NULL,
    PRIMARY KEY (modem_id, first)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS usage_ended (
    at REAL NOT NULL,
    modem_id TEXT NOT NULL,
    parts INTEGER NOT NULL,
    minute INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS usage_ended_at ON usage_ended (at);
"""


class UsageRows:
    """Numbers by modem and time, neither receivers nor texts. What writes raises `Unavailable` without room."""

    def __init__(self, file: JournalFile) -> None:
        self._file = file

    def load(self) -> dict[str, Usage]:
        """What former processes since this boot left."""
        spans: dict[str, list[Span]] = {}
        for modem_id, first, last, day, parts, promo, here in self._file.execute(
            "SELECT modem_id, first, last, day, parts, promo, here FROM usage_span ORDER BY last"
        ):
            spans.setdefault(modem_id, []).append(Span(day, first, last, parts, promo, here=bool(here)))
        ended: dict[str, list[tuple[float, int, bool]]] = {}
        for at, modem_id, parts, minute in self._file.execute(
            "SELECT at, modem_id, parts, minute FROM usage_ended ORDER BY at"
        ):
            ended.setdefault(modem_id, []).append((at, parts, bool(minute)))
        return {
            modem_id: Usage(
                tuple(spans.get(modem_id, ())),
                minute=tuple((at, parts) for at, parts, minute in ended.get(modem_id, ()) if minute),
                hour=tuple((at, parts) for at, parts, _ in ended.get(modem_id, ())),
            )
            for modem_id in spans.keys() | ended.keys()
        }

    def add(self, modem_id: str, parts: int, span: Span) -> None:
        """A message ended at `span.last`; the span is new, or has grown."""
        with self._file.write():
            self._put(modem_id, span)
            self._file.execute("INSERT INTO usage_ended VALUES (?, ?, ?, 1)", (span.last, modem_id, parts))
            self._file.execute("DELETE FROM usage_ended WHERE at <= ?", (span.last - HOUR,))
            self._file.execute(
                "DELETE FROM usage_span WHERE modem_id = ? AND first <= ?",
                (modem_id, span.last - LONGEST["month"]),
            )

    def replace(self, modem_id: str, spans: Iterable[Span]) -> None:
        with self._file.write():
            self._file.execute("DELETE FROM usage_span WHERE modem_id = ?", (modem_id,))
            for span in spans:
                self._put(modem_id, span)

    def begin(self, usages: dict[str, Usage]) -> None:
        """Take over what is known from before this boot: minute and hour as one entry each."""
        for modem_id, usage in usages.items():
            self.replace(modem_id, usage.spans)
            with self._file.write():
                for (at, minute), (_, hour) in zip(usage.minute, usage.hour, strict=True):
                    for parts, last in ((minute, 1), (hour - minute, 0)):
                        self._file.execute(
                            "INSERT INTO usage_ended VALUES (?, ?, ?, ?)", (at, modem_id, parts, last)
                        )

    def _put(self, modem_id: str, span: Span) -> None:
        self._file.execute(
            "INSERT OR REPLACE INTO usage_span VALUES (?, ?, ?, ?, ?, ?, ?)",
            (modem_id, span.first, span.last, span.day, span.parts, span.promo, int(span.here)),
        )
