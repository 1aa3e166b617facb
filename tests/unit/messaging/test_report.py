"""The report: one masked line per message, a file per day, no text."""

import asyncio
import csv
import logging
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from core import StartCore, full_disks, settings
from fakes import FakeSender, modem
from otpbroker.messaging.outcome import Outcome, State
from otpbroker.messaging.report import HEADER, Report
from otpbroker.sms.submission import Refused, Retry, Unknown
from virtual_time import NOON, time_zone

SENT = Outcome(
    id="Zt3",
    state=State.SENT,
    receiver="62812XXXXXX90",
    source="rest",
    accepted_at=NOON,
    expires_at=NOON + 300,
    changed_at=NOON + 1.5,
    parts=2,
    length=200,
    encoding="gsm7",
    modem_id="m1",
    references=(1, 2),
)


@pytest.fixture(autouse=True)
def jakarta() -> Iterator[None]:
    with time_zone("WIB-7"):
        yield


class Ledger:
    """Knows which outcomes are owed a line."""

    def __init__(self, *owed: Outcome) -> None:
        self.owed = {outcome.id: outcome for outcome in owed}

    def unreported(self) -> list[Outcome]:
        return list(self.owed.values())

    def reported(self, ids: Iterable[str]) -> None:
        for message_id in ids:
            self.owed.pop(message_id, None)


@asynccontextmanager
async def running(report: Report) -> AsyncIterator[None]:
    task = asyncio.create_task(report.run())
    await asyncio.sleep(0)
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


async def test_a_line_says_what_became_of_a_message(tmp_path: Path) -> None:
    report = Report(tmp_path, Ledger(), lambda: 92)
    async with running(report):
        report.add(SENT)
        report.add(replace(SENT, id="Zt4", state=State.FAILED, modem_id=None, error="no-modem"))
    (file,) = tmp_path.iterdir()
    assert file.read_text().splitlines() == [
        ",".join(HEADER),
        "2027-01-15T15:00:01.500+07:00,Zt3,m1,62812XXXXXX90,200,2,sent,,rest,,",
        "2027-01-15T15:00:01.500+07:00,Zt4,,62812XXXXXX90,200,2,failed,no-modem,rest,,",
    ]


async def test_a_line_says_what_a_message_cost_and_saved(tmp_path: Path) -> None:
    report = Report(tmp_path, Ledger(), lambda: 92)
    async with running(report):
        report.add(replace(SENT, price=Decimal(100), saved=Decimal("212.50")))
        report.add(replace(SENT, price=Decimal("0.079"), saved=Decimal("0.0000")))
        report.add(replace(SENT, price=Decimal("3E+3"), saved=None))
    (file,) = tmp_path.iterdir()
    assert [(line["price"], line["saved"]) for line in lines(file)] == [
        ("100", "212.5"),
        ("0.079", "0"),
        ("3000", ""),
    ]


OLD = "time,id,modem,receiver,length,parts,outcome,error,source\r\n"
OLD_LINE = "2027-01-15T15:00:00.000+07:00,Old,m1,62812XXXXXX90,9,1,sent,,rest\r\n"


async def test_a_file_that_an_earlier_release_began_keeps_its_columns(tmp_path: Path) -> None:
    (tmp_path / "2027-01-15.csv").write_text(OLD + OLD_LINE, newline="")
    report = Report(tmp_path, Ledger(), lambda: 92)
    async with running(report):
        report.add(replace(SENT, price=Decimal(100)))
        report.add(replace(SENT, price=Decimal(100), changed_at=NOON + 86400))
    written = (tmp_path / "2027-01-15.csv").read_text().splitlines()
    assert [line.count(",") for line in written] == [8, 8, 8]
    assert lines(tmp_path / "2027-01-15.csv")[1]["source"] == "rest"
    assert lines(tmp_path / "2027-01-16.csv")[0]["price"] == "100"


