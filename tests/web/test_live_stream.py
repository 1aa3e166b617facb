"""The stream of the overview: everything first, then what changed, and an end when there is a reason."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime

import pytest
from site_device import Device, Visitor
from site_fakes import USERNAME

from otpbroker.events import (
    DeliveryChanged,
    Fault,
    FeederChanged,
    FeederState,
    Incident,
    MessageChanged,
    ModemChanged,
    ModemGone,
    ModemHealth,
    ModemState,
    RecoveryStep,
)
from otpbroker.feeder.feeders import FeederStatus

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
        assert set(await listening.update()) == {"summary", "modems", "found", "feeders", "messages", "problems"}


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


async def test_a_modem_that_is_brought_back_tells_the_step_and_what_befell_it(
    device: Device, owner: Visitor
) -> None:
    ill = replace(
        device.dispatcher.modems[0],
        state=ModemState.RECOVERING,
        detail="does not answer, and is being brought back",
        notes=("brownout",),
        health=ModemHealth(
            RecoveryStep.USB_RESET,
            since=time.time() - 130,
            tries=2,
            faults=2,
            incidents=(
                Incident(time.time() - 190, Fault.DEAF),
                Incident(time.time() - 3605, Fault.SILENT, (), RecoveryStep.RADIO, 2.06),
            ),
        ),
    )
    async with stream(device, owner) as listening:
        await listening.update()
        device.dispatcher.modems[0] = ill
        device.bus.publish(ModemChanged(ill))
        told = re.sub(r"<[^>]+>|\s+", " ", (await listening.update())["modem-m1"])
        told = re.sub(r"\s+", " ", told)
    for words in (
        "Step 2: resetting its USB device ( 2 minutes ago )",
        "give it a powered USB hub",
        "Brought back 2",
        "3 minutes ago : did not answer at all; not over yet",
        "1 hour ago : did not answer; back after 2.1 s by leaving the network and coming back",
    ):
        assert words in told, told


@pytest.mark.parametrize(
    ("language", "note", "when"),
    [
        ("en", "It has sent as much as its limits allow.", "It sends again at"),
        ("id", "Modem ini telah mengirim sebanyak yang diizinkan batasnya.", "Modem ini mengirim lagi pada"),
    ],
)
async def test_it_says_what_holds_a_modem_back_and_until_when(
    device: Device, owner: Visitor, language: str, note: str, when: str
) -> None:
    await owner.get(f"/?lang={language}")
    async with stream(device, owner) as listening:
        await listening.update()
        until = time.time() + 86400
        held_back = replace(device.dispatcher.modems[1], notes=("cap-reached",), held_back_until=until)
        device.dispatcher.modems[1] = held_back
        device.bus.publish(ModemChanged(held_back))
        shown = (await listening.update())["modem-m2"]
        assert note in shown
        assert f"{when} {datetime.fromtimestamp(until).astimezone():%Y-%m-%d %H:%M}" in shown
        device.dispatcher.modems[1] = replace(held_back, notes=(), held_back_until=None)
        device.bus.publish(ModemChanged(held_back))
        assert when not in (await listening.update())["modem-m2"]


async def test_a_modem_that_came_or_went_brings_all_of_them(device: Device, owner: Visitor) -> None:
    async with stream(device, owner) as listening:
        await listening.update()
        gone = device.dispatcher.modems.pop()
        device.bus.publish(ModemGone(gone.id))
        update = await listening.update()
        assert set(update) == {"summary", "modems"}
        assert gone.id not in update["modems"]


RABBIT = FeederStatus("rabbit", "rabbitmq", FeederState.REFUSED, "correct username and password", 0.0, done=41)


async def test_a_feeders_new_state_is_told_with_its_error(device: Device, owner: Visitor) -> None:
    device.feeders.statuses = (RABBIT,)
    async with stream(device, owner) as listening:
        first = (await listening.update())["feeders"]
        assert "Refused" in first
        assert "correct username and password" in first
        device.feeders.statuses = (replace(RABBIT, state=FeederState.CONNECTED, detail=""),)
        device.bus.publish(FeederChanged("rabbit", "rabbitmq", FeederState.CONNECTED, "", 0.0))
        update = await listening.update()
        assert set(update) == {"summary", "feeders"}
        assert "Connected" in update["feeders"]
        assert "41" in update["feeders"]
        token = re.search(r'name="form_token" value="(\w+)"', update["feeders"])
        assert token is not None
        assert token[1] == owner.token, "its buttons work"


async def test_a_feeders_error_is_told_in_indonesian(device: Device, owner: Visitor) -> None:
    detail = "the broker refused user name and password (correct username and password)"
    lost = "broker.example:5671: there is no host of this name"
    device.feeders.statuses = (replace(RABBIT, detail=detail), replace(RABBIT, id="other", detail=lost))
    page = (await owner.get("/?lang=id")).text
    assert "broker menolak nama pengguna dan kata sandi (perbaiki username dan password)" in page
    assert "broker.example:5671: tidak ada host dengan nama ini" in page
    assert "Ditolak" in page


async def test_a_feeder_is_stopped_from_the_overview(device: Device, owner: Visitor) -> None:
    device.feeders.statuses = (RABBIT,)
    assert 'action="/feeders/rabbit"' in (await owner.get("/")).text
    answer = await owner.post("/feeders/rabbit", {"do": "stop"})
    assert (answer.status, answer.location) == (303, "/")
    assert (await owner.post("/feeders/rabbit", {"do": "explode"})).status == 400
    assert (await owner.post("/feeders/nobody", {"do": "stop"})).status == 404
    assert (await device.client().post("/feeders/rabbit", {"do": "stop"})).status in {303, 400, 403}
    assert device.feeders.acts == [("rabbit", "stop"), ("nobody", "stop")]


async def test_a_burst_is_told_as_its_sum(device: Device, owner: Visitor) -> None:
    async with stream(device, owner) as listening:
        await listening.update()
        for number in range(5000):  # more than a subscription holds
            device.bus.publish(MessageChanged(str(number), "sent", "rest", "62812XXXXXX12", "m1", 1, 0.0))
        update = await listening.update()
        assert set(update) == {"summary", "modems", "found", "feeders", "messages", "problems"}
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


async def test_a_delivery_shows_beside_the_outcome(device: Device, owner: Visitor) -> None:
    async with stream(device, owner) as listening:
        await listening.update()
        sent = MessageChanged("a", "sent", "rest", "62812XXXXXX12", "m1", 1, 0.0, arrival="waiting")
        device.bus.publish(sent)
        assert "no report yet" in (await listening.update())["messages"]
        device.bus.publish(DeliveryChanged("a", "delivered", "62812XXXXXX12", "m1", 0.0))
        assert "delivered" in (await listening.update())["messages"]


async def test_a_modems_notes_are_put_in_words(device: Device, owner: Visitor) -> None:
    device.dispatcher.modems[0] = replace(device.dispatcher.modems[0], notes=("store-full", "no-reports", "other"))
    page = (await owner.get("/")).text
    assert "memory for messages is nearly full" in page
    assert "No delivery report ever came back" in page
