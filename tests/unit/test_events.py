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
