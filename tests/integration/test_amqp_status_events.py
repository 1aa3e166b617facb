"""What becomes of a feeder's messages is told to an exchange that may come and go."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bench.rabbitmq import RabbitMq, Vhost
from brokers.publisher import Publisher
from brokers.station import station
from fakes import FakeSender, modem
from otpbroker.events import MessageChanged
from otpbroker.feeder import status_events
from otpbroker.sms.submission import Refused, Retry

NEVER = Refused("cms-38", Retry.NEVER)


def sms(text: str, receiver: str = "081234567890") -> dict[str, Any]:
    return {"command": "send-sms", "data": {"receiver": receiver, "message": text}}


@pytest.fixture
def sender() -> FakeSender:
    return FakeSender(modem("m1"), air_time=0.01)


async def test_states_are_told_to_the_status_exchange_without_number_and_text(
    ram_folder: Path, vhost: Vhost, server: Publisher, sender: FakeSender
) -> None:
    await server.declare_exchange("states", "topic")
    await server.declare("watch")
    await server.bind("watch", "states", "#")
    sender.answer(NEVER)
    async with station(ram_folder, vhost.settings(status_exchange="states"), sender) as device:
        await device.connected()
        await asyncio.sleep(0.2)  # its channel opens beside the consumer's
        await server.publish(sms("canary", "081234567890"), message_id="shop-1")
        await server.publish(sms("canary", "081234567899"), message_id="shop-2")
        told = [await server.take("watch") for _ in range(4)]
    states = [(event.json["message_id"], event.json["state"], event.json["error"]) for event in told]
    assert states == [
        ("shop-1", "sending", None),
        ("shop-1", "failed", "cms-38"),
        ("shop-2", "sending", None),
        ("shop-2", "sent", None),
    ]
    for event in told:
        assert b"canary" not in event.body
        assert b"34567890" not in event.body
        assert event.json["receiver"].startswith("62812X")


async def test_states_go_on_after_an_id_of_odd_octets_and_after_a_defect(
    ram_folder: Path, vhost: Vhost, server: Publisher, sender: FakeSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    await server.declare_exchange("states", "topic")
    await server.declare("watch")
    await server.bind("watch", "states", "sent")
    whole = status_events._told

    def broken(event: MessageChanged, origin: str | None) -> dict[str, object]:
        if origin == "breaks" and event.state == "sent":
            raise ZeroDivisionError
        return whole(event, origin)

    monkeypatch.setattr(status_events, "_told", broken)
    async with station(ram_folder, vhost.settings(status_exchange="states"), sender) as device:
        await device.connected()
        await asyncio.sleep(0.2)
        await server.publish(sms("a"), message_id=b"\xff" * 100)
        assert (await server.take("watch")).json["message_id"].startswith(r"\xff\xff")
        await server.publish(sms("b"), message_id="breaks")
        await device.until(lambda: "status events are not taken" in device.detail)
        await asyncio.sleep(1.5)
        await server.publish(sms("c"), message_id="c")
        assert (await server.take("watch")).json["message_id"] == "c"


async def test_a_status_exchange_that_is_missing_stops_nothing(
    ram_folder: Path, vhost: Vhost, server: Publisher, sender: FakeSender
) -> None:
    async with station(ram_folder, vhost.settings(status_exchange="states"), sender) as device:
        await device.connected()
        for number in range(3):
            await server.publish(sms(f"{number}"))
        await device.until(lambda: device.feeders.statuses[0].done == 3)
        await device.until(lambda: "status events are not taken" in device.detail)


async def test_states_are_told_again_once_the_exchange_takes_them(
    ram_folder: Path, rabbit: RabbitMq, vhost: Vhost, server: Publisher, sender: FakeSender
) -> None:
    async with station(ram_folder, vhost.settings(status_exchange="states"), sender) as device:
        await device.connected()
        await asyncio.sleep(0.2)
        await server.publish(sms("missing"))
        await device.until(lambda: "status events are not taken" in device.detail)
        await server.declare_exchange("states", "topic")
        await server.declare("watch")
        await server.bind("watch", "states", "sent")
        while not await server.ready("watch"):  # it tries again after 0.3 seconds
            await server.publish(sms("there"))
            await asyncio.sleep(0.1)
        await server.publish(sms("there"), message_id="last")
        while (await server.take("watch")).json["message_id"] != "last":
            pass
        assert device.detail == ""
        await rabbit.api("DELETE", f"exchanges/{vhost.name}/states")
        while "status events are not taken" not in device.detail:  # by the next event
            await server.publish(sms("missing again"))
            await asyncio.sleep(0.1)