async def test_lines_of_an_earlier_release_are_not_made_up_again(tmp_path: Path) -> None:
    (tmp_path / "2027-01-15.csv").write_text(OLD + OLD_LINE, newline="")
    ledger = Ledger(replace(SENT, id="Old"), replace(SENT, id="New"))
    async with running(Report(tmp_path, ledger, lambda: 92)):
        await asyncio.sleep(2)
    assert [line["id"] for line in lines(tmp_path / "2027-01-15.csv")] == ["Old", "New"]
    assert not ledger.owed


async def test_a_file_that_begins_with_something_else_is_written_on_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "2027-01-15.csv").write_bytes(b"\xff\n" * 3)
    report = Report(tmp_path, Ledger(), lambda: 92)
    async with running(report):
        report.add(SENT)
    assert (tmp_path / "2027-01-15.csv").read_bytes().endswith(b",2,sent,,rest,,\r\n")


async def test_a_file_holds_a_day_of_the_place_where_the_device_stands(tmp_path: Path) -> None:
    report = Report(tmp_path, Ledger(), lambda: 92)
    async with running(report):
        report.add(replace(SENT, id="noon UTC", changed_at=1_800_014_400.0))  # 12:00 UTC, 19:00 in Jakarta
        report.add(replace(SENT, id="evening UTC", changed_at=1_800_036_000.0))  # 18:00 UTC, past midnight
    assert sorted(file.name for file in tmp_path.iterdir()) == ["2027-01-15.csv", "2027-01-16.csv"]
    assert [line["id"] for line in lines(tmp_path / "2027-01-16.csv")] == ["evening UTC"]


async def test_lines_are_appended_under_one_header_over_restarts(tmp_path: Path) -> None:
    for number in range(3):
        report = Report(tmp_path, Ledger(), lambda: 92)
        async with running(report):
            report.add(replace(SENT, id=f"{number}"))
    (file,) = tmp_path.iterdir()
    assert file.read_text().count("outcome") == 1
    assert [line["id"] for line in lines(file)] == ["0", "1", "2"]


async def test_a_burst_is_written_together(tmp_path: Path) -> None:
    """An SD card wears by writes, not by lines."""
    report = Report(tmp_path, Ledger(), lambda: 92)
    file = tmp_path / "2027-01-15.csv"
    async with running(report):
        report.add(SENT)
        await asyncio.sleep(0.1)
        assert len(lines(file)) == 1
        for _ in range(5):
            report.add(SENT)
            await asyncio.sleep(0.1)
        assert len(lines(file)) == 1
        await asyncio.sleep(1)
        assert len(lines(file)) == 6


async def test_what_was_added_before_the_end_is_written(tmp_path: Path) -> None:
    report = Report(tmp_path, Ledger(), lambda: 92)
    async with running(report):
        report.add(replace(SENT, id="0"))
        await asyncio.sleep(0.1)
        report.add(replace(SENT, id="1"))
    assert [line["id"] for line in lines(tmp_path / "2027-01-15.csv")] == ["0", "1"]


