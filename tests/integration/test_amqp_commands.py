"""What publishers put into the queue ends on a modem, whichever client wrote it."""

import json
from pathlib import Path
from typing import Any

from brokers.publisher import Publisher
from brokers.rabbitmq import Vhost
from brokers.station import station
from fakes import FakeSender, modem
from otpbroker.messaging.outcome import State

VECTORS = {
    vector["name"]: vector["body"]
    for vector in json.loads((Path(__file__).parents[1] / "contract/wire_requests.json").read_text("utf-8"))
}
SEND = VECTORS["README REST send-sms"]
BLOCK = VECTORS["README REST block-msisdn, with its trailing comma"]
UNBLOCK = VECTORS["README REST unblock-msisdn, with its trailing comma"]


def sms(text: str, receiver: str = "081234567890", **data: Any) -> dict[str, Any]:
    return {"command": "send-sms", "data": {"receiver": receiver, "message": text, **data}}


def quick() -> FakeSender:
    return FakeSender(modem("m1"), air_time=0.01)


async def test_the_readmes_examples_end_on_the_modem_and_are_enforced(
    ram_folder: Path, vhost: Vhost, server: Publisher
) -> None:
    async with station(ram_folder, vhost.settings(), quick()) as device:
        await device.connected()
        await server.publish(SEND)
        await device.until(lambda: device.texts == ["OTP Anda adalah 1234"])
        await server.publish(BLOCK)
        await server.publish(sms("to a blocked number", "08126666666"))
        await device.until(lambda: [message.state for message in device.messages][-1] == State.BLOCKED)
        await server.publish(UNBLOCK)
        await server.publish(sms("to a free number", "08126666666"))
        await device.until(lambda: device.texts == ["OTP Anda adalah 1234", "to a free number"])
        await device.until(lambda: device.feeders.statuses[0].done == 5)
        assert await server.ready("sms") == 0
