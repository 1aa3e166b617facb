"""The bus: the publisher never waits, a slow listener is told what it missed."""

import asyncio

from otpbroker.events import Bus, Event, ModemGone, Overrun


async def gathered(bus: Bus, *events: Event, limit: int = 256) -> list[Event]:
    with bus.subscribe(limit) as subscription:
        for event in events:
            bus.publish(event)
        bus.close()
        return [event async for event in subscription]


async def test_events_come_in_order() -> None:
    assert await gathered(Bus(), ModemGone("a"), ModemGone("b")) == [ModemGone("a"), ModemGone("b")]


async def test_a_slow_listener_loses_the_oldest_and_is_told_how_many() -> None:
    events = [ModemGone(str(number)) for number in range(5)]
    assert await gathered(Bus(), *events, limit=2) == [Overrun(3), ModemGone("3"), ModemGone("4")]


async def test_an_event_wakes_who_waits() -> None:
    bus = Bus()

    async def first() -> Event:
        with bus.subscribe() as subscription:
            async for event in subscription:
                return event
        raise AssertionError

    waiting = asyncio.create_task(first())
    await asyncio.sleep(0)
    bus.publish(ModemGone("a"))
    assert await waiting == ModemGone("a")


async def test_who_left_gets_nothing_and_costs_nothing() -> None:
    bus = Bus()
    with bus.subscribe() as subscription:
        pass
    bus.publish(ModemGone("a"))
    subscription.close()
    assert [event async for event in subscription] == []


async def test_what_was_missed_is_told_once_and_counted_anew() -> None:
    bus = Bus()
    with bus.subscribe(limit=1) as subscription:
        events = aiter(subscription)
        for name in "ab":
            bus.publish(ModemGone(name))
        assert [await anext(events), await anext(events)] == [Overrun(1), ModemGone("b")]
        for name in "cde":
            bus.publish(ModemGone(name))
        assert [await anext(events), await anext(events)] == [Overrun(2), ModemGone("e")]
        bus.close()
        assert [event async for event in events] == []


async def test_a_slow_listener_does_not_slow_the_others() -> None:
    bus = Bus()
    with bus.subscribe(limit=1), bus.subscribe(limit=3) as fast:
        for name in "abc":
            bus.publish(ModemGone(name))
        bus.close()
        assert [event async for event in fast] == [ModemGone("a"), ModemGone("b"), ModemGone("c")]


async def test_the_end_wakes_who_waits_and_meets_who_comes_late() -> None:
    bus = Bus()

    async def everything() -> list[Event]:
        with bus.subscribe() as subscription:
            return [event async for event in subscription]

    waiting = asyncio.create_task(everything())
    await asyncio.sleep(0)
    bus.close()
    async with asyncio.timeout(1):
        assert await waiting == []
        assert await everything() == []