async def test_lines_wait_while_the_disk_is_full(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    report = Report(tmp_path, Ledger(), lambda: 92)
    file = tmp_path / "2027-01-15.csv"
    async with running(report):
        with full_disks(), caplog.at_level(logging.ERROR):
            report.add(replace(SENT, id="0"))
            await asyncio.sleep(2)
            assert lines(file) == []
        report.add(replace(SENT, id="1"))
    assert [line["id"] for line in lines(file)] == ["0", "1"]
    assert "1 lines of 2027-01-15 wait" in caplog.text


async def test_a_line_that_fitted_in_part_is_not_left_in_half(tmp_path: Path) -> None:
    report = Report(tmp_path, Ledger(), lambda: 92)
    file = tmp_path / "2027-01-15.csv"
    async with running(report):
        report.add(replace(SENT, id="0"))
        await asyncio.sleep(2)
        with full_disks(size=file.stat().st_size + 10):
            report.add(replace(SENT, id="1"))
            await asyncio.sleep(2)
            assert [line["id"] for line in lines(file)] == ["0"]
        report.add(replace(SENT, id="2"))
    assert [line["id"] for line in lines(file)] == ["0", "1", "2"]


async def test_one_line_per_message_whatever_became_of_it(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1"))
    sender.answer(
        Refused("cms-512", Retry.LATER),
        Unknown("no-answer"),
        Refused("cms-8", Retry.NEVER),
    )
    core = await start_core(sender)
    async with running(core.report):
        for number in range(3):
            await core.send(f"Kode Anda {number}", message_id=f"{number}")
        await core.send("Kode Anda 3", message_id="3", expires_at=NOON - 1)
        await core.send("Kode Anda 0", message_id="0")
        await core.dispatcher.blocklist.block("6281234567890")
        await core.send("Kode Anda 9")
    (file,) = core.folder.glob("*.csv")
    assert [line["outcome"] for line in lines(file)] == ["unknown", "failed", "sent", "expired", "blocked"]
    assert {line["receiver"] for line in lines(file)} == {"62812XXXXXX90"}
    assert "Kode" not in file.read_text()


async def test_the_report_can_be_switched_off(start_core: StartCore) -> None:
    core = await start_core(FakeSender(modem("m1")), config=settings(report=False))
    async with running(core.report):
        await core.send()
    assert not list(core.folder.glob("*.csv"))


async def test_lines_that_a_killed_process_owed_are_made_up_once(tmp_path: Path) -> None:
    """Of three owed lines one was written before the kill, and the journal did not learn of it."""
    first = Report(tmp_path, Ledger(), lambda: 92)
    async with running(first):
        first.add(replace(SENT, id="1"))
    ledger = Ledger(*(replace(SENT, id=f"{number}") for number in range(3)))
    async with running(Report(tmp_path, ledger, lambda: 92)):
        await asyncio.sleep(2)
    assert sorted(line["id"] for line in lines(tmp_path / "2027-01-15.csv")) == ["0", "1", "2"]
    assert not ledger.owed


async def test_a_line_that_is_on_its_way_is_not_made_up_again(tmp_path: Path) -> None:
    ledger = Ledger(SENT)
    report = Report(tmp_path, ledger, lambda: 92)
    report.add(SENT)
    async with running(report):
        await asyncio.sleep(2)
    assert len(lines(tmp_path / "2027-01-15.csv")) == 1
    assert not ledger.owed


async def test_old_files_go_and_nothing_else_does(tmp_path: Path) -> None:
    for name in ("2027-01-05.csv", "2027-01-04.csv", "2020-02-31.csv", "notes.csv"):
        (tmp_path / name).write_text("kept\n")
    report = Report(tmp_path, Ledger(), lambda: 10)
    async with running(report):
        report.add(SENT)
    assert {file.name for file in tmp_path.iterdir()} == {
        "2027-01-15.csv",
        "2027-01-05.csv",
        "2020-02-31.csv",
        "notes.csv",
    }


async def test_the_lines_of_refused_messages_are_made_up_too(start_core: StartCore, ram_folder: Path) -> None:
    core = await start_core(FakeSender(modem("m1")))
    await core.dispatcher.blocklist.block("6281234567890")
    blocked = await core.send("x")
    again = await start_core(FakeSender(modem("m1")), folder=core.killed(ram_folder / "after"))
    assert (await again.outcome(blocked.id)).state is State.BLOCKED
    assert [outcome.id for outcome in again.journal.unreported()] == [blocked.id]


async def test_the_lines_of_a_killed_agent_are_made_up(start_core: StartCore, ram_folder: Path) -> None:
    before = await start_core(FakeSender(modem("m1")))
    for number in range(3):
        await before.send(f"Kode Anda {number}")
    after = await start_core(FakeSender(modem("m1")), folder=before.killed(ram_folder / "killed"))
    async with running(after.report):
        await asyncio.sleep(2)
    (file,) = after.folder.glob("*.csv")
    assert [line["outcome"] for line in lines(file)] == ["sent"] * 3
