"""The broker dies, hangs, is cut off, under load: 0 lost, doubles only as `unknown`, and it goes on by itself.

Silence takes its time to be noticed; so what can happen at the same time does.
"""

import asyncio
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.network import network
from bench.publishing import Load
from bench.rabbitmq import RabbitMq, Vhost
from brokers.publisher import publisher
from brokers.station import QUICK, Station, station
from fakes import FakeSender, modem
from otpbroker.events import FeederState
from otpbroker.feeder.claims import ARGUMENTS as STREAM

HEARTBEAT = 5  # seconds, the least that can be configured: silence is noticed within 20
COUNT, RATE = 80, 25


def senders(count: int = 4, air: float = 0.3) -> tuple[FakeSender, ...]:
    """Slower than the load: each has a message in the air whenever it happens."""
    return tuple(FakeSender(modem(f"m{number}"), air_time=air) for number in range(count))


async def with_queue(vhost: Vhost, kind: str = "classic", **more: Any) -> dict[str, Any]:
    """The entry of a feeder on a durable queue that is there."""
    async with publisher(vhost) as server:
        await server.declare("sms", durable=True, arguments={"x-queue-type": kind})
        if "claims" in more:
            await server.declare(more["claims"], durable=True, arguments=STREAM)
    return vhost.settings(durable=True, queue_type=kind, heartbeat=HEARTBEAT, **more)


class Trial:
    """A device under load, from the fault on."""

    def __init__(self, device: Station, vhost: Vhost) -> None:
        self.device = device
        self.vhost = vhost
        self.load = Load(vhost, COUNT, RATE)

    async def begin(self) -> None:
        """Return when it is at work."""
        await self.device.connected()
        self._publishing = asyncio.create_task(self.load.run())
        await self.device.until(lambda: len(self.device.texts) > 10)

    async def notices(self) -> float:
        """Seconds until it knows."""
        return await self.device.until(lambda: self.device.state is FeederState.FAILED, 40)

    async def recovers(self) -> float:
        """Seconds until it sends again."""
        begin, before = time.monotonic(), len(self.device.texts)
        await self.device.connected(60)
        await self.device.until(lambda: len(self.device.texts) > before, 60)
        return time.monotonic() - begin

    async def ends_with_each_sent_once(self) -> None:
        """All that the broker gave again was acknowledged: a feeder that stops in order gives nothing back."""
        await self._publishing
        await self.device.until(lambda: set(self.load.texts) <= set(self.device.texts), 60)
        await asyncio.sleep(1.0)
        await self.device.feeders.act("rabbit", "stop")
        assert doubled(self.device) == []
        assert self.device.feeders.statuses[0].unknown == 0
        async with publisher(self.vhost) as server:
            assert await server.ready("sms") == 0


def doubled(*devices: Station) -> list[str]:
    sent = Counter(text for device in devices for text in device.texts)
    return [text for text, times in sent.items() if times > 1]


@pytest.mark.timeout(180)
async def test_a_broker_that_is_killed_and_started_again(ram_folder: Path, mortal_rabbit: RabbitMq) -> None:
    rabbit = mortal_rabbit
    async with (
        rabbit.vhost() as one,
        rabbit.vhost() as other,
        station(ram_folder / "classic", await with_queue(one), *senders()) as classic,
        station(ram_folder / "quorum", await with_queue(other, "quorum"), *senders()) as quorum,
    ):
        await asyncio.sleep(5)  # a quorum queue that is younger may not be there again after a SIGKILL (3.10.8)
        trials = [Trial(classic, one), Trial(quorum, other)]
        await asyncio.gather(*(trial.begin() for trial in trials))
        rabbit.kill()
        noticed = await asyncio.gather(*(trial.notices() for trial in trials))
        await rabbit.start()
        recovered = await asyncio.gather(*(trial.recovers() for trial in trials))
        await asyncio.gather(*(trial.ends_with_each_sent_once() for trial in trials))
    for trial, before, after in zip(trials, noticed, recovered, strict=True):
        told = f"noticed after {before:.2f} s, sending {after:.2f} s after it listened again"
        print(f"{trial.device.name} queue, broker killed: {told}, {trial.load.repeated} publishings repeated")


@pytest.mark.timeout(240)
async def test_a_broker_that_hangs_and_networks_that_are_cut(
    ram_folder: Path, rabbit: RabbitMq, mortal_rabbit: RabbitMq
) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(the_broker_hangs(ram_folder, mortal_rabbit))
        group.create_task(the_network_is_cut(ram_folder, rabbit))
        group.create_task(one_of_two_devices_is_cut_off(ram_folder, rabbit))
        group.create_task(one_of_two_devices_is_cut_off_and_comes_back(ram_folder, rabbit))


