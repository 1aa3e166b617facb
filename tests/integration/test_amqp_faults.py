"""The broker dies, hangs, is cut off, under load: 0 lost, doubles only as `unknown`, and it goes on by itself."""

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from brokers.load import Load
from brokers.network import network
from brokers.publisher import publisher
from brokers.rabbitmq import RabbitMq, Vhost
from brokers.station import Station, station
from fakes import FakeSender, modem
from otpbroker.events import FeederState

HEARTBEAT = 5  # seconds, the least that can be configured: silence is noticed within 10 + 5


def senders(count: int = 4, air: float = 0.15) -> tuple[FakeSender, ...]:
    return tuple(FakeSender(modem(f"m{number}"), air_time=air) for number in range(count))


def durable(**more: Any) -> dict[str, Any]:
    return {"durable": True, "heartbeat": HEARTBEAT} | more


async def first_sent(device: Station, within: float = 60.0) -> float:
    """Seconds until the next message leaves."""
    before = len(device.texts)
    return await device.until(lambda: len(device.texts) > before, within)


async def all_ended(device: Station, load: Load, within: float = 60.0) -> None:
    wanted = set(load.texts)
    await device.until(lambda: wanted <= set(device.texts), within)


async def nothing_left(device: Station, vhost: Vhost) -> None:
    """All that the broker gave again was acknowledged: a feeder that stops in order gives nothing back."""
    await asyncio.sleep(1.0)
    await device.feeders.act("rabbit", "stop")
    async with publisher(vhost) as server:
        assert await server.ready("sms") == 0
    assert device.feeders.statuses[0].unknown == 0


def assert_each_once(load: Load, *devices: Station) -> None:
    sent = Counter(text for device in devices for text in device.texts)
    assert set(load.texts) - set(sent) == set(), "lost"
    assert [text for text, times in sent.items() if times > 1] == [], "sent twice"


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", ["classic", "quorum"])
async def test_a_broker_that_is_killed_under_load_and_started_again(
    ram_folder: Path, mortal_rabbit: RabbitMq, kind: str
) -> None:
    rabbit = mortal_rabbit
    async with rabbit.vhost() as vhost, publisher(vhost) as server:
        arguments = {"x-queue-type": kind}
        await server.declare("sms", durable=True, arguments=arguments)
        async with station(ram_folder, vhost.settings(**durable(queue_type=kind)), *senders()) as device:
            await device.connected()
            load = Load(vhost, count=150, rate=20)
            publishing = asyncio.create_task(load.run())
            await device.until(lambda: len(device.texts) > 20)
            rabbit.kill()
            lost = await device.until(lambda: device.state is FeederState.FAILED)
            await rabbit.start()
            listening = time.monotonic()
            await device.connected(60)
            await first_sent(device)
            recovered = time.monotonic() - listening
            await publishing
            await all_ended(device, load)
            await nothing_left(device, vhost)
            assert_each_once(load, device)
            print(
                f"{kind}, killed: noticed after {lost:.2f} s, sending {recovered:.2f} s after it listened again,"
                f" {load.repeated} publishings repeated"
            )


@pytest.mark.timeout(180)
async def test_a_broker_that_hangs_under_load(ram_folder: Path, mortal_rabbit: RabbitMq) -> None:
    rabbit = mortal_rabbit
    async with rabbit.vhost() as vhost, publisher(vhost) as server:
        await server.declare("sms", durable=True)
        async with station(ram_folder, vhost.settings(**durable()), *senders()) as device:
            await device.connected()
            load = Load(vhost, count=150, rate=20)
            publishing = asyncio.create_task(load.run())
            await device.until(lambda: len(device.texts) > 20)
            rabbit.freeze()
            try:
                lost = await device.until(lambda: device.state is FeederState.FAILED, 30)
            finally:
                rabbit.thaw()
            thawed = time.monotonic()
            await first_sent(device)
            recovered = time.monotonic() - thawed
            await publishing
            await all_ended(device, load)
            await nothing_left(device, vhost)
            assert_each_once(load, device)
            print(f"frozen: noticed after {lost:.1f} s, sending {recovered:.2f} s after it went on")


@pytest.mark.timeout(180)
async def test_a_network_that_is_cut_under_load(ram_folder: Path, mortal_rabbit: RabbitMq) -> None:
    rabbit = mortal_rabbit
    async with rabbit.vhost() as vhost, publisher(vhost) as server, network(rabbit.port) as line:
        await server.declare("sms", durable=True)
        entry = vhost.settings(**durable(port=line.port))
        async with station(ram_folder, entry, *senders()) as device:
            await device.connected()
            load = Load(vhost, count=150, rate=20)
            publishing = asyncio.create_task(load.run())
            await device.until(lambda: len(device.texts) > 20)
            line.cut()
            lost = await device.until(lambda: device.state is FeederState.FAILED, 30)
            line.mend()
            mended = time.monotonic()
            await first_sent(device)
            recovered = time.monotonic() - mended
            await publishing
            await all_ended(device, load)
            await nothing_left(device, vhost)
            assert_each_once(load, device)
            print(f"network cut: noticed after {lost:.1f} s, sending {recovered:.2f} s after it was mended")


@pytest.mark.timeout(180)
async def test_one_of_two_devices_is_cut_off_and_what_it_had_in_the_air_is_unknown_to_the_other(
    ram_folder: Path, mortal_rabbit: RabbitMq
) -> None:
    rabbit = mortal_rabbit
    async with rabbit.vhost() as vhost, publisher(vhost) as server, network(rabbit.port) as line:
        await server.declare("sms", durable=True, arguments={"x-queue-type": "quorum"})
        entry = vhost.settings(**durable(queue_type="quorum", claims="sms.claims"))
        hanging = senders(2, air=0.1)
        async with (
            station(ram_folder / "one", entry | {"port": line.port}, *hanging) as one,
            station(ram_folder / "two", entry, *senders(2, air=0.1)) as two,
        ):
            await one.connected()
            await two.connected()
            load = Load(vhost, count=60, rate=20)
            publishing = asyncio.create_task(load.run())
            await one.until(lambda: len(one.texts) > 5)
            for sender in hanging:
                sender.hang()  # each has one in the air when the line is cut
            before = len(one.texts)
            await one.until(lambda: len(one.texts) >= before + 1)
            line.cut()
            await two.until(lambda: two.feeders.statuses[0].unknown > 0, 40)
            for sender in hanging:
                sender.wake()
            await publishing
            await two.until(lambda: set(load.texts) <= {*one.texts, *two.texts}, 40)
            assert_each_once(load, one, two)
            unknown = [event for event in two.messages if event.state == "unknown"]
            assert 1 <= len(unknown) <= 2
            assert {event.error for event in unknown} == {"begun-before"}
            line.mend()
            await one.connected(40)
