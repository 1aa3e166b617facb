"""Counts outlive the process: a crash exactly, a power cut but for the last minute, and an orderly end whole."""

import asyncio
import json
import logging
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from core import Core, StartCore, full_disks, settings
from fakes import FakeSender, modem
from otpbroker.messaging.limits import LimitReached
from otpbroker.messaging.meter import Meter, Usage
from otpbroker.messaging.outcome import State
from otpbroker.messaging.usage import WRITE_PAUSE
from virtual_time import time_zone

HOUR = 3600.0


@pytest.fixture(autouse=True)
def jakarta() -> Iterator[None]:
    """Virtual time begins at 15:00 there: nine hours before midnight."""
    with time_zone("WIB-7"):
        yield


@asynccontextmanager
async def remembering(core: Core) -> AsyncIterator[None]:
    task = asyncio.create_task(core.usage.run(core.limits.usage))
    await asyncio.sleep(0)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def file_of(core: Core) -> Path:
    return core.folder / "sent-parts.json"


def parts(path: Path) -> int:
    return sum(day["parts"] for kept in json.loads(path.read_text()).values() for day in kept["days"])


def power_cut(core: Core, folder: Path) -> Path:
    """What a power cut leaves: nothing of what is in RAM."""
    shutil.copytree(core.folder, folder, ignore=shutil.ignore_patterns("runtime"))
    return folder


async def test_an_orderly_end_writes_all(start_core: StartCore, ram_folder: Path) -> None:
    section = modem("m1", per_day=3)
    core = await start_core(FakeSender(section))
    async with remembering(core):
        for number in range(3):
            await core.send(f"{number}")
    again = await start_core(FakeSender(section), folder=power_cut(core, ram_folder / "after"))
    with pytest.raises(LimitReached):
        await again.send("4")


async def test_a_power_cut_loses_at_most_a_minute(start_core: StartCore, ram_folder: Path) -> None:
    core = await start_core(FakeSender(modem("m1", per_day=50), air_time=5.0))
    async with remembering(core):
        for number in range(40):
            await core.send(f"{number}")
            await asyncio.sleep(0.1)
            assert parts(file_of(core)) >= number + 1 - WRITE_PAUSE / 5
        kept = parts(file_of(core))
        folder = power_cut(core, ram_folder / "after")
    assert kept < 40
    again = await start_core(FakeSender(modem("m1", per_day=kept + 1)), folder=folder)
    await again.send("one more")
    with pytest.raises(LimitReached):
        await again.send("and another")


async def test_a_card_is_written_at_most_once_a_minute_and_only_for_something_new(start_core: StartCore) -> None:
    core = await start_core(FakeSender(modem("m1", per_day=500), air_time=1.0))
    written: list[str] = []

    async def look(seconds: float) -> None:
        await asyncio.sleep(seconds)
        if (content := file_of(core).read_text()) not in written:
            written.append(content)

    async with remembering(core):
        for number in range(180):
            await core.send(f"{number}")
            await look(0.1)
        assert len(written) == 4  # in 198 seconds, the first at once
        await look(WRITE_PAUSE)
        assert parts(file_of(core)) == 180
        for _ in range(10):
            await look(WRITE_PAUSE)
        assert len(written) == 5


async def test_without_limits_there_is_no_file(start_core: StartCore) -> None:
    core = await start_core(FakeSender(modem("m1")))
    async with remembering(core):
        await core.send("1")
        await asyncio.sleep(120)
    assert not file_of(core).exists()


async def test_the_file_tells_numbers_by_modem_and_nothing_else(start_core: StartCore) -> None:
    core = await start_core(FakeSender(modem("m1", per_hour=9)))
    async with remembering(core):
        await core.send("Kode Anda 123456")
    assert json.loads(file_of(core).read_text()) == {
        "m1": {
            "days": [{"day": "2027-01-15", "age": 0.0, "parts": 1, "promo": 0}],
            "minute": 1,
            "hour": 1,
            "rest": 0.0,
        }
    }


@pytest.mark.parametrize(("orderly", "left"), [(True, HOUR / 2), (False, HOUR)], ids=["reboot", "power cut"])
async def test_the_time_that_the_device_was_off_counts_as_none(
    start_core: StartCore, ram_folder: Path, orderly: bool, left: float
) -> None:
    """It is not known: the clock may be wrong until a time server answers."""
    section = modem("m1", per_hour=1, per_minute=5)
    core = await start_core(FakeSender(section))
    async with remembering(core):
        await core.send("1")
        await asyncio.sleep(HOUR / 2)
        folder = power_cut(core, ram_folder / "cut")
    if orderly:
        folder = power_cut(core, ram_folder / "after")
    sender = FakeSender(section)
    again = await start_core(sender, config=settings(life=2 * 3600), folder=folder)
    booted = again.time.monotonic()
    waiting = await again.send("2", wait=2 * HOUR)
    assert waiting.state is State.SENT
    assert sender.given[0].at == booted + left


