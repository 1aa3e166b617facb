"""The examples that are given to who writes an application server, run as they are."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import playwright
import pytest
from relay_process import PASSWORD, Ours, relaying
from rest_server import PASSWORD as API_PASSWORD
from rest_server import USER as API_USER
from rest_server import ScriptedCore, serving

from bench.rabbitmq import Vhost
from brokers.publisher import Publisher
from otpbroker.feeder.key_ring import KeyRing
from otpbroker.feeder.sealed import Unsealer
from otpbroker.messaging import wire
from otpbroker.messaging.command import SendSms
from otpbroker.messaging.wire import broker_frames as frames
from otpbroker.sealing import Sealer

EXAMPLES = Path(__file__).parents[2] / "examples"
NODE = str(Path(playwright.__file__).parent / "driver" / "node")
RUN = {
    "python": (sys.executable, "python/{}.py"),
    "node": (NODE, "node/{}.mjs"),
    "php": (shutil.which("php") or "php", "php/{}.php"),
    "curl": ("sh", "curl/{}.sh"),
}
NUMBER, TEXT = "08126666666", 'Kode "Anda" adalah 1234 \\ 5€'


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return KeyRing(tmp_path / "feeder-keys", Sealer(bytes(32)), lambda: 0.0)


@pytest.fixture
def php_libraries(tmp_path: Path) -> Path:
    """A copy of the examples with the library that composer would put there, from Debian's package."""
    folder = tmp_path / "php"
    shutil.copytree(EXAMPLES / "php", folder)
    (folder / "vendor").mkdir()
    (folder / "vendor/autoload.php").write_text("<?php require '/usr/share/php/PhpAmqpLib/autoload.php';")
    return folder


