"""The report: one masked line per message and day file, no text anywhere."""

import asyncio
import csv
import io
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Protocol

from otpbroker.errors import Unavailable
from otpbroker.messaging.outcome import Outcome

_log = logging.getLogger(__name__)

HEADER = ("time", "id", "modem", "receiver", "length", "parts", "outcome", "error", "source", "price", "saved")
_FIRST_COLUMNS = 9  # those that every release wrote
_LIMIT = 10_000  # lines held while the disk does not take them


class Ledger(Protocol):
    """What knows, over a crash, which outcomes the report owes a line; the journal is one."""

    def unreported(self) -> list[Outcome]: ...
    def reported(self, ids: Iterable[str]) -> None: ...


class Report:
    """Appends to `YYYY-MM-DD.csv` in `folder`; lines wait in memory and are written together.

    Date and times are those of the place where the device stands.
    """

    def __init__(self, folder: Path, ledger: Ledger, keep_days: Callable[[], int]) -> None:
        self._folder = folder
        self._ledger = ledger
        self._keep_days = keep_days
        self._lines: deque[Outcome] = deque(maxlen=_LIMIT)
        self._wake = asyncio.Event()
        self._writing = threading.Lock()
        self._pruned_on: date | None = None

    def add(self, outcome: Outcome) -> None:
        self._lines.append(outcome)
        self._wake.set()

    async def run(self) -> None:
        """Write lines as they come, until cancelled; what is left then is written first.

        What a killed process had no time to write comes first.
        """
        here = {outcome.id for outcome in self._lines}
        owed = [outcome for outcome in self._ledger.unreported() if outcome.id not in here]
        if owed:
            there, missing = await asyncio.to_thread(self._told_apart, owed)
            self._settle(there)
            self._lines.extendleft(reversed(missing))
            self._wake.set()
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                self._settle(await asyncio.to_thread(self._write))
                # A burst is written together: an SD card wears by writes, not by lines.
                await asyncio.sleep(1.0)
        finally:
            self._settle(await asyncio.to_thread(self._write))

    def _settle(self, ids: list[str]) -> None:
        try:
            self._ledger.reported(ids)
        except Unavailable:
            # A later process looks into the files before it writes these lines again.
            _log.warning("report: the journal does not take that %d lines are written", len(ids))

    def _told_apart(self, outcomes: list[Outcome]) -> tuple[list[str], list[Outcome]]:
        """Which of them have their line already, by id, and which have none."""
        there: set[str] = set()
        for day in {_day(outcome) for outcome in outcomes}:
            try:
                with (self._folder / f"{day}.csv").open(newline="", encoding="ascii") as file:
                    there |= {row[1] for row in csv.reader(file) if len(row) >= _FIRST_COLUMNS}
            except (OSError, UnicodeDecodeError, csv.Error):
                continue
        return (
            [outcome.id for outcome in outcomes if outcome.id in there],
            [outcome for outcome in outcomes if outcome.id not in there],
        )

    def _write(self) -> list[str]:
        """Write what waits; the ids of the messages that have their line now."""
        written: list[str] = []
        with self._writing:
            days: dict[date, list[Outcome]] = {}
            while self._lines:
                outcome = self._lines.popleft()
                days.setdefault(_day(outcome), []).append(outcome)
            for day, outcomes in days.items():
                try:
                    self._append(self._folder / f"{day}.csv", outcomes)
                except OSError as error:
                    _log.error("report: %d lines of %s wait: %s", len(outcomes), day, error.strerror)
                    self._lines.extendleft(reversed(outcomes))
                else:
                    written += [outcome.id for outcome in outcomes]
            if days and (newest := max(days)) != self._pruned_on:
                self._pruned_on = newest
                self._prune(newest - timedelta(days=self._keep_days()))
        return written

    def _prune(self, before: date) -> None:
        for path in self._folder.glob("????-??-??.csv"):
            try:
                if date.fromisoformat(path.stem) < before:
                    path.unlink()
            except ValueError:
                continue
            except OSError as error:
                _log.warning("report: %s stays: %s", path.name, error.strerror)

    @staticmethod
    def _append(path: Path, outcomes: list[Outcome]) -> None:
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        with path.open("a+b", buffering=0) as file:
            start = file.seek(0, os.SEEK_END)
            if start == 0:
                writer.writerow(HEADER)
            columns = _columns(file) if start else len(HEADER)
            writer.writerows(_line(outcome)[:columns] for outcome in outcomes)
            rest = text.getvalue().encode("ascii")
            try:
                while rest:
                    rest = rest[file.write(rest) :]
            except OSError:
                file.truncate(start)  # half a line would stand before the one that is tried again
                raise


def _line(outcome: Outcome) -> tuple[object, ...]:
    return (
        _local(outcome).isoformat(timespec="milliseconds"),
        outcome.id,
        outcome.modem_id or "",
        outcome.receiver,
        outcome.length,
        outcome.parts,
        outcome.state.value,
        outcome.error or "",
        outcome.source,
        _amount(outcome.price),
        _amount(outcome.saved),
    )


def _columns(file: io.RawIOBase) -> int:
    """How many columns a file of today has that an earlier release began: its lines go on as its header says."""
    file.seek(0)
    header = file.readline(1000).decode("ascii", "replace").strip().split(",")
    file.seek(0, os.SEEK_END)
    return len(header) if header == list(HEADER[: len(header)]) else len(HEADER)


def _amount(money: Decimal | None) -> str:
    return "" if money is None else f"{money.normalize():f}"


def _local(outcome: Outcome) -> datetime:
    return datetime.fromtimestamp(outcome.changed_at).astimezone()


def _day(outcome: Outcome) -> date:
    return _local(outcome).date()
