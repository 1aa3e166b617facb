"""What comes in is kept sealed, once, as long as the settings say, over any loss of power."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest

from core import full_disks
from otpbroker.config.model import InboxSection
from otpbroker.errors import Unavailable
from otpbroker.events import Bus, SmsReceived
from otpbroker.messaging.inbox import Inbox
from otpbroker.messaging.received import Received
from otpbroker.sms.address import parse_address
from otpbroker.sms.deliver import Deliver, decode_deliver, encode_deliver
from otpbroker.sms.reassemble import Message, Reassembler
from virtual_time import NOON, VirtualClock

T = TypeVar("T")

KEY = bytes(range(32))
DAY = 86400.0
SENT_AT = datetime.fromtimestamp(NOON - 5, UTC)
CANARY = "Kode OTP Anda 493827"


def message(text: str = CANARY, sender: str = "+6281200001111", sent_at: datetime | None = SENT_AT) -> Message:
    return Message(parse_address(sender), text, sent_at, parts=1, total=1)


class Shelf:
    """An inbox and what is around it; `again` is the next process on the same disk."""

    def __init__(self, folder: Path, clock: VirtualClock, key: bytes = KEY, **settings: object) -> None:
        self.folder = folder
        self.time = clock
        self.settings = InboxSection.model_validate(settings)
        self.bus = Bus()
        self.inbox = Inbox(folder, key, lambda: self.settings, self.bus, clock.clock)

    def again(self, key: bytes = KEY) -> "Shelf":
        return Shelf(self.folder, self.time, key, **self.settings.model_dump())

    async def texts(self, **which: object) -> list[str]:
        return [received.text for received in await self.inbox.page(**which)]  # type: ignore[arg-type]

    @property
    def files(self) -> list[Path]:
        return sorted(self.folder.iterdir()) if self.folder.exists() else []


@pytest.fixture
async def shelf(ram_folder: Path) -> Shelf:
    return Shelf(ram_folder / "inbox", VirtualClock())


async def test_a_message_is_kept_and_read_again_by_the_next_process(shelf: Shelf) -> None:
    assert await shelf.inbox.received("m1", message())
    (received,) = await shelf.again().inbox.page()
    assert received == Received(
        id=received.id,
        modem_id="m1",
        sender="+6281200001111",
        sender_is_number=True,
        text=CANARY,
        sent_at=NOON - 5,
        received_at=NOON,
        parts=1,
        total=1,
    )
    assert await shelf.again().inbox.get(received.id) == received


async def test_a_name_is_no_number(shelf: Shelf) -> None:
    await shelf.inbox.received("m1", message(sender="BANK"))
    (received,) = await shelf.inbox.page()
    assert (received.sender, received.sender_is_number) == ("BANK", False)


async def test_nothing_of_it_is_in_clear_on_the_disk_and_nobody_else_may_read_it(shelf: Shelf) -> None:
    await shelf.inbox.received("m1", message(sender="+6281200001111"))
    (file,) = shelf.files
    content = file.read_bytes() + file.name.encode()
    assert not any(trace in content for trace in (CANARY[:8].encode(), b"81200001111", b"m1", b"text"))
    assert file.stat().st_mode & 0o077 == 0
    assert shelf.folder.stat().st_mode & 0o077 == 0


async def test_a_file_under_another_name_is_not_believed(shelf: Shelf) -> None:
    await shelf.inbox.received("m1", message())
    (file,) = shelf.files
    file.rename(file.with_name(f"{int(file.name, 16) + 1:017x}"))
    assert await shelf.again().texts() == []


async def test_what_the_sim_gives_twice_is_kept_once(shelf: Shelf) -> None:
    assert await shelf.inbox.received("m1", message())
    assert await shelf.inbox.received("m1", message())
    assert await shelf.again().inbox.received("m1", message())
    assert len(shelf.files) == 1


@pytest.mark.parametrize(
    ("modem_id", "other"),
    [
        ("m2", message()),
        ("m1", message(sender="BANK")),
        ("m1", message("another text")),
        ("m1", message(sent_at=datetime.fromtimestamp(NOON, UTC))),
    ],
    ids=["modem", "sender", "text", "time"],
)
async def test_what_differs_is_another_message(shelf: Shelf, modem_id: str, other: Message) -> None:
    await shelf.inbox.received("m1", message())
    await shelf.inbox.received(modem_id, other)
    assert len(shelf.files) == 2


async def test_without_a_time_of_sending_two_alike_are_two(shelf: Shelf) -> None:
    for _ in range(2):
        assert await shelf.inbox.received("m1", message(sent_at=None))
    assert len(await shelf.again().texts()) == 2


async def test_a_message_that_was_deleted_before_the_sim_let_it_go_stays_deleted(shelf: Shelf) -> None:
    await shelf.inbox.received("m1", message())
    (received,) = await shelf.inbox.page()
    assert await shelf.inbox.delete(received.id)
    assert await shelf.inbox.received("m1", message())
    assert await shelf.texts() == []


def parts(text: str = "Kode " * 100, reference: int = 7, sent_at: datetime = SENT_AT) -> list[Deliver]:
    return [decode_deliver(pdu) for pdu in encode_deliver("BANK", text, sent_at=sent_at, reference=reference)]


def joined(delivers: list[Deliver]) -> Message:
    joiner = Reassembler(max_age=1)
    for part in delivers:
        if (whole := joiner.add(part, 0)) is not None:
            return whole
    (half,) = joiner.expire(1)
    return half


async def test_the_parts_of_what_is_kept_are_known_by_the_next_process_too(shelf: Shelf) -> None:
    long = parts()
    await shelf.inbox.received("m1", joined(long))
    after = shelf.again()
    assert not after.inbox.holds("m1", long[1])  # nothing was read yet
    await after.texts()
    assert all(after.inbox.holds("m1", part) for part in long)
    assert not after.inbox.holds("m2", long[1])
    assert not after.inbox.holds("m1", parts(reference=8)[1])
    assert not after.inbox.holds("m1", parts(sent_at=datetime.fromtimestamp(NOON, UTC))[1])


async def test_what_is_left_of_a_message_that_is_kept_is_not_kept_again(shelf: Shelf) -> None:
    long = parts()
    await shelf.inbox.received("m1", joined(long))
    assert await shelf.again().inbox.received("m1", joined(long[2:]))
    assert len(shelf.files) == 1
    assert await shelf.inbox.received("m1", joined(parts("Kode " * 99 + "other")[2:]))
    assert len(shelf.files) == 2


async def test_deleted_is_gone_from_the_disk(shelf: Shelf) -> None:
    await shelf.inbox.received("m1", message())
    (received,) = await shelf.inbox.page()
    assert await shelf.inbox.delete(received.id)
    assert shelf.files == []
    assert not await shelf.inbox.delete(received.id)
    assert await shelf.inbox.get(received.id) is None


@pytest.mark.parametrize("name", ["", "../config.yaml", "0" * 17, "x" * 17, "\0"])
async def test_no_other_file_can_be_named(shelf: Shelf, name: str) -> None:
    await shelf.inbox.received("m1", message())
    (shelf.folder / ("0" * 17)).write_bytes(b"")
    assert await shelf.inbox.get(name) is None
    assert not await shelf.inbox.delete(name)


async def fill(shelf: Shelf, count: int, apart: float = 60.0) -> None:
    for number in range(count):
        await shelf.inbox.received(f"m{number % 2}", message(f"text {number}"))
        await asyncio.sleep(apart)


async def test_pages_follow_the_order_of_arrival(shelf: Shelf) -> None:
    await fill(shelf, 5)
    first = await shelf.inbox.page(limit=2)
    assert [received.text for received in first] == ["text 0", "text 1"]
    assert await shelf.texts(after=first[-1].id, limit=2) == ["text 2", "text 3"]
    assert await shelf.texts(after="zzz") == []
    assert await shelf.texts(modem_id="m1", limit=9) == ["text 1", "text 3"]
    assert await shelf.texts(newest_first=True, limit=2) == ["text 4", "text 3"]


async def test_ids_go_on_when_the_clock_is_set_back(shelf: Shelf) -> None:
    await fill(shelf, 1)
    shelf.time.ntp_step = -DAY
    await shelf.inbox.received("m1", message("later"))
    assert await shelf.again().texts() == ["text 0", "later"]


async def test_beyond_the_most_the_oldest_go(shelf: Shelf) -> None:
    shelf.settings = InboxSection(max_messages=3)
    await fill(shelf, 5)
    assert await shelf.texts() == ["text 2", "text 3", "text 4"]
    assert len(shelf.files) == 3


async def test_what_is_too_old_goes_when_its_time_comes_though_nothing_else_happens(shelf: Shelf) -> None:
    shelf.settings = InboxSection(keep_days=2)
    running = asyncio.create_task(shelf.inbox.run())
    await fill(shelf, 3, apart=3600)
    await asyncio.sleep(2 * DAY - 3 * 3600 - 60)
    assert len(shelf.files) == 3
    await asyncio.sleep(120)
    assert len(shelf.files) == 2
    await asyncio.sleep(3 * 3600)
    assert shelf.files == []
    running.cancel()


async def test_a_process_that_starts_late_deletes_what_is_too_old(shelf: Shelf) -> None:
    await fill(shelf, 1)
    await asyncio.sleep(31 * DAY)
    running = asyncio.create_task(shelf.again().inbox.run())
    await asyncio.sleep(1)
    assert shelf.files == []
    running.cancel()


async def test_an_inbox_that_is_switched_off_keeps_nothing_and_leaves_nothing_with_the_modem(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    shelf.settings = InboxSection(enabled=False)
    caplog.set_level("INFO")
    assert await shelf.inbox.received("m1", message())
    assert shelf.files == []
    assert "493827" not in caplog.text
    assert "switched off" in caplog.text


async def test_on_a_full_disk_nothing_is_said_to_be_kept(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    await fill(shelf, 1)
    with full_disks():
        assert not await shelf.inbox.received("m1", message())
    assert "493827" not in caplog.text
    assert await shelf.texts() == ["text 0"]
    assert await shelf.inbox.received("m1", message())
    assert await shelf.again().texts() == ["text 0", CANARY]


class SlowDisk(ThreadPoolExecutor):
    """Does nothing before it is let go; `begun` tells that something waits for it."""

    def __init__(self) -> None:
        super().__init__(2)
        self.begun, self.go = threading.Event(), threading.Event()

    def submit(self, work: Callable[..., T], /, *arguments: object, **named: object) -> Future[T]:
        def slowly() -> T:
            self.begun.set()
            assert self.go.wait(10)
            return work(*arguments, **named)

        return super().submit(slowly)


async def test_on_a_disk_that_takes_nothing_nothing_is_said_to_be_deleted(shelf: Shelf) -> None:
    await fill(shelf, 1)
    (received,) = await shelf.inbox.page()
    with full_disks(), pytest.raises(Unavailable, match="can't be written"):
        await shelf.inbox.delete(received.id)
    assert await shelf.texts() == ["text 0"]


async def test_an_old_message_that_can_not_be_deleted_keeps_no_new_one_out(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    shelf.settings = InboxSection(max_messages=1)
    await shelf.inbox.received("m1", message("long " * 200))
    with full_disks(900):  # room for the new one, but not for the zeros over the old one
        assert await shelf.inbox.received("m1", message())
    assert "can't be deleted" in caplog.text
    assert len(shelf.files) == 2
    await shelf.inbox.received("m1", message("another"))
    assert await shelf.texts() == ["another"]


async def test_who_gave_up_waiting_for_the_disk_gets_no_second_copy(shelf: Shelf) -> None:
    await fill(shelf, 1)
    loop, disk = asyncio.get_running_loop(), SlowDisk()
    loop.set_default_executor(disk)
    first = asyncio.create_task(shelf.inbox.received("m1", message()))
    thread = ThreadPoolExecutor(1)
    assert await loop.run_in_executor(thread, disk.begun.wait, 10)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    second = asyncio.create_task(shelf.inbox.received("m1", message()))
    disk.go.set()
    assert await second
    await loop.run_in_executor(thread, disk.shutdown)
    thread.shutdown()
    assert len(shelf.files) == 2


async def test_what_a_loss_of_power_left_is_cleared_away(shelf: Shelf) -> None:
    await fill(shelf, 1)
    (shelf.folder / ".01234.abcd").write_bytes(b"half of")
    assert await shelf.again().texts() == ["text 0"]
    assert len(shelf.files) == 1


async def test_a_message_that_the_key_does_not_open_is_not_shown_and_not_destroyed_before_its_time(
    shelf: Shelf,
) -> None:
    await fill(shelf, 1)
    other = shelf.again(key=bytes(32))
    assert await other.texts() == []
    await other.inbox.received("m1", message())
    assert await other.texts() == [CANARY]
    assert await shelf.again().texts() == ["text 0"]
    await asyncio.sleep(40 * DAY)
    await other.inbox.received("m1", message("late"))
    assert len(shelf.files) == 1


async def test_it_is_told_that_something_came_but_not_what(shelf: Shelf) -> None:
    with shelf.bus.subscribe() as events:
        await shelf.inbox.received("m1", replace(message(), parts=2, total=3))
        await shelf.inbox.received("m1", replace(message(), parts=2, total=3))
        shelf.bus.close()
        (told,) = [event async for event in events]
    assert isinstance(told, SmsReceived)
    assert (told.modem_id, told.sender, told.parts, told.total, told.at) == ("m1", "+6281XXXXXXX11", 2, 3, NOON)
    assert await shelf.inbox.get(told.id) is not None
    assert "493827" not in repr(told)


def test_a_message_does_not_show_what_it_holds() -> None:
    received = Received("1", "m1", "+6281200001111", True, CANARY, None, 0.0, 1, 1)
    assert CANARY not in repr(received)
    assert "81200001111" not in repr(received)
