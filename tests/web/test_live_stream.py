"""The stream of the overview: everything first, then what changed, and an end when there is a reason."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest
from site_device import Device, Visitor
from site_fakes import USERNAME

from otpbroker.events import MessageChanged, ModemChanged, ModemGone, ModemState

SOON = 5.0


class Stream:
    """The client's side of `/events`."""

    def __init__(self, device: Device, connection: object) -> None:
        self.device = device
        self._connection = connection
        self._text = ""

    async def block(self) -> str:
        """The next event as it stands on the wire; `EOFError` when the server ended the stream."""
        async with asyncio.timeout(SOON):
            while "\n\n" not in self._text:
                if not (octets := await self._connection.receive()):
                    raise EOFError
                self._text += octets.decode()
        block, _, self._text = self._text.partition("\n\n")
        return block

    async def update(self) -> dict[str, str]:
        block = await self.block()
        assert block.startswith("event: update\ndata: ")
        return json.loads(block.removeprefix("event: update\ndata: "))


@asynccontextmanager
async def stream(device: Device, owner: Visitor) -> AsyncIterator[Stream]:
    following = asyncio.create_task(device.monitor.run())
    try:
        async with owner.client.request("/events", headers={"Accept": "text/event-stream"}) as connection:
            await connection.send_complete()
            listening = Stream(device, connection)
            assert await listening.block() == "retry: 2000"
            yield listening
            await connection.disconnect()
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following


async def test_it_begins_with_everything(device: Device, owner: Visitor) -> None:
    async with stream(device, owner) as listening:
        assert set(await listening.update()) == {"summary", "modems", "feeders", "messages", "problems"}


async def test_then_it_tells_what_changed(device: Device, owner: Visitor) -> None:
    async with stream(device, owner) as listening:
        await listening.update()
        device.dispatcher.modems[0] = replace(device.dispatcher.modems[0], state=ModemState.RECOVERING)
        device.bus.publish(ModemChanged(device.dispatcher.modems[0]))
        update = await listening.update()
        assert set(update) == {"summary", "modem-m1"}
        assert "Recovering" in update["modem-m1"]
        device.bus.publish(MessageChanged("a", "sent", "rest", "62812XXXXXX12", "m1", 1, 0.0))
        update = await listening.update()
        assert set(update) == {"summary", "messages"}
        assert "62812XXXXXX12" in update["messages"]


async def test_a_modem_that_came_or_went_brings_all_of_them(device: Device, owner: Visitor) -> None:
    async with stream(device, owner) as listening:
        await listening.update()
        gone = device.dispatcher.modems.pop()
        device.bus.publish(ModemGone(gone.id))
        update = await listening.update()
        assert set(update) == {"summary", "modems"}
        assert gone.id not in update["modems"]


async def test_a_burst_is_told_as_its_sum(device: Device, owner: Visitor) -> None:
    async with stream(device, owner) as listening:
        await listening.update()
        for number in range(5000):  # more than a subscription holds
            device.bus.publish(MessageChanged(str(number), "sent", "rest", "62812XXXXXX12", "m1", 1, 0.0))
        update = await listening.update()
        assert set(update) == {"summary", "modems", "feeders", "messages", "problems"}
        assert update["messages"].count("62812XXXXXX12") == 25


async def test_it_ends_when_the_site_closes(device: Device, owner: Visitor) -> None:
    async with stream(device, owner) as listening:
        await listening.update()
        device.closing.set()
        with pytest.raises(EOFError):
            await listening.block()


async def test_it_tells_nothing_once_the_session_ended(device: Device, owner: Visitor) -> None:
    async with stream(device, owner) as listening:
        await listening.update()
        device.sessions.revoke(USERNAME)
        device.bus.publish(ModemChanged(device.dispatcher.modems[0]))
        assert (await listening.block()).startswith("event: ended")
        with pytest.raises(EOFError):
            await listening.block()


async def test_an_open_stream_does_not_keep_an_idle_session(device: Device, owner: Visitor) -> None:
    async with stream(device, owner) as listening:
        await listening.update()
        device.elapsed.seconds += 1000
        device.bus.publish(ModemChanged(device.dispatcher.modems[0]))
        await listening.update()
        device.elapsed.seconds += 1000
        device.bus.publish(ModemChanged(device.dispatcher.modems[0]))
        assert (await listening.block()).startswith("event: ended")
