"""The report: one masked line per message and day file, no text anywhere."""

import asyncio
import csv
import io
import logging
import os
import threading
from collections import deque
from datetime import UTC, datetime
from pathlib import Path

from otpbroker.messaging.outcome import Outcome

_log = logging.getLogger(__name__)

HEADER = ("time", "id", "modem", "receiver", "length", "parts", "outcome", "error", "source")
_LIMIT = 10_000  # lines held while the disk does not take them


class Report:
    """Appends to `YYYY-MM-DD.csv` (local date) in `folder`; lines wait in memory and are written together."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lines: deque[Outcome] = deque(maxlen=_LIMIT)
        self._wake = asyncio.Event()
        self._writing = threading.Lock()

    def add(self, outcome: Outcome) -> None:
        self._lines.append(outcome)
        self._wake.set()

    async def run(self) -> None:
        """Write lines as they come, until cancelled; what is left then is written first."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await asyncio.to_thread(self._write)
                # A burst is written together: an SD card wears by writes, not by lines.
                await asyncio.sleep(1.0)
        finally:
            await asyncio.to_thread(self._write)

    def _write(self) -> None:
        with self._writing:
            days: dict[str, list[Outcome]] = {}
            while self._lines:
                outcome = self._lines.popleft()
                day = datetime.fromtimestamp(outcome.changed_at).astimezone().date().isoformat()
                days.setdefault(day, []).append(outcome)
            for day, outcomes in days.items():
                try:
                    self._append(self._folder / f"{day}.csv", outcomes)
                except OSError as error:
                    _log.error("report: %d lines of %s wait: %s", len(outcomes), day, error.strerror)
                    self._lines.extendleft(reversed(outcomes))

    @staticmethod
    def _append(path: Path, outcomes: list[Outcome]) -> None:
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        with path.open("ab", buffering=0) as file:
            start = file.seek(0, os.SEEK_END)
            if start == 0:
                writer.writerow(HEADER)
            writer.writerows(map(_line, outcomes))
            rest = text.getvalue().encode("ascii")
            try:
                while rest:
                    rest = rest[file.write(rest) :]
            except OSError:
                file.truncate(start)  # half a line would stand before the one that is tried again
                raise


def _line(outcome: Outcome) -> tuple[object, ...]:
    at = datetime.fromtimestamp(outcome.changed_at, UTC).isoformat(timespec="milliseconds")
    return (
        at.replace("+00:00", "Z"),
        outcome.id,
        outcome.modem_id or "",
        outcome.receiver,
        outcome.length,
        outcome.parts,
        outcome.state.value,
        outcome.error or "",
        outcome.source,
    )
