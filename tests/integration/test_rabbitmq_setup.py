"""`otpbroker rabbitmq setup` makes the layout for several devices, again without harm, and it carries messages."""

import asyncio
import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.rabbitmq import RabbitMq, Vhost
from brokers.certificates import Authority
from brokers.publisher import Publisher
from brokers.station import station
from fakes import FakeSender, modem
from otpbroker.messaging.outcome import State

GROUPS = ("--group", "telkomsel=62811,62812", "--group", "xl=62817,628591")
DEVICES = ("--device", "one", "--device", "two")


async def setup(vhost: Vhost, *options: str, url: str = "", password: str = "") -> tuple[int, str]:
    """Exit code and output."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "otpbroker", "rabbitmq", "setup"),
        *("--url", url or f"amqp://{vhost.username}@127.0.0.1:{vhost.port}/{vhost.name}", *options),
        env=os.environ | {"OTPBROKER_RABBITMQ_PASSWORD": password or vhost.password},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


def sms(text: str, receiver: str = "081234567890") -> dict[str, Any]:
    return {"command": "send-sms", "data": {"receiver": receiver, "message": text}}


def entries(output: str) -> list[dict[str, Any]]:
    """The feeders that the command suggests for config.yaml."""
    return list(yaml.safe_load(output.partition("feeders of a device:\n")[2]))


async def test_numbers_go_to_the_queue_of_their_group_and_control_to_every_device(
    vhost: Vhost, server: Publisher
) -> None:
    code, output = await setup(vhost, *GROUPS, *DEVICES)
    assert code == 0, output
    again, same = await setup(vhost, *GROUPS, *DEVICES)
    assert (again, same) == (0, output), "idempotent"
    routes = {
        "sms.6.2.8.1.2": "otpbroker.sms.telkomsel",
        "sms.6.2.8.1.1.9.9.9": "otpbroker.sms.telkomsel",
        "sms.6.2.8.5.9.1.0": "otpbroker.sms.xl",
        "sms.6.2.8.5.9.2": "otpbroker.sms",
        "sms": "otpbroker.sms",
        "anything": "otpbroker.sms",
    }
    for key, queue in routes.items():
        await server.publish(sms(key), key, "otpbroker")
        assert (await server.take(queue)).json["data"]["message"] == key
    await server.publish({"command": "block-msisdn"}, "control", "otpbroker")
    for device in ("one", "two"):
        await server.take(f"otpbroker.control.{device}")
    for queue in ("otpbroker.sms", "otpbroker.sms.telkomsel", "otpbroker.sms.xl", "otpbroker.dead"):
        assert await server.ready(queue) == 0, f"{queue}: a message went to two queues"


async def test_a_device_with_the_suggested_feeders_has_nothing_to_complain_of(
    ram_folder: Path, rabbit: RabbitMq, vhost: Vhost, server: Publisher
) -> None:
    _, output = await setup(vhost, *GROUPS, *DEVICES)
    messages, control = entries(output)
    # All that docs/feeders.md says that a device needs.
    await rabbit.set_password("device", "device")
    await rabbit.permit(
        vhost.name,
        "device",
        configure="^$",
        write=r"^(amq\.default|otpbroker\.(dead|status))$",
        read=r"^otpbroker\.(sms|control|claims)",
    )
    vhost = replace(vhost, username="device", password="device")
    sender = FakeSender(modem("m1"), air_time=0.01)
    async with station(ram_folder / "a", vhost.settings() | messages | {"id": "rabbit"}, sender) as device:
        await device.connected()
        await server.publish(sms("to the group", "081234567890"), "sms.6.2.8.1.2", "otpbroker")
        await device.until(lambda: sender.texts == ["to the group"])
        assert device.detail == ""
    async with station(ram_folder / "b", vhost.settings() | control | {"id": "rabbit"}, sender) as device:
        await device.connected()
        await server.publish(
            {"command": "block-msisdn", "data": {"msisdn": "081234567890"}}, "control", "otpbroker"
        )
        await device.until(lambda: device.dispatcher.blocklist.blocked("6281234567890"))
        await server.publish(b"{", "control", "otpbroker")
        await server.take("otpbroker.dead")
        assert device.detail == ""
    assert State.SENT in [message.state for message in device.messages] or sender.texts


async def test_a_prefix_moves_to_another_group(vhost: Vhost, server: Publisher) -> None:
    await setup(vhost, *GROUPS)
    code, output = await setup(vhost, "--group", "telkomsel=62811", "--group", "xl=62817,62812")
    assert code == 0, output
    await server.publish(sms("a"), "sms.6.2.8.1.2", "otpbroker")
    await server.take("otpbroker.sms.xl")
    assert await server.ready("otpbroker.sms.telkomsel") == 0


async def test_what_is_there_otherwise_is_told_and_left(vhost: Vhost, server: Publisher) -> None:
    await server.declare("otpbroker.sms", durable=True)
    await server.publish(sms("precious"), "otpbroker.sms")
    code, output = await setup(vhost)
    assert code == 1
    assert re.search(r"queue otpbroker.sms: .*x-.* \(delete it while nothing uses it", output), output
    assert await server.ready("otpbroker.sms") == 1
    code, _ = await setup(vhost, "--prefix", "other")
    assert code == 0


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--group", "a=62811", "--group", "b=628112"), 1, "628112 of b begins with 62811 of a"),
        (("--group", "a=62811", "--group", "b=62811"), 1, "a prefix is there twice"),
        (("--group", "a=62811", "--group", "a=62812"), 1, "the group a is there twice"),
        (("--group", "a=0811"), 2, "international"),
        (("--group", "a b=62"), 2, "letters"),
        (("--url", "amqp://u:secret@127.0.0.1"), 2, "must hold no password"),
        (("--url", "https://u@127.0.0.1"), 2, "must be such as amqps://"),
        (("--url", "amqp://u@127.0.0.1:1"), 1, "Connection refused"),
    ],
)
async def test_mistakes_are_told(vhost: Vhost, options: tuple[str, ...], code: int, words: str) -> None:
    result, output = await setup(vhost, *options)
    assert (result, words in output) == (code, True), output
    assert "secret" not in output


async def test_a_wrong_password_is_told(vhost: Vhost) -> None:
    code, output = await setup(vhost, password="wrong")
    assert code == 1
    assert "correct username and password" in output


async def test_tls_is_verified(authority: Authority, vhost: Vhost) -> None:
    url = f"amqps://{vhost.username}@127.0.0.1:{vhost.tls_port}/{vhost.name}"
    code, output = await setup(vhost, url=url)
    assert (code, "is not trusted" in output) == (1, True), output
    code, output = await setup(vhost, "--ca", str(authority.path), url=url)
    assert code == 0, output
