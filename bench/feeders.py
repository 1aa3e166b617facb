"""Several agents on one queue of a real RabbitMQ: what they send together, as a share of what their modems can."""

import asyncio
import json
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
import pika

from bench.network import network
from bench.rabbitmq import Vhost, rabbitmq
from bench.rig import PASSWORD, USER, Installation, Modems, modems
from bench.scenarios import Row, at_least, at_most, bare_load

AGENTS, EACH = 3, 4


async def queue(
    folder: Path, *, claims: bool, delay: float = 0.0, air: float = 1.0, seconds: float = 30.0, **more: Any
) -> list[Row]:
    """Messages a second of `AGENTS` agents with `EACH` modems on one quorum queue that never runs empty.

    Bare loops go first on the same modems, one each: the sum of what the modems can. `claims`: the agents tell each
    other what they begin; `delay`: seconds each way between each agent and the broker.
    """
    count = AGENTS * EACH
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(rabbitmq(folder / "broker"))
        vhost = await stack.enter_async_context(broker.vhost())
        line = await stack.enter_async_context(network(broker.port))
        line.delay = delay
        simulated = await stack.enter_async_context(modems(folder / "simulated", count, air))
        alone = await bare_load(simulated, seconds / 3)
        await simulated.control.clear()
        await asyncio.to_thread(_fill, vhost, round(count * (seconds + 15) / air))
        entry = vhost.settings(port=line.port, durable=True, queue_type="quorum", **more)
        if claims:
            entry["claims"] = "claims"
        agents = [
            Installation(
                folder / f"agent-{place}",
                simulated.ports[place * EACH : (place + 1) * EACH],
                rights=("feeders",),
                feeders=[entry],
            )
            for place in range(AGENTS)
        ]
        for agent in agents:
            stack.push_async_callback(agent.kill)
        running = await asyncio.gather(*(agent.start() for agent in agents))
        await _busy(simulated, count)
        before, begin = await _sent(simulated), time.perf_counter()
        spent = sum(agent.cpu() for agent in running)
        await asyncio.sleep(seconds)
        sent, lasted = await _sent(simulated) - before, time.perf_counter() - begin
        spent = sum(agent.cpu() for agent in running) - spent
        resident = max(agent.resident() for agent in running)
        unknown = sum([await _unknown(agent) for agent in agents])
    rate = sent / lasted
    kind = f"queue, {AGENTS} agents, {count} modems" + (", claims" if claims else "")
    kind += f", {2000 * delay:.0f} ms to the broker and back" if delay else ""
    share = 100 * rate / alone
    name = f"{kind}: agents to bare loops"
    return [
        Row(f"{kind}: bare loops / agents, messages/s", f"{alone:.1f} / {rate:.1f}", "", good=True),
        # Where the broker is far each claim costs the way there and back.
        Row(name, f"{share:.1f} %", "", good=True) if delay else at_least(name, share, 95, "%"),
        at_most(f"{kind}: processor time for 1000 messages", 1000 * spent / sent, 8, "s"),
        at_most(f"{kind}: resident memory", resident, 90, "MiB"),
        at_most(f"{kind}: unknown", unknown, 0, "messages"),
    ]


def _fill(vhost: Vhost, count: int) -> None:
    credentials = pika.PlainCredentials(vhost.username, vhost.password)
    with pika.BlockingConnection(
        pika.ConnectionParameters("127.0.0.1", vhost.port, vhost.name, credentials)
    ) as connection:
        channel = connection.channel()
        channel.queue_declare("sms", durable=True, arguments={"x-queue-type": "quorum"})
        for number in range(count):
            data = {
                "receiver": f"62812{number:08d}",
                "message": f"OTP {number:08d}",
                "expiration": time.time() + 3600,
            }
            body = json.dumps({"command": "send-sms", "data": data}).encode()
            channel.basic_publish("", "sms", body, pika.BasicProperties(message_id=str(number), delivery_mode=2))


async def _busy(simulated: Modems, count: int) -> None:
    """Until every modem has sent something."""
    async with asyncio.timeout(60):
        while len({message.modem for message in await simulated.control.messages()}) < count:
            await asyncio.sleep(0.1)


async def _sent(simulated: Modems) -> int:
    return len(await simulated.control.messages())


async def _unknown(agent: Installation) -> int:
    async with httpx2.AsyncClient(auth=(USER, PASSWORD), trust_env=False) as client:
        answer = await client.get(f"http://127.0.0.1:{agent.port}/api/v1/feeders")
    return int(answer.json()["feeders"][0]["unknown"])
