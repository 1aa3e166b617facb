"""The block list: in memory for the question, on disk before the answer, whole after a loss of power."""

import asyncio
import logging
import stat
from pathlib import Path

import pytest

from core import full_disks
from otpbroker.errors import Unavailable
from otpbroker.messaging.blocklist import Blocklist


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "blocklist.txt"


def test_without_a_file_nobody_is_blocked(path: Path) -> None:
    blocklist = Blocklist.load(path)
    assert (len(blocklist), blocklist.blocked("6281234567890")) == (0, False)


async def test_what_is_blocked_stays_blocked_over_a_restart(path: Path) -> None:
    first = Blocklist(path)
    for number in ("62811", "62822", "62833"):
        await first.block(number)
    await first.unblock("62822")
    second = await asyncio.to_thread(Blocklist.load, path)
    for blocklist in (first, second):
        assert blocklist.entries() == ["62811", "62833"]
        assert [blocklist.blocked(number) for number in ("62811", "62822")] == [True, False]


async def test_a_number_can_be_blocked_lifted_and_blocked_again(path: Path) -> None:
    blocklist = Blocklist(path)
    for _ in range(3):
        await blocklist.block("62811")
        await blocklist.unblock("62811")
    await blocklist.block("62811")
    assert (await asyncio.to_thread(Blocklist.load, path)).blocked("62811")


async def test_repeated_commands_write_nothing(path: Path) -> None:
    blocklist = Blocklist(path)
    for _ in range(5):
        await blocklist.block("62811")
        await blocklist.unblock("62899")
    assert path.read_text() == "62811\n"


async def test_commands_at_the_same_time_end_on_disk_as_in_memory(path: Path) -> None:
    blocklist = Blocklist(path)
    await asyncio.gather(
        *(blocklist.block(f"628{number}") for number in range(50)),
        *(blocklist.unblock(f"628{number}") for number in range(0, 50, 2)),
    )
    again = await asyncio.to_thread(Blocklist.load, path)
    assert again.entries() == blocklist.entries()
    assert len(again) == 25


async def test_what_cannot_be_saved_is_not_said_to_be_blocked(path: Path) -> None:
    blocklist = Blocklist(path)
    await blocklist.block("62811")
    with full_disks():
        with pytest.raises(Unavailable) as refusal:
            await blocklist.block("62822")
        with pytest.raises(Unavailable):
            await blocklist.unblock("62811")
    assert refusal.value.code == "not-saved"
    assert blocklist.entries() == ["62811"]
    await blocklist.block("62822")  # and the next try is a real one
    assert (await asyncio.to_thread(Blocklist.load, path)).entries() == ["62811", "62822"]


def test_loading_compacts_the_file(path: Path) -> None:
    path.write_text("62811\n62822\n-62811\n62833\n-62833\n")
    Blocklist.load(path)
    assert path.read_text() == "62822\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["blocklist.txt"]


def test_a_line_cut_off_by_a_loss_of_power_is_no_number(path: Path) -> None:
    path.write_text("62811\n6282")
    blocklist = Blocklist.load(path)
    assert blocklist.entries() == ["62811"]
    assert path.read_text() == "62811\n"


def test_a_line_that_is_no_number_is_dropped_with_a_warning(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.write_bytes(b"62811\n\xff\xfe\n\nsomebody\n62822\n")
    with caplog.at_level(logging.WARNING):
        assert Blocklist.load(path).entries() == ["62811", "62822"]
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 3
    assert "blocklist.txt: line 2" in caplog.text


async def test_a_page_of_the_list_in_the_order_of_blocking(path: Path) -> None:
    blocklist = Blocklist(path, ["62833", "62811", "62822", "14155"])
    assert blocklist.entries(offset=1, limit=2) == ["62811", "62822"]
    assert blocklist.entries(containing="628", limit=2) == ["62833", "62811"]
    assert blocklist.entries(offset=9) == []