async def run(
    language: str, name: str, *words: str, folder: Path | None = None, **environment: str
) -> tuple[int, str]:
    """Exit code and output of an example; `folder`: where it is, if not among the others."""
    program, path = RUN[language]
    place = EXAMPLES / path.format(name)
    if folder is not None:
        place = folder / place.name
    process = await asyncio.create_subprocess_exec(
        *(program, str(place), *words),
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, output.decode()


async def delivered(device: Ours) -> bytes:
    """The one command in what comes next."""
    given = await device.hear()
    await device.say(type="settle", id=given["id"], verdict="done")
    octets = given["body"].encode()
    (body,) = frames.items(octets, frames.peek(octets))
    return body


@pytest.mark.parametrize("language", ["python", "node", "php"])
async def test_a_message_is_published_by_websocket_in_clear_and_sealed(
    language: str, tmp_path: Path, ring: KeyRing
) -> None:
    key = tmp_path / "key.json"
    key.write_text(json.dumps(ring.ensure().public))
    unseal = Unsealer(ring.usable)
    async with relaying(tmp_path) as relay, relay.ours("device") as device:
        await device.say(type="consume", credit=10)
        for url in (f"{relay.url}?topic=sms", relay.url):
            for options in ((), (str(key),)):
                environment = {"BROKER_URL": url, "BROKER_USER": "shop", "BROKER_PASSWORD": PASSWORD}
                code, output = await run(language, "publish_websocket", NUMBER, TEXT, *options, **environment)
                assert code == 0, output
                clear, sealed = unseal(await delivered(device))
                assert sealed is bool(options)
                check(clear)
        for url, said in ((f"{relay.url}?topic=sms", "401"), (relay.url, "refused user name or password")):
            environment |= {"BROKER_URL": url, "BROKER_PASSWORD": "wrong"}
            code, output = await run(language, "publish_websocket", NUMBER, TEXT, **environment)
            assert code != 0, "nothing was published"
            assert said in output


NOBODY_THERE = {
    "BROKER_URL": "ws://127.0.0.1:1/ws",
    "BROKER_USER": "shop",
    "BROKER_PASSWORD": PASSWORD,
    "AMQP_URL": "amqp://shop:secret@127.0.0.1:1/",
    "AMQP_HOST": "127.0.0.1",
    "AMQP_PORT": "1",
    "AMQP_USER": "shop",
    "AMQP_PASSWORD": "secret",
    "DEVICE_URL": "http://127.0.0.1:1",
    "API_USER": API_USER,
    "API_PASSWORD": API_PASSWORD,
}
PUBLISHERS = [
    (language, path.stem)
    for language, folder in (("python", "python"), ("node", "node"), ("php", "php"), ("curl", "curl"))
    for path in sorted((EXAMPLES / folder).glob("publish_*"))
]


@pytest.mark.parametrize(("language", "name"), PUBLISHERS)
async def test_who_does_not_reach_the_broker_is_told(language: str, name: str, php_libraries: Path) -> None:
    folder = php_libraries if language == "php" else None
    code, output = await run(language, name, NUMBER, TEXT, folder=folder, **NOBODY_THERE)
    assert code != 0, output


@pytest.mark.parametrize(("language", "name"), PUBLISHERS)
async def test_what_an_example_does_not_understand_it_refuses(
    language: str, name: str, php_libraries: Path
) -> None:
    """A key that is not used would leave the message in clear."""
    folder = php_libraries if language == "php" else None
    words = (NUMBER, TEXT, "key.json") if "rest" in name else (NUMBER, TEXT, "key.json", "more")
    for given in (words, (NUMBER,)):
        code, output = await run(language, name, *given, folder=folder, **NOBODY_THERE)
        assert code != 0, output
        assert "usage" in output


@pytest.mark.parametrize("language", ["python", "php"])
async def test_a_message_is_published_to_rabbitmq_in_clear_and_sealed(
    language: str, tmp_path: Path, ring: KeyRing, vhost: Vhost, server: Publisher, php_libraries: Path
) -> None:
    key = tmp_path / "key.json"
    key.write_text(json.dumps(ring.ensure().public))
    example = EXAMPLES / "python" if language == "python" else php_libraries
    environment = {
        "AMQP_URL": f"amqp://{vhost.username}:{vhost.password}@127.0.0.1:{vhost.port}/{vhost.name}",
        "AMQP_HOST": "127.0.0.1",
        "AMQP_PORT": str(vhost.port),
        "AMQP_VHOST": vhost.name,
        "AMQP_USER": vhost.username,
        "AMQP_PASSWORD": vhost.password,
    }
    code, output = await run(language, "publish_rabbitmq", NUMBER, TEXT, folder=example, **environment)
    assert code != 0, "there is no queue, and the publisher is told"
    assert "unroutable" in output or "NO_ROUTE" in output
    await server.declare("sms")
    unseal = Unsealer(ring.usable)
    for options in ((), (str(key),)):
        words = (NUMBER, TEXT, *options)
        code, output = await run(language, "publish_rabbitmq", *words, folder=example, **environment)
        assert code == 0, output
        taken = await server.take("sms")
        assert taken.properties.message_id
        assert (taken.properties.delivery_mode, taken.properties.expiration) == (2, "300000")
        clear, sealed = unseal(taken.body)
        assert sealed is bool(options)
        check(clear)


def check(clear: bytes) -> None:
    (item,) = wire.parse(clear).items
    command = item.command
    assert isinstance(command, SendSms)
    assert (command.receiver, command.text) == (NUMBER, TEXT)
    assert command.id
    assert command.expires_at is not None


async def test_a_publisher_is_told_what_became_of_its_message(tmp_path: Path, ring: KeyRing) -> None:
    key = tmp_path / "key.json"
    key.write_text(json.dumps(ring.ensure().public))
    unseal = Unsealer(ring.usable)
    async with relaying(tmp_path) as relay, relay.ours("device") as device:
        environment = {"BROKER_URL": f"{relay.url}?channel=sms", "BROKER_USER": "shop", "BROKER_PASSWORD": PASSWORD}
        for verdict, expected, options in (("done", 0, ()), ("unknown", 1, (str(key),))):
            running = asyncio.create_task(run("python", "publish_relay", NUMBER, TEXT, *options, **environment))
            await device.say(type="consume", credit=1)
            given = await device.hear(20)
            clear, sealed = unseal(given["body"].encode())
            assert sealed is bool(options)
            check(clear)
            assert 290 < given["expires_at"] - time.time() <= 300
            await device.say(type="settle", id=given["id"], verdict=verdict, reason="no-answer")
            code, output = await running
            assert code == expected, output
            accepted, settled = map(json.loads, output.splitlines())
            assert accepted["type"] == "accepted"
            assert settled["verdict"] == verdict


@pytest.mark.parametrize("language", ["node", "php", "curl"])
async def test_a_message_is_sent_by_rest(language: str) -> None:
    core = ScriptedCore()
    async with serving(core) as bound:
        environment = {"DEVICE_URL": bound.url, "API_USER": API_USER, "API_PASSWORD": API_PASSWORD}
        code, output = await run(language, "publish_rest", NUMBER, TEXT, **environment)
        assert code == 0, output
        assert (core.messages[0].receiver, core.messages[0].text) == (NUMBER, TEXT)
        environment["API_PASSWORD"] = "wrong"
        code, output = await run(language, "publish_rest", NUMBER, TEXT, **environment)
        assert code != 0, output


def test_each_example_is_small_and_well_formed() -> None:
    """20 lines that do something."""
    files: list[Any] = [path for path in EXAMPLES.rglob("*.*") if path.suffix in {".py", ".mjs", ".php", ".sh"}]
    assert len(files) >= 11
    for path in files:
        assert len(path.read_text().splitlines()) <= 60, path
    for path in EXAMPLES.rglob("*.php"):
        subprocess.run([RUN["php"][0], "-l", str(path)], check=True, capture_output=True)
    for path in EXAMPLES.rglob("*.py"):
        compile(path.read_text(), str(path), "exec")
