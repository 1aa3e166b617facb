"""Remembers how much each modem sent: over a crash exactly, over a power cut to the last minute.

A crash of the process leaves the journal in RAM. For what ends the RAM too there is a small file in the state
folder, written at an orderly end and while there is something new, but at most once a minute: memory cards wear by
writes.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from otpbroker.clock import Clock
from otpbroker.errors import Unavailable
from otpbroker.files import replace_file
from otpbroker.messaging.meter import Usage
from otpbroker.messaging.tally import Span
from otpbroker.messaging.usage_rows import UsageRows

_log = logging.getLogger(__name__)

WRITE_PAUSE = 60.0  # seconds between two writes of the file

_Count = Annotated[int, Field(ge=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _Day(_Strict):
    """`age`: seconds of running devices between the first of these parts and the writing of the file."""

    day: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    age: Annotated[float, Field(ge=0)]
    parts: _Count
    promo: _Count


class _Modem(_Strict):
    """`minute`, `hour`: parts of those before the writing; `rest`: seconds from the last message to the writing."""

    days: list[_Day]
    minute: _Count = 0
    hour: _Count = 0
    rest: Annotated[float, Field(ge=0)] = 0.0


_FILE = TypeAdapter(dict[str, _Modem])


class UsageLog:
    """The counts in the journal, and the file `path`. How long the device was off, nobody knows: it
    counts as no time.
    """

    def __init__(self, rows: UsageRows, path: Path, clock: Clock) -> None:
        self._rows = rows
        self._path = path
        self._clock = clock
        self._changed = asyncio.Event()
        self._writing = threading.Lock()
        self._made = self._written = 0

    def load(self) -> dict[str, Usage]:
        """What the journal has; of modems that it does not know, what the file has. Blocks: for the start."""
        known = self._rows.load()
        before = {modem_id: usage for modem_id, usage in self._read().items() if modem_id not in known}
        try:
            self._rows.begin(before)  # so that the next process of this boot takes it for no newer than it is
        except Unavailable as broken:
            _log.error("counts: %s", broken)
        return known | before

    def add(self, modem_id: str, parts: int, span: Span) -> None:
        self._changed.set()
        try:
            self._rows.add(modem_id, parts, span)
        except Unavailable as broken:
            _log.error("counts: after a crash %d parts of %s are forgotten: %s", parts, modem_id, broken)

    def replace(self, modem_id: str, spans: Iterable[Span]) -> None:
        self._changed.set()
        try:
            self._rows.replace(modem_id, spans)
        except Unavailable as broken:
            _log.error("counts: after a crash those of %s are of another day: %s", modem_id, broken)

    async def run(self, usage: Callable[[], dict[str, Usage]]) -> None:
        """Keep the file fresh until cancelled, then write it a last time."""
        try:
            while True:
                await self._changed.wait()
                await self._write(usage())
                await asyncio.sleep(WRITE_PAUSE)
        finally:
            if last := usage():
                await self._write(last)

    async def _write(self, usage: dict[str, Usage]) -> None:
        self._changed.clear()
        now = self._clock.monotonic()
        content = _FILE.dump_json({modem_id: _modem(usage, now) for modem_id, usage in usage.items()}, indent=1)
        self._made += 1
        try:
            await asyncio.to_thread(self._replace, content, self._made)
        except asyncio.CancelledError:
            self._changed.set()  # its thread may be at it for a while
            raise
        except OSError as error:
            _log.error("counts: a power cut now would lose some: %s", error.strerror)
            self._changed.set()

    def _replace(self, content: bytes, number: int) -> None:
        with self._writing:
            if number > self._written:  # else a newer one was faster
                replace_file(self._path, content)
                self._written = number

    def _read(self) -> dict[str, Usage]:
        try:
            modems = _FILE.validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValidationError) as error:
            _log.error("counts: %s can't be read, all begin at 0: %s", self._path.name, type(error).__name__)
            return {}
        now = self._clock.monotonic()
        return {
            modem_id: Usage(
                tuple(
                    Span(day.day, now - day.age, now - day.age, day.parts, day.promo, here=False)
                    for day in modem.days
                ),
                ((now - modem.rest, modem.minute),) if modem.hour else (),
                ((now - modem.rest, modem.hour),) if modem.hour else (),
            )
            for modem_id, modem in modems.items()
        }


def _modem(usage: Usage, now: float) -> _Modem:
    ended = usage.hour[-1][0] if usage.hour else now
    return _Modem(
        days=[
            _Day(day=span.day, age=max(0.0, now - span.first), parts=span.parts, promo=span.promo)
            for span in usage.spans
        ],
        minute=sum(parts for _, parts in usage.minute),
        hour=sum(parts for _, parts in usage.hour),
        rest=max(0.0, now - ended),
    )
