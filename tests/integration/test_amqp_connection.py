"""How the feeder meets its broker: credentials, TLS, queue flags, what the broker takes away and gives back."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bench.rabbitmq import RabbitMq, Vhost
from brokers.certificates import Authority
from brokers.publisher import Publisher, publisher
from brokers.station import station
from fakes import FakeSender, modem
from otpbroker.errors import Misconfigured
from otpbroker.events import FeederState
from otpbroker.feeder.amqp import Address, Broker, Properties

REFUSED, CONNECTED, FAILED = FeederState.REFUSED, FeederState.CONNECTED, FeederState.FAILED


def sms(text: str) -> dict[str, Any]:
    return {"command": "send-sms", "data": {"receiver": "081234567890", "message": text}}


@pytest.fixture
def sender() -> FakeSender:
    return FakeSender(modem("m1"), air_time=0.01)


async def test_wrong_credentials_are_a_visible_problem_and_right_ones_recover(
    ram_folder: Path, rabbit: RabbitMq, vhost: Vhost, server: Publisher, sender: FakeSender
) -> None:
    await server.declare("sms")
    await server.publish(sms("waited"))
    async with station(ram_folder, vhost.settings(password="wrong"), sender) as device:
        await device.until(lambda: device.state is REFUSED)
        assert device.detail == "the broker refused user name and password (correct username and password)"
        await rabbit.set_password(vhost.username, "wrong")
        took = await device.connected()
        await device.until(lambda: sender.texts == ["waited"])
        print(f"credentials put right: connected after {took:.2f} s")
        assert [event.state for event in device.states].count(REFUSED) == 1, "told once, not at every try"


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"vhost": "elsewhere"}, "correct vhost"),
        ({"host": "nowhere.invalid"}, "there is no host of this name"),
        ({"port": 1}, "Connection refused"),
    ],
)
async def test_what_is_wrong_with_the_address_is_told(
    ram_folder: Path, vhost: Vhost, sender: FakeSender, entry: dict[str, Any], words: str
) -> None:
    async with station(ram_folder, vhost.settings(**entry), sender) as device:
        await device.until(lambda: words in device.detail)
        assert device.state is (REFUSED if "vhost" in entry else FAILED)


async def test_missing_rights_are_told(
    ram_folder: Path, rabbit: RabbitMq, vhost: Vhost, server: Publisher, sender: FakeSender
) -> None:
    await rabbit.permit(vhost.name, vhost.username, configure="", write="", read="")
    async with station(ram_folder, vhost.settings(), sender) as device:
        await device.until(lambda: device.state is REFUSED)
        assert "access to queue 'sms'" in device.detail
        await rabbit.permit(vhost.name, vhost.username)
        await device.connected()


async def test_who_may_only_read_and_write_uses_the_queue_that_is_there(
    ram_folder: Path, rabbit: RabbitMq, vhost: Vhost, server: Publisher, sender: FakeSender
) -> None:
    await server.declare("sms", durable=True)
    await rabbit.permit(vhost.name, vhost.username, configure="^$")
    async with station(ram_folder, vhost.settings(durable=True), sender) as device:
        await device.connected()
        await server.publish(sms("a"))
        await device.until(lambda: sender.texts == ["a"])
        assert device.detail == ""


async def test_the_queue_is_made_as_existing_publishers_expect_it(
    ram_folder: Path, vhost: Vhost, server: Publisher, sender: FakeSender
) -> None:
    async with station(ram_folder, vhost.settings(), sender) as device:
        await device.connected()
        await server.declare("sms", passive=True)  # OTP-Publisher
        await server.declare("sms", durable=False, exclusive=False, auto_delete=False)  # else 406 for everyone else


@pytest.mark.parametrize("kind", ["classic", "quorum"])
async def test_the_queue_may_be_durable_or_a_quorum_queue(
    ram_folder: Path, vhost: Vhost, server: Publisher, sender: FakeSender, kind: str
) -> None:
    async with station(ram_folder, vhost.settings(durable=True, queue_type=kind), sender) as device:
        await device.connected()
        await server.declare("sms", durable=True, arguments={"x-queue-type": "quorum"} if kind == "quorum" else {})
        await server.publish(sms("a"), delivery_mode=2)
        await device.until(lambda: sender.texts == ["a"])


@pytest.mark.parametrize(
    ("there", "configured", "remedy"),
    [
        ({"durable": True}, {}, "set durable: true"),
        ({}, {"durable": True}, "set durable: false"),
        (
            {"durable": True, "arguments": {"x-queue-type": "quorum"}},
            {"durable": True},
            "set queue_type: quorum",
        ),
        ({"durable": True}, {"durable": True, "queue_type": "quorum"}, "set queue_type: classic"),
    ],
)
async def test_a_queue_with_other_flags_is_used_and_the_difference_explained(
    ram_folder: Path,
    vhost: Vhost,
    server: Publisher,
    sender: FakeSender,
    there: dict[str, Any],
    configured: dict[str, Any],
    remedy: str,
) -> None:
    await server.declare("sms", **there)
    async with station(ram_folder, vhost.settings(**configured), sender) as device:
        await device.connected()
        assert remedy in device.detail
        await server.publish(sms("a"))
        await device.until(lambda: sender.texts == ["a"])
        assert {event.state for event in device.states} == {FeederState.CONNECTING, CONNECTED}, "no crash loop"


async def test_what_never_left_does_not_shift_the_confirms_of_what_did(vhost: Vhost, server: Publisher) -> None:
    await server.declare("there")
    address = Address("127.0.0.1", vhost.port, vhost.name, vhost.username, vhost.password)
    async with Broker.connect(address) as broker, broker.channel(confirms=True) as channel:
        with pytest.raises(Misconfigured):
            await channel.publish("", "x" * 256, b"", Properties(), mandatory=True)
        channel.send("", "x" * 256, b"", Properties())
        async with asyncio.timeout(5):
            await channel.publish("", "there", b"a", Properties(), mandatory=True)
            with pytest.raises(Misconfigured) as nowhere:
                await channel.publish("", "not there", b"b", Properties(), mandatory=True)
            await channel.publish("", "there", b"c", Properties(), mandatory=True)
        assert nowhere.value.code == "unroutable"


async def test_an_exclusive_queue_of_somebody_else_is_a_visible_problem(
    ram_folder: Path, vhost: Vhost, server: Publisher, sender: FakeSender
) -> None:
    async with publisher(vhost) as owner:
        await owner.declare("sms", exclusive=True)
        async with station(ram_folder, vhost.settings(), sender) as device:
            await device.until(lambda: device.state is REFUSED)
            assert "exclusive" in device.detail


async def test_a_queue_that_is_deleted_is_made_again(
    ram_folder: Path, rabbit: RabbitMq, vhost: Vhost, server: Publisher, sender: FakeSender
) -> None:
    async with station(ram_folder, vhost.settings(), sender) as device:
        await device.connected()
        await device.until(lambda: len(device.states) >= 2)
        await rabbit.delete_queue(vhost.name, "sms")
        await device.until(lambda: device.state is not CONNECTED)
        took = await device.connected()
        print(f"queue deleted: consuming again after {took:.2f} s")
        await server.publish(sms("a"))
        await device.until(lambda: sender.texts == ["a"])


async def test_tls_is_verified_against_the_configured_authority(
    ram_folder: Path, authority: Authority, vhost: Vhost, server: Publisher, sender: FakeSender
) -> None:
    tls = {"enabled": True, "ca": str(authority.path)}
    async with station(ram_folder, vhost.settings(port=vhost.tls_port, tls=tls), sender) as device:
        await device.connected()
        await server.publish(sms("a"))
        await device.until(lambda: sender.texts == ["a"])


async def test_the_authority_may_stand_in_the_configuration_itself(
    ram_folder: Path, authority: Authority, vhost: Vhost, sender: FakeSender
) -> None:
    certificate, key = authority.issue("device", "device.test")
    tls = {
        "enabled": True,
        "ca": authority.path.read_text(),
        "certificate": certificate.read_text(),
        "key": key.read_text(),
    }
    async with station(ram_folder, vhost.settings(port=vhost.tls_port, tls=tls), sender) as device:
        await device.connected()
    assert not list(Path("/dev/shm").glob("tmp*/chain")), "the key does not stay in a file"


async def test_a_certificate_of_the_device_can_stand_for_its_user(
    ram_folder: Path, rabbit: RabbitMq, authority: Authority, vhost: Vhost, server: Publisher, sender: FakeSender
) -> None:
    certificate, key = authority.issue("user", "device.test", common_name=vhost.username)
    tls = {"enabled": True, "ca": str(authority.path), "certificate": str(certificate), "key": str(key)}
    entry = vhost.settings(port=vhost.tls_port, tls=tls)
    del entry["username"], entry["password"]
    async with station(ram_folder, entry, sender) as device:
        await device.connected()
        await server.publish(sms("a"))
        await device.until(lambda: sender.texts == ["a"])
    stranger, key = authority.issue("stranger", "device.test", common_name="nobody")
    entry["tls"] = tls | {"certificate": str(stranger), "key": str(key)}
    async with station(ram_folder / "other", entry, sender) as device:
        await device.until(lambda: device.state is REFUSED)


@pytest.mark.parametrize(
    ("tls", "words"),
    [
        ({}, "is not trusted"),
        ({"server_name": "another.test"}, "is not trusted"),
        ({"ca": "/nowhere/ca.pem"}, "No such file"),
        ({"ca": "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"}, "tls.ca"),
    ],
)
async def test_a_broker_that_can_not_be_verified_is_refused(
    ram_folder: Path, authority: Authority, vhost: Vhost, sender: FakeSender, tls: dict[str, Any], words: str
) -> None:
    tls = {"enabled": True} | ({"ca": str(authority.path)} if "server_name" in tls else {}) | tls
    async with station(ram_folder, vhost.settings(port=vhost.tls_port, tls=tls), sender) as device:
        await device.until(lambda: device.state is REFUSED)
        assert words in device.detail


async def test_a_broker_that_is_short_of_memory_is_shown_and_loses_nothing(
    ram_folder: Path, rabbit: RabbitMq, vhost: Vhost, server: Publisher, sender: FakeSender
) -> None:
    # A broker blocks a connection when it publishes: here the answer to what was there before.
    await server.declare("sms")
    await server.declare("answers")
    await server.publish(sms("a"), reply_to="answers")
    rabbit.alarm(on=True)
    try:
        async with station(ram_folder, vhost.settings(), sender) as device:
            await device.until(lambda: "takes nothing now" in device.detail)
            assert sender.texts == ["a"]
            rabbit.alarm(on=False)
            await server.take("answers")
            await device.until(lambda: device.detail == "" and device.feeders.statuses[0].done == 1)
            await server.publish(sms("b"))
            await device.until(lambda: sender.texts == ["a", "b"])
    finally:
        rabbit.alarm(on=False)


async def test_start_stop_and_refresh(
    ram_folder: Path, vhost: Vhost, server: Publisher, sender: FakeSender
) -> None:
    async with station(ram_folder, vhost.settings(), sender) as device:
        await device.connected()
        await device.feeders.act("rabbit", "stop")
        assert (device.state, device.detail) == (FeederState.STOPPED, "stopped by hand")
        await server.publish(sms("waits"))
        await device.feeders.act("rabbit", "start")
        await device.until(lambda: sender.texts == ["waits"])
        begun = len(device.states)
        await device.feeders.act("rabbit", "refresh")
        await device.connected()
        await device.until(lambda: len(device.states) > begun)
        assert await device.feeders.act("nobody", "stop") is None
