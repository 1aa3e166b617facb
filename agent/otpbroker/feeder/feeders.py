"""The feeders of the configuration: each runs on its own, can be stopped and started, and tells how it stands."""

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from otpbroker.clock import Clock
from otpbroker.config.feeders import Feeder as Section
from otpbroker.errors import Rejected
from otpbroker.events import Bus, FeederChanged, FeederState
from otpbroker.feeder.delivery import Verdict
from otpbroker.feeder.intake import Intake
from otpbroker.modem.backoff import Backoff

_log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds, after a defect
GOOD_RUN = 30.0

Act = Literal["start", "stop", "refresh"]
Tell = Callable[[FeederState, str], None]


class Feeder(Protocol):
    async def run(self) -> None:
        """Connect, consume, reconnect with jittered back-off, until cancelled."""
        ...


# Makes a feeder of its section; how it stands with its broker it tells.
Make = Callable[[Section, Intake, Tell], Awaitable[Feeder]]


@dataclass(frozen=True, slots=True)
class FeederStatus:
    """A snapshot of one feeder; the counts are deliveries since the agent started or the entry changed."""

    id: str
    kind: str
    state: FeederState
    detail: str  # why it is not connected, or what is not as it should be; in English
    since: float  # Unix seconds
    done: int = 0
    unknown: int = 0
    refused: int = 0
    returned: int = 0  # given back to the broker


@dataclass(slots=True, eq=False)
class _Kept:
    """One feeder of the configuration, running or not."""

    section: Section
    intake: Intake
    state: FeederState = FeederState.STOPPED
    detail: str = ""
    since: float = 0.0
    task: "asyncio.Task[None] | None" = None
    ending: bool = False  # it was told to
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def status(self) -> FeederStatus:
        counts = self.intake.counts
        return FeederStatus(
            self.section.id,
            self.section.kind,
            self.state,
            self.detail,
            self.since,
            counts[Verdict.DONE],
            counts[Verdict.UNKNOWN],
            counts[Verdict.REFUSED],
            counts[Verdict.NOT_NOW],
        )


class Feeders:
    """`intake` makes the way into the core for a section, `make` the feeder itself."""

    def __init__(self, *, intake: Callable[[Section], Intake], make: Make, bus: Bus, clock: Clock) -> None:
        self._intake = intake
        self._make = make
        self._bus = bus
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._applying = asyncio.Lock()
        self._acting: set[asyncio.Task[None]] = set()
        self._ending: list[_Kept] = []  # of no configuration any more

    @property
    def statuses(self) -> tuple[FeederStatus, ...]:
        """Every feeder of the configuration as it is now, in its order."""
        return tuple(kept.status for kept in self._kept.values())

    async def apply(self, sections: Iterable[Section]) -> None:
        """Make this the configuration: what changed starts anew, what is the same is left alone.

        What ends is waited for, also what ended already when an earlier call was cancelled.
        """
        async with self._applying:
            wanted = {section.id: section for section in sections}
            old = self._kept
            self._kept = {
                section.id: old[section.id]
                if section.id in old and old[section.id].section == section
                else _Kept(section, self._intake(section), since=self._clock.now())
                for section in wanted.values()
            }
            ended = [kept for feeder_id, kept in old.items() if self._kept.get(feeder_id) is not kept]
            self._ending += ended
            await asyncio.gather(*(self._stop(kept, "") for kept in self._ending))
            self._ending.clear()
            for kept in ended:
                if kept.section.id not in self._kept:
                    self._publish(kept, FeederState.STOPPED, "")
            for feeder_id, kept in self._kept.items():
                if old.get(feeder_id) is not kept:
                    if kept.section.active:
                        await self._start(kept)
                    else:
                        self._tell(kept, FeederState.STOPPED, "")

    async def act(self, feeder_id: str, what: Act) -> FeederStatus | None:
        """Start, stop or refresh (connect anew) a feeder until its entry changes or the agent restarts.

        Who does not wait for the end does not stop it. None: there is no such feeder. Raises `Rejected`.
        """
        kept = self._kept.get(feeder_id)
        if kept is None:
            return None
        match what:
            case "start":
                await self._finished(self._start(kept))
            case "stop":
                await self._finished(self._stop(kept, "stopped by hand"))
            case "refresh":
                await self._finished(self._refresh(kept))
        return kept.status

    async def _finished(self, act: Coroutine[object, object, None]) -> None:
        """Half an act is a feeder that is gone for good: it ends though its caller has gone."""
        task = asyncio.create_task(act)
        self._acting.add(task)
        task.add_done_callback(self._acting.discard)
        await asyncio.shield(task)

    async def _start(self, kept: _Kept) -> None:
        async with kept.changing:
            self._begin(kept)

    async def _stop(self, kept: _Kept, detail: str) -> None:
        async with kept.changing:
            await self._end(kept, detail)

    async def _refresh(self, kept: _Kept) -> None:
        async with kept.changing:
            if kept.task is None:
                raise Rejected("feeder-stopped", "the feeder is stopped", remedy="start it")
            await self._end(kept, "")
            self._begin(kept)

    def _begin(self, kept: _Kept) -> None:
        if kept.task is None and self._kept.get(kept.section.id) is kept:
            self._tell(kept, FeederState.CONNECTING, "")
            kept.task = asyncio.create_task(self._run(kept), name=f"feeder {kept.section.id}")

    async def _end(self, kept: _Kept, detail: str) -> None:
        if kept.task is not None:
            if not kept.ending:  # a second time would cut short what it still ends
                kept.ending = True
                kept.task.cancel()
            # `gather` would cancel it a second time with its own caller, and cut short what it still ends.
            await asyncio.wait({kept.task})
            kept.task, kept.ending = None, False
        if self._kept.get(kept.section.id) is kept:
            self._tell(kept, FeederState.STOPPED, detail)

    async def _run(self, kept: _Kept) -> None:
        """A feeder whose `run` ends or raises has a defect; it is made and started again after a pause."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)

        def tell(state: FeederState, detail: str) -> None:
            self._tell(kept, state, detail)

        while True:
            started = self._clock.monotonic()
            try:
                feeder = await self._make(kept.section, kept.intake, tell)
                await feeder.run()
                detail = "it ended"
            except Exception as error:  # noqa: BLE001 # whatever it is, the feeder is started again
                detail = f"it broke: {type(error).__name__}"
                # Its words stay out of the log: they may hold a part of a message.
                where = "".join(traceback.format_tb(error.__traceback__))
                _log.error("feeder %s broke: %s\n%s", kept.section.id, type(error).__name__, where)
            if self._clock.monotonic() - started >= GOOD_RUN:
                backoff.reset()
            self._tell(kept, FeederState.FAILED, detail)
            await asyncio.sleep(backoff.next())

    def _tell(self, kept: _Kept, state: FeederState, detail: str) -> None:
        if (kept.state, kept.detail) == (state, detail):
            return
        if state is not kept.state:
            kept.since = self._clock.now()
        kept.state, kept.detail = state, detail
        level = logging.INFO if state in _WELL and not detail else logging.WARNING
        _log.log(level, "feeder %s: %s%s", kept.section.id, state.value, f": {detail}" if detail else "")
        self._publish(kept, state, detail)

    def _publish(self, kept: _Kept, state: FeederState, detail: str) -> None:
        section = kept.section
        self._bus.publish(FeederChanged(section.id, section.kind, state, detail, self._clock.now()))


_WELL = frozenset({FeederState.STOPPED, FeederState.CONNECTING, FeederState.CONNECTED})
