"""What the limits of modems hold back holds nothing else up."""

from pathlib import Path
from typing import Any

from bench.rabbitmq import Vhost
from brokers.publisher import Publisher
from brokers.station import station
from fakes import FakeSender, modem


def sms(text: str, receiver: str = "081234567890") -> dict[str, Any]:
    return {"command": "send-sms", "data": {"receiver": receiver, "message": text}}


async def test_messages_with_too_many_parts_for_what_is_left_do_not_hold_up_those_that_fit(
    ram_folder: Path, vhost: Vhost, server: Publisher
) -> None:
    sender = FakeSender(modem("m1", per_hour=4), air_time=0.01)
    async with station(ram_folder, vhost.settings(), sender) as device:
        await device.connected()
        await server.publish(sms("first"))
        await device.until(lambda: device.feeders.statuses[0].done == 1)
        for _ in range(2):
            await server.publish(sms("x" * 500))
        for text in ("otp 1", "otp 2"):
            await server.publish(sms(text))
        took = await device.until(lambda: device.feeders.statuses[0].done == 3)
        print(f"past the messages that wait after {took:.2f} s")
        assert sorted(device.texts) == ["first", "otp 1", "otp 2"]
        await device.until(lambda: "too long for what the limits leave" in device.detail)
    assert await server.ready("sms") == 2, "they are not lost"


async def test_arrays_of_which_a_part_has_to_wait_do_not_hold_up_those_that_fit(
    ram_folder: Path, vhost: Vhost, server: Publisher
) -> None:
    sender = FakeSender(modem("m1", per_hour=5), air_time=0.01)
    async with station(ram_folder, vhost.settings(), sender) as device:
        await device.connected()
        await server.publish(sms("first"))
        await device.until(lambda: device.feeders.statuses[0].done == 1)
        for number in range(2):
            await server.publish([sms(f"fits {number}"), sms("x" * 700)])
        await device.until(lambda: len(device.texts) == 3)
        for text in ("otp 1", "otp 2"):
            await server.publish(sms(text))
        await device.until(lambda: device.feeders.statuses[0].done == 3)
        assert sorted(device.texts) == ["first", "fits 0", "fits 1", "otp 1", "otp 2"]