@pytest.mark.parametrize(("limits", "until"), [({"per_minute": 1}, 60.0), ({"pause": 600.0}, 600.0)], ids=str)
@pytest.mark.parametrize("crash", [False, True], ids=["boot", "boot, crash"])
async def test_a_reboot_frees_no_minute_and_ends_no_pause(
    start_core: StartCore, ram_folder: Path, limits: dict[str, float], until: float, crash: bool
) -> None:
    section = modem("m1", **limits)
    core = await start_core(FakeSender(section))
    async with remembering(core):
        await core.send("1")
        ended = core.time.monotonic()
        await asyncio.sleep(25)
    folder = power_cut(core, ram_folder / "boot")
    sender = FakeSender(section)
    again = await start_core(sender, config=settings(life=7200), folder=folder)
    if crash:
        folder = again.killed(ram_folder / "crash")
        sender = FakeSender(section)
        again = await start_core(sender, config=settings(life=7200), folder=folder)
    await again.send("2", wait=HOUR)
    assert sender.given[0].at == ended + until


async def test_a_second_restart_after_a_boot_does_not_take_the_hour_for_newer(
    start_core: StartCore, ram_folder: Path
) -> None:
    section = modem("m1", per_hour=1)
    core = await start_core(FakeSender(section))
    async with remembering(core):
        await core.send("1")
    booted = await start_core(FakeSender(section), folder=power_cut(core, ram_folder / "boot"))
    at = booted.time.monotonic()
    await asyncio.sleep(HOUR / 2)
    sender = FakeSender(section)
    again = await start_core(sender, config=settings(life=7200), folder=booted.killed(ram_folder / "crash"))
    await again.send("2", wait=HOUR)
    assert sender.given[0].at == at + HOUR


def test_an_hour_that_a_former_release_took_over_can_be_remembered() -> None:
    """It left no message of the last minute in the journal."""
    assert Meter(Usage(hour=((10.0, 3),))).usage(100.0) == Usage(minute=((10.0, 0),), hour=((10.0, 3),))


async def test_the_journal_knows_better_than_an_older_file(start_core: StartCore, ram_folder: Path) -> None:
    section = modem("m1", per_day=3)
    core = await start_core(FakeSender(section))
    async with remembering(core):
        await core.send("1")
        await asyncio.sleep(1)
        await core.send("2")
        await core.send("3")
        assert parts(file_of(core)) == 1
        folder = core.killed(ram_folder / "after")
    again = await start_core(FakeSender(section), folder=folder)
    with pytest.raises(LimitReached):
        await again.send("4")


async def test_a_clock_of_yesterday_at_the_boot_frees_nothing(start_core: StartCore, ram_folder: Path) -> None:
    section = modem("m1", per_day=2)
    core = await start_core(FakeSender(section))
    async with remembering(core):
        await core.send("1")
    folder = power_cut(core, ram_folder / "after")
    core.time.ntp_step = -16 * HOUR  # one clock for all cores
    again = await start_core(FakeSender(section), folder=folder)
    await again.send("2")
    with pytest.raises(LimitReached):
        await again.send("3")
    again.time.ntp_step = 0.0
    with pytest.raises(LimitReached):
        await again.send("4")


async def test_a_set_clock_and_then_a_crash_free_nothing(start_core: StartCore, ram_folder: Path) -> None:
    section = modem("m1", per_day=1)
    core = await start_core(FakeSender(section))
    await core.send("1")
    core.time.ntp_step = 86400.0
    with pytest.raises(LimitReached):
        await core.send("2")
    again = await start_core(FakeSender(section), folder=core.killed(ram_folder / "after"))
    with pytest.raises(LimitReached):
        await again.send("3")


async def test_a_clock_that_was_set_right_is_remembered_over_a_power_cut(
    start_core: StartCore, ram_folder: Path
) -> None:
    section = modem("m1", per_day=1)
    core = await start_core(FakeSender(section))
    async with remembering(core):
        core.time.ntp_step = -10 * 86400.0
        await core.send("1")
        await asyncio.sleep(WRITE_PAUSE)
        core.time.ntp_step = 0.0
        with pytest.raises(LimitReached):
            await core.send("2")
        await asyncio.sleep(WRITE_PAUSE)
        folder = power_cut(core, ram_folder / "after")
    again = await start_core(FakeSender(section), folder=folder)
    with pytest.raises(LimitReached):
        await again.send("3")


