"""A minute of load through a real RabbitMQ that is killed, restarted, frozen, cut off, and refuses the device."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pika

from bench.network import Network, network
from bench.publishing import Load, parameters
from bench.rabbitmq import USER as BROKER_USER
from bench.rabbitmq import RabbitMq, Vhost, rabbitmq
from bench.rig import PASSWORD, USER, Installation, Modems, modems
from bench.scenarios import Row, at_most

SECONDS, RATE = 60, 8  # the simulated phone remembers 500
MODEMS, AIR = 4, 0.3  # a third more than the load
HEARTBEAT = 5  # seconds, the least that can be configured: silence is noticed within 20
QUIET = 3.0  # seconds between two faults
LONGEST_WAIT = 20.0  # of the back-off, and a try under way


@dataclass(frozen=True, slots=True)
class _Fault:
    name: str
    strike: Callable[[], Awaitable[None]]
    heal: Callable[[], Awaitable[None]]


async def broker_faults(folder: Path) -> list[Row]:
    """Each fault lasts until the device tells of it; then how long until a message is sent again."""
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(rabbitmq(folder / "broker"))
        vhost = await stack.enter_async_context(broker.vhost())
        line = await stack.enter_async_context(network(broker.port))
        simulated = await stack.enter_async_context(modems(folder / "simulated", MODEMS, AIR))
        entry = vhost.settings(port=line.port, durable=True, heartbeat=HEARTBEAT)
        agent = Installation(folder / "agent", simulated.ports, rights=("feeders",), feeders=[entry])
        stack.push_async_callback(agent.kill)
        await agent.start()
        # Another user than the device's: the device's credentials become wrong.
        load = Load(replace(vhost, username=BROKER_USER, password=broker.password), SECONDS * RATE, RATE)
        await _until(agent, "connected")
        publishing = asyncio.create_task(load.run())
        rows = []
        for fault in _faults(broker, vhost, line, agent):
            await asyncio.sleep(QUIET)
            rows += await _suffer(fault, agent, simulated)
        await publishing
        copies = await _arrived(simulated, load)
        status = await _feeder(agent)
        await agent.stop()  # in order: what is not acknowledged goes back
        left = await asyncio.to_thread(_waiting, vhost)
    kind = f"broker faults, {load.count} messages in {SECONDS} s"
    return [
        *rows,
        at_most(f"{kind}: lost", sum(text not in copies for text in load.texts), 0, ""),
        at_most(f"{kind}: doubled", sum(times > 1 for times in copies.values()), 0, ""),
        at_most(f"{kind}: unknown", status["unknown"], 0, ""),
        at_most(f"{kind}: still in the queue", left, 0, ""),
    ]


def _faults(broker: RabbitMq, vhost: Vhost, line: Network, agent: Installation) -> list[_Fault]:
    async def start() -> None:
        await broker.start()

    async def kill() -> None:
        broker.kill()

    async def freeze() -> None:
        broker.freeze()

    async def thaw() -> None:
        broker.thaw()

    async def cut() -> None:
        line.cut()

    async def mend() -> None:
        line.mend()

    async def refuse() -> None:
        await broker.set_password(vhost.username, "another one")
        await broker.hang_up()
        await _until(agent, "refused")

    async def accept() -> None:
        await broker.set_password(vhost.username, vhost.password)
        await _ask(agent, "POST", f"feeders/{vhost.settings()['id']}", {"do": "refresh"})

    return [
        _Fault("killed and started", kill, start),
        _Fault("restarted", broker.end, start),
        _Fault("frozen", freeze, thaw),
        _Fault("network cut", cut, mend),
        _Fault("credentials wrong, then right", refuse, accept),
    ]


async def _suffer(fault: _Fault, agent: Installation, simulated: Modems) -> list[Row]:
    begin = time.perf_counter()
    await fault.strike()
    while (await _feeder(agent))["state"] == "connected":
        await asyncio.sleep(0.02)
    noticed = time.perf_counter() - begin
    await asyncio.sleep(2 * AIR)  # what is in the air lands
    before = len(await simulated.control.messages())
    await fault.heal()
    begin = time.perf_counter()
    async with asyncio.timeout(60):
        while len(await simulated.control.messages()) == before:
            await asyncio.sleep(0.02)
    name = f"broker {fault.name}" if "broker" not in fault.name else fault.name
    return [
        Row(f"{name}: noticed after", f"{noticed:.2f} s", "", good=True),
        at_most(f"{name}: sending again after", time.perf_counter() - begin, LONGEST_WAIT, "s"),
    ]


async def _arrived(simulated: Modems, load: Load) -> dict[str, int]:
    """Copies of each text on the phone, once all are there or none comes any more."""
    wanted, seen, last = set(load.texts), 0, time.perf_counter()
    while True:
        copies = {message.text: message.copies for message in await simulated.control.messages()}
        if wanted <= set(copies) or time.perf_counter() - last > 30:
            return copies
        if len(copies) > seen:
            seen, last = len(copies), time.perf_counter()
        await asyncio.sleep(0.2)


def _waiting(vhost: Vhost) -> int:
    with pika.BlockingConnection(parameters(vhost)) as connection:
        return int(connection.channel().queue_declare("sms", passive=True).method.message_count)


async def _until(agent: Installation, state: str) -> None:
    async with asyncio.timeout(60):
        while (await _feeder(agent))["state"] != state:
            await asyncio.sleep(0.05)


async def _feeder(agent: Installation) -> Any:
    return (await _ask(agent, "GET", "feeders"))["feeders"][0]


async def _ask(agent: Installation, method: str, path: str, body: object = None) -> Any:
    async with httpx2.AsyncClient(auth=(USER, PASSWORD), timeout=30, trust_env=False) as client:
        answer = await client.request(method, f"http://127.0.0.1:{agent.port}/api/v1/{path}", json=body)
    answer.raise_for_status()
    return answer.json()
