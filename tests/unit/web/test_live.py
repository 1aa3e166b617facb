"""What the monitor remembers and whom it wakes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress

import pytest

from otpbroker.events import (
    Bus,
    DeliveryChanged,
    MessageChanged,
    ModemChanged,
    ModemGone,
    ModemState,
    ModemStatus,
    PartChanged,
    SmsReceived,
)
from otpbroker.web.live import MESSAGES, WATCHES, Changes, Monitor

SOON = 2.0


def message(message_id: str, state: str = "sent") -> MessageChanged:
    return MessageChanged(message_id, state, "rest", "62812XXXXXX12", "m1", 1, 0.0)


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
async def monitor(bus: Bus) -> AsyncIterator[Monitor]:
    monitor = Monitor(bus)
    following = asyncio.create_task(monitor.run())
    await asyncio.sleep(0)
    yield monitor
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following


async def test_who_begins_has_seen_nothing(monitor: Monitor) -> None:
    with monitor.watch() as watch:
        assert await watch.changes(SOON) == Changes(everything=True)
        assert not await watch.changes(0.001)


async def test_changes_add_up_until_they_are_asked_for(bus: Bus, monitor: Monitor) -> None:
    with monitor.watch() as watch, monitor.watch() as other:
        await watch.changes(SOON)
        bus.publish(ModemChanged(ModemStatus("m1", "", ModemState.READY)))
        bus.publish(ModemChanged(ModemStatus("m1", "", ModemState.SENDING)))
        bus.publish(ModemGone("m2"))
        bus.publish(message("a"))
        bus.publish(PartChanged("api", healthy=False))
        changed = await watch.changes(SOON)
        assert changed == Changes(frozenset({"m1", "m2"}), messages=True, parts=True)
        assert not await watch.changes(0.001)
        assert (await other.changes(SOON)).everything


async def test_lost_events_mean_everything(bus: Bus, monitor: Monitor) -> None:
    with monitor.watch() as watch:
        await watch.changes(SOON)
        for number in range(1100):
            bus.publish(message(str(number)))
        assert (await watch.changes(SOON)).everything


async def test_a_wait_can_be_ended(monitor: Monitor) -> None:
    with monitor.watch() as watch:
        await watch.changes(SOON)
        asyncio.get_running_loop().call_soon(watch.wake)
        assert not await watch.changes(SOON)


async def test_the_latest_messages_newest_first_each_in_its_last_state(bus: Bus, monitor: Monitor) -> None:
    with monitor.watch() as watch:
        await watch.changes(SOON)
        for number in range(MESSAGES + 2):
            bus.publish(message(str(number), "sending"))
        bus.publish(message("10", "unknown"))
        await watch.changes(SOON)
    ids = [shown.id for shown in monitor.messages]
    assert ids == [str(number) for number in range(MESSAGES + 1, 1, -1)]
    assert {shown.id: shown.state for shown in monitor.messages}["10"] == "unknown"


async def test_a_delivery_is_shown_with_its_message(bus: Bus, monitor: Monitor) -> None:
    with monitor.watch() as watch:
        await watch.changes(SOON)
        bus.publish(message("a"))
        await watch.changes(SOON)
        bus.publish(DeliveryChanged("a", "delivered", "62812XXXXXX12", "m1", 0.0))
        bus.publish(DeliveryChanged("long ago", "delivered", "62812XXXXXX12", "m1", 0.0))
        assert await watch.changes(SOON) == Changes(messages=True)
    assert [(shown.id, shown.state, shown.arrival) for shown in monitor.messages] == [("a", "sent", "delivered")]


async def test_what_comes_in_changes_no_overview(bus: Bus, monitor: Monitor) -> None:
    with monitor.watch() as watch:
        await watch.changes(SOON)
        bus.publish(SmsReceived("1", "m1", "BAXX", 1, 1, 0.0))
        assert not await watch.changes(0.01)


async def test_a_part_is_unhealthy_until_it_is_well(bus: Bus, monitor: Monitor) -> None:
    with monitor.watch() as watch:
        await watch.changes(SOON)
        bus.publish(PartChanged("api", healthy=False, detail="first"))
        bus.publish(PartChanged("api", healthy=False, detail="again"))
        await watch.changes(SOON)
        assert [part.detail for part in monitor.unhealthy] == ["again"]
        bus.publish(PartChanged("api", healthy=True))
        await watch.changes(SOON)
        assert monitor.unhealthy == ()


async def test_watches_are_bounded_and_given_back(monitor: Monitor) -> None:
    with ExitStack() as stack:
        for _ in range(WATCHES):
            assert not monitor.crowded
            stack.enter_context(monitor.watch())
        assert monitor.crowded
    assert not monitor.crowded


async def test_following_ends_with_the_bus(bus: Bus) -> None:
    following = asyncio.create_task(Monitor(bus).run())
    await asyncio.sleep(0)
    bus.close()
    async with asyncio.timeout(SOON):
        await following