async def test_what_a_set_clock_moves_to_another_day_counts_once(start_core: StartCore, ram_folder: Path) -> None:
    section = modem("m1", per_day=3)
    core = await start_core(FakeSender(section))
    core.time.ntp_step = -15 * HOUR  # midnight
    await core.send("1")
    await asyncio.sleep(20 * HOUR)
    await core.send("2")
    core.time.ntp_step += 5 * HOUR
    between = await start_core(FakeSender(section), folder=core.killed(ram_folder / "between"))
    again = await start_core(FakeSender(section), folder=between.killed(ram_folder / "after"))
    assert (await again.send("3")).state is State.SENT
    with pytest.raises(LimitReached):
        await again.send("4")


async def test_crashes_at_one_moment_lose_nothing(start_core: StartCore, ram_folder: Path) -> None:
    section = modem("m1", per_day=3)
    core = await start_core(FakeSender(section, air_time=0.0))
    await core.send("1")
    again = await start_core(FakeSender(section, air_time=0.0), folder=core.killed(ram_folder / "first"))
    await again.send("2")
    third = await start_core(FakeSender(section, air_time=0.0), folder=again.killed(ram_folder / "second"))
    await third.send("3")
    with pytest.raises(LimitReached):
        await third.send("4")
    last = await start_core(FakeSender(section), folder=third.killed(ram_folder / "third"))
    with pytest.raises(LimitReached):
        await last.send("5")


async def test_the_hour_before_a_boot_is_no_minute(start_core: StartCore, ram_folder: Path) -> None:
    section = modem("m1", per_minute=1, per_hour=5)
    core = await start_core(FakeSender(section))
    async with remembering(core):
        await core.send("1")
        await asyncio.sleep(60)
    booted = await start_core(FakeSender(section), folder=power_cut(core, ram_folder / "boot"))
    again = await start_core(FakeSender(section), folder=booted.killed(ram_folder / "crash"))
    assert (await again.send("2", wait=1.5)).state is State.SENT


async def test_the_journal_forgets_what_counts_no_longer(start_core: StartCore) -> None:
    core = await start_core(FakeSender(modem("m1", per_minute=60, per_month=10_000)))
    for _ in range(6):
        await asyncio.gather(*(core.send(f"{number}") for number in range(10)))
        await asyncio.sleep(HOUR)
    assert len(core.journal.usage.load()["m1"].hour) == 10
    for _ in range(70):
        await core.send("1")
        await asyncio.sleep(86400)
    assert len(core.journal.usage.load()["m1"].spans) == 32


@pytest.mark.parametrize("damage", ["", "{", '{"m1": {}}', '{"m1": {"days": [], "hour": -5}}', "[]"])
async def test_a_damaged_file_is_told_and_all_begins_anew(
    start_core: StartCore, ram_folder: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    folder = ram_folder / "core"
    folder.mkdir()
    (folder / "sent-parts.json").write_text(damage)
    with caplog.at_level(logging.ERROR):
        core = await start_core(FakeSender(modem("m1", per_day=1)), folder=folder)
    assert "sent-parts.json can't be read" in caplog.text
    assert (await core.send("1")).state is State.SENT


async def test_a_full_disk_is_told_and_tried_again(start_core: StartCore, caplog: pytest.LogCaptureFixture) -> None:
    core = await start_core(FakeSender(modem("m1", per_day=9)))
    await core.send("1")
    with full_disks(), caplog.at_level(logging.ERROR):
        async with remembering(core):
            await asyncio.sleep(2)
    assert "a power cut now would lose some" in caplog.text
    assert not file_of(core).exists()
    async with remembering(core):
        await asyncio.sleep(2)
    assert parts(file_of(core)) == 1


async def test_a_full_journal_costs_no_count_in_memory(
    start_core: StartCore, caplog: pytest.LogCaptureFixture
) -> None:
    sender = FakeSender(modem("m1", per_day=1), air_time=5.0)
    core = await start_core(sender)
    first = await core.send("1", wait=1.0)
    with full_disks(), caplog.at_level(logging.ERROR):
        await core.outcome(first.id)
    assert "after a crash 1 parts of m1 are forgotten" in caplog.text
    with pytest.raises(LimitReached):
        await core.send("2")
