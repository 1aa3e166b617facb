"""Dead letters that come back into the queue they came from are dropped in the end, and that is shown."""

from pathlib import Path
from typing import Any

import pytest

from bench.rabbitmq import Vhost
from brokers.publisher import Publisher
from brokers.station import station
from fakes import FakeSender, modem
from otpbroker.feeder.outbound import MOST_RETURNS

COME_BACK = "dead letters come back into the queue, and are dropped"


def sms(text: str) -> dict[str, Any]:
    return {"command": "send-sms", "data": {"receiver": "081234567890", "message": text}}


@pytest.mark.parametrize("whose", ["feeder", "queue", "both"])
async def test_a_loop_ends_and_is_a_visible_problem(
    ram_folder: Path, vhost: Vhost, server: Publisher, whose: str
) -> None:
    await server.declare_exchange("otp", "direct")
    arguments = {"x-dead-letter-exchange": "otp"} if whose != "feeder" else {}
    await server.declare("sms", arguments=arguments)
    await server.bind("sms", "otp", "sms")
    sender = FakeSender(modem("m1"), air_time=0.01)
    entry = vhost.settings(dead_letter_exchange="otp") if whose != "queue" else vhost.settings()
    async with station(ram_folder, entry, sender) as device:
        await device.connected()
        await server.publish(b"not json")
        await device.until(lambda: COME_BACK in device.detail)
        await server.publish(sms("the next"))
        await device.until(lambda: device.feeders.statuses[0].done == 1)
        await device.feeders.act("rabbit", "stop")
        assert device.feeders.statuses[0].refused <= 2 * MOST_RETURNS + 1
        assert await server.ready("sms") == 0


async def test_a_dead_letter_that_is_published_again_by_hand_is_one_again(
    ram_folder: Path, vhost: Vhost, server: Publisher
) -> None:
    await server.declare_exchange("dead", "fanout")
    await server.declare("graveyard")
    await server.bind("graveyard", "dead", "")
    sender = FakeSender(modem("m1"), air_time=0.01)
    async with station(ram_folder, vhost.settings(dead_letter_exchange="dead"), sender) as device:
        await device.connected()
        await server.publish(b"not json")
        for times in range(1, MOST_RETURNS + 1):
            dead = await server.take("graveyard")
            assert dead.headers["x-otpbroker-times"] == times
            if times < MOST_RETURNS:
                await server.publish(dead.body, headers=dead.headers)
        assert device.detail == ""


async def test_a_queue_that_keeps_what_is_tried_again_later_is_no_loop(
    ram_folder: Path, vhost: Vhost, server: Publisher
) -> None:
    later = {"x-message-ttl": 50, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "sms"}
    await server.declare("later", arguments=later)
    await server.declare("sms", arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "later"})
    sender = FakeSender(modem("m1"), air_time=0.01)
    async with station(ram_folder, vhost.settings(), sender) as device:
        await device.connected()
        await server.publish(b"not json")
        await device.until(lambda: device.feeders.statuses[0].refused > 2 * MOST_RETURNS)
        assert device.detail == ""
