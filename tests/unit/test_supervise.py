"""A part that fails is started again, with pauses that grow and that only a good run resets."""

import asyncio
import logging
from itertools import pairwise

import pytest

from otpbroker.errors import Misconfigured
from otpbroker.events import Bus, PartChanged
from otpbroker.supervise import supervise
from virtual_run import in_virtual_time
from virtual_time import VirtualClock


class Part:
    """Runs for the given seconds each time, then fails."""

    def __init__(self, *runs: float, error: Exception | None = None) -> None:
        self.runs = list(runs)
        self.error = error or RuntimeError("broke")
        self.started: list[float] = []

    async def run(self) -> None:
        self.started.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.runs.pop(0) if self.runs else 10**9)
        raise self.error


async def started(part: Part, seconds: float) -> list[float]:
    """The pauses before each start but the first."""
    task = asyncio.create_task(supervise("part", part.run, Bus(), VirtualClock().clock))
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return part.started


@in_virtual_time
async def test_pauses_grow_to_a_minute_and_stay_there() -> None:
    times = await started(Part(*[0.0] * 9), 1000)
    pauses = [after - before for before, after in pairwise(times)]
    for pause, wanted in zip(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60], strict=True):
        assert 0.8 * wanted <= pause <= 1.2 * wanted


@in_virtual_time
async def test_a_good_run_begins_anew() -> None:
    times = await started(Part(0.0, 0.0, 0.0, 40.0, 0.0), 200)
    assert 0.8 <= times[4] - times[3] - 40 <= 1.2


@in_virtual_time
async def test_health_is_told_on_the_bus(caplog: pytest.LogCaptureFixture) -> None:
    bus = Bus()
    with bus.subscribe() as events:
        task = asyncio.create_task(supervise("part", Part(0.0).run, bus, VirtualClock().clock))
        await asyncio.sleep(5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        bus.close()
        told = [event async for event in events]
    assert told == [
        PartChanged("part", healthy=True),
        PartChanged("part", healthy=False, detail="RuntimeError: broke"),
        PartChanged("part", healthy=True),
    ]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@in_virtual_time
async def test_what_a_person_has_to_put_right_is_told_once_and_without_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = Misconfigured("cannot-listen", "the port is taken", field="api.http.port")
    assert len(await started(Part(*[0.0] * 6, error=error), 300)) == 7
    assert [record.getMessage() for record in caplog.records] == ["part: api.http.port: the port is taken"]
    assert caplog.records[0].exc_info is None
    await started(Part(0.0, 40.0, 0.0, error=error), 300)
    assert len(caplog.records) == 3, "after a good run it is a new trouble"
