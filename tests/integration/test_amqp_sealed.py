"""A message in cipher through a real RabbitMQ: neither its disk nor its traffic holds number or text."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bench.rabbitmq import RabbitMq, Vhost
from bench.rig import Installation, Modems, modems
from brokers.publisher import Publisher, publisher
from brokers.sealing import feeder_key, recorded, seal

TEXT, NUMBER = "CANARY-5b0e77", "081277004455"
CLEAR = json.dumps({"command": "send-sms", "data": {"receiver": NUMBER, "message": TEXT}})
# As they may stand there.
CANARIES = [
    canary
    for word in (TEXT, NUMBER, NUMBER.removeprefix("0"))
    for canary in (word.encode(), word.encode("utf-16-be"), word.encode().hex().encode())
]


@pytest.fixture
async def simulated(ram_folder: Path) -> AsyncIterator[Modems]:
    async with modems(ram_folder / "simulated", 2, air=0.05) as running:
        yield running


@pytest.mark.timeout(120)
async def test_what_is_sealed_is_read_by_the_device_alone(
    ram_folder: Path, rabbit: RabbitMq, vhost: Vhost, server: Publisher, simulated: Modems
) -> None:
    await server.declare("sms", durable=True, arguments={"x-queue-type": "quorum"})
    await server.declare("graveyard", durable=True)
    await server.declare_exchange("dead", "fanout")
    await server.bind("graveyard", "dead", "")
    await server.declare("answers", durable=True)
    async with recorded(rabbit.port) as (port, traffic):
        entry = vhost.settings(
            port=port, durable=True, queue_type="quorum", sealed_only=True, dead_letter_exchange="dead"
        )
        installed = Installation(ram_folder / "agent", simulated.ports, feeders=[entry])
        public = feeder_key(installed.folders["state"].parent)
        async with publisher(vhost.through(port)) as listened_to:
            await listened_to.publish(
                seal(CLEAR, public), message_id="42", delivery_mode=2, reply_to="answers", correlation_id="c"
            )
            await written_to_disk(rabbit, seal_of=b"eyJ")
            assert found(rabbit.folder) == [], "while it waits for the device"
            await installed.start()
            try:
                message = await simulated.control.wait(contains=TEXT)
                assert message.receiver == "6281277004455"
                answer = await listened_to.take("answers")
                assert (answer.properties.correlation_id, answer.json["response_code"]) == ("c", "0000")
                assert not [canary for canary in CANARIES if canary in traffic]
                assert found(rabbit.folder) == []
                log = installed.output.read_text()
                assert TEXT not in log
                assert NUMBER not in log

                await listened_to.publish(CLEAR, delivery_mode=2)
                dead = await listened_to.take("graveyard")
                assert dead.headers["x-otpbroker-reason"] == "not-sealed"
                assert TEXT.encode() in traffic, "one in clear is seen: who listens can read"
            finally:
                await installed.stop()
        await server.publish(CLEAR, "graveyard", delivery_mode=2)
        await written_to_disk(rabbit, seal_of=TEXT.encode())
        assert found(rabbit.folder), "one in clear is found: the search works"


def found(folder: Path) -> list[str]:
    """The files of the broker that hold number or text."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [str(path) for path in files if any(canary in path.read_bytes() for canary in CANARIES)]


async def written_to_disk(rabbit: RabbitMq, seal_of: bytes) -> None:
    """Return when the broker wrote what begins so."""
    async with asyncio.timeout(20):
        while not any(seal_of in path.read_bytes() for path in rabbit.folder.rglob("*") if path.is_file()):
            await asyncio.sleep(0.1)  # the files of another process
