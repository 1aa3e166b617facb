"""What a real broker gives again, and what only looks like it."""

from pathlib import Path
from typing import Any

import pytest

from bench.rabbitmq import Vhost
from brokers.publisher import Publisher
from brokers.station import station
from fakes import FakeSender, modem
from otpbroker.feeder import shift


def sms(text: str) -> dict[str, Any]:
    return {"command": "send-sms", "data": {"receiver": "081234567890", "message": text}}


async def test_what_went_back_and_was_taken_by_others_makes_no_repetition_look_new(
    ram_folder: Path, vhost: Vhost, server: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shift, "DRAIN_LIMIT", 0.2)
    sender = FakeSender(modem("m1"), air_time=0.01)
    sender.hang()
    async with station(ram_folder, vhost.settings(prefetch=2), sender) as device:
        await device.connected()
        for text in ("first", "same"):
            await server.publish(sms(text))
        await device.until(lambda: sender.texts == ["first"])
        sender.ready = False
        device.plug(sender)
        await device.until(lambda: device.feeders.statuses[0].returned == 1)
        await server.take("sms")
        sender.wake()
        await device.until(lambda: device.feeders.statuses[0].done == 1)
        await device.feeders.act("rabbit", "refresh")
        await device.connected()
        sender.hang()
        sender.ready = True
        device.plug(sender)
        await server.publish(sms("same"))
        await device.until(lambda: sender.texts == ["first", "same"])
        await device.feeders.act("rabbit", "refresh")  # it is in the air, and so its broker gives it again
        await device.connected()
        sender.wake()
        await device.until(lambda: device.feeders.statuses[0].done == 2)
        assert sender.texts == ["first", "same"]