async def the_broker_hangs(folder: Path, rabbit: RabbitMq) -> None:
    async with (
        rabbit.vhost() as vhost,
        station(folder / "hanging", await with_queue(vhost), *senders()) as device,
    ):
        trial = Trial(device, vhost)
        await trial.begin()
        rabbit.freeze()
        try:
            noticed = await trial.notices()
        finally:
            rabbit.thaw()
        recovered = await trial.recovers()
        await trial.ends_with_each_sent_once()
    print(f"broker frozen: noticed after {noticed:.1f} s, sending {recovered:.2f} s after it went on")


async def the_network_is_cut(folder: Path, rabbit: RabbitMq) -> None:
    async with rabbit.vhost() as vhost, network(rabbit.port) as line:
        entry = await with_queue(vhost) | {"port": line.port}
        async with station(folder / "cut", entry, *senders()) as device:
            trial = Trial(device, vhost)
            await trial.begin()
            line.cut()
            noticed = await trial.notices()
            line.mend()
            recovered = await trial.recovers()
            await trial.ends_with_each_sent_once()
    print(f"network cut: noticed after {noticed:.1f} s, sending {recovered:.2f} s after it was mended")


async def one_of_two_devices_is_cut_off(folder: Path, rabbit: RabbitMq) -> None:
    """What it had in the air is unknown to the other one, what waited there is sent by that, nothing goes twice."""
    hanging = senders(2, air=0.1)
    async with rabbit.vhost() as vhost, network(rabbit.port) as line:
        entry = await with_queue(vhost, "quorum", claims="claims")
        async with (
            station(folder / "one", entry | {"port": line.port}, *hanging) as one,
            station(folder / "two", entry, *senders(2, air=0.1)) as two,
        ):
            await asyncio.gather(one.connected(), two.connected())
            load = Load(vhost, count=60, rate=20)
            publishing = asyncio.create_task(load.run())
            await one.until(lambda: len(one.texts) > 5)
            for sender in hanging:
                sender.hang()  # each has one in the air when the line is cut
            before = len(one.texts)
            await one.until(lambda: len(one.texts) >= before + 1)
            line.cut()
            await two.until(lambda: two.feeders.statuses[0].unknown > 0, 60)
            for sender in hanging:
                sender.wake()
            await publishing
            await two.until(lambda: set(load.texts) <= {*one.texts, *two.texts}, 60)
            assert doubled(one, two) == []
            assert 1 <= two.feeders.statuses[0].unknown <= 2
            await two.until(lambda: "begun-before" in [event.error for event in two.messages])
            line.mend()
            await one.connected(60)


async def one_of_two_devices_is_cut_off_and_comes_back(folder: Path, rabbit: RabbitMq) -> None:
    """It says how the message ended that it had in the air, and the other one, which has it now, believes it."""
    (sender,) = senders(1)
    sender.hang()
    async with rabbit.vhost() as vhost, network(rabbit.port) as line, publisher(vhost) as server:
        entry = await with_queue(vhost, "quorum", claims="claims")
        patient = replace(QUICK, settle=40.0)
        async with station(folder / "lost", entry | {"port": line.port}, sender) as lost:
            await lost.connected()
            await server.publish({"command": "send-sms", "data": {"receiver": "081234567890", "message": "once"}})
            await lost.until(lambda: bool(sender.given))
            line.cut()
            async with station(folder / "other", entry, *senders(1), patience=patient) as other:
                await other.connected()
                await lost.until(lambda: lost.state is FeederState.FAILED, 40)
                sender.wake()
                line.mend()
                await other.until(lambda: other.feeders.statuses[0].done == 1, 60)
                assert other.feeders.statuses[0].unknown == 0
                assert (lost.texts, other.texts) == (["once"], [])


@pytest.mark.timeout(60)
async def test_a_device_that_comes_later_knows_what_was_begun_before(ram_folder: Path, rabbit: RabbitMq) -> None:
    async with rabbit.vhost() as vhost, publisher(vhost) as server:
        entry = await with_queue(vhost, "quorum", claims="claims")
        (sender,) = senders(1)
        sender.hang()
        async with station(ram_folder / "one", entry, sender) as one:
            await one.connected()
            for text in ("in the air", "waits"):
                await server.publish({"command": "send-sms", "data": {"receiver": "081234567890", "message": text}})
            await one.until(lambda: bool(sender.given))
            await one.feeders.act("rabbit", "stop")  # which does not wait for ever
            sender.wake()
            async with station(ram_folder / "two", entry, *senders(1)) as two:
                await two.until(lambda: two.texts == ["waits"])
                await two.until(lambda: two.feeders.statuses[0].unknown == 1)
        assert doubled(one, two) == []
