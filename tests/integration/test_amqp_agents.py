"""Whole agents on a real broker: killed with messages that are not acknowledged, several on one queue, overfed."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bench.publishing import Load
from bench.rabbitmq import Vhost
from bench.rig import PASSWORD, USER, Installation, Modems, modems
from brokers.publisher import Publisher

QUORUM = {"x-queue-type": "quorum"}


@asynccontextmanager
async def installed(
    folder: Path, ports: tuple[str, ...], entry: dict[str, Any], name: str = "agent"
) -> AsyncIterator[Installation]:
    device = {"hostname": name}
    installation = Installation(folder / name, ports, rights=("feeders",), feeders=[entry], device=device)
    try:
        yield installation
    finally:
        await installation.kill()


async def ask(installation: Installation, method: str, path: str, body: object = None) -> Any:
    address = f"http://127.0.0.1:{installation.port}/api/v1/{path}"
    async with httpx2.AsyncClient(auth=(USER, PASSWORD), timeout=30, trust_env=False) as client:
        answer = await client.request(method, address, json=body)
    answer.raise_for_status()
    return answer.json()


async def feeder(installation: Installation) -> Any:
    (found,) = (await ask(installation, "GET", "feeders"))["feeders"]
    return found


async def until_connected(installation: Installation) -> Any:
    async with asyncio.timeout(30):
        while (found := await feeder(installation))["state"] != "connected":
            await asyncio.sleep(0.05)
    return found


async def graveyard(server: Publisher) -> None:
    await server.declare_exchange("dead", "fanout")
    await server.declare("graveyard", durable=True)
    await server.bind("graveyard", "dead", "")


async def unknowns(server: Publisher) -> list[str]:
    """The texts of what was dead-lettered; every one of them as unknown."""
    texts = []
    for _ in range(await server.ready("graveyard")):
        dead = await server.take("graveyard")
        assert dead.headers["x-otpbroker-reason"] in {"agent-died", "begun-before", "link-lost", "no-answer"}
        texts.append(dead.json["data"]["message"])
    return texts


async def all_are_sent_or_unknown(
    load: Load, simulated: Modems, server: Publisher, within: float = 60
) -> tuple[Counter[str], list[str]]:
    """Copies of each text on the phone, and the texts that were told to be unknown."""
    told: list[str] = []
    async with asyncio.timeout(within):
        while True:
            told += await unknowns(server)
            seen = Counter({message.text: message.copies for message in await simulated.control.messages()})
            if set(load.texts) <= {*seen, *told} and await server.ready("sms") == 0:
                return seen, told
            await asyncio.sleep(0.1)


@pytest.mark.timeout(180)
async def test_kills_with_unacknowledged_messages_lose_nothing_and_double_nothing_silently(
    ram_folder: Path, vhost: Vhost, server: Publisher
) -> None:
    dice = random.Random(20261125)
    await graveyard(server)
    await server.declare("sms", durable=True)
    entry = vhost.settings(durable=True, unknown="dead-letter", dead_letter_exchange="dead", prefetch=6)
    kills = 3
    async with (
        modems(ram_folder / "simulated", 2, air=0.3) as simulated,
        installed(ram_folder, simulated.ports, entry) as agent,
    ):
        load = Load(vhost, count=60, rate=1000)
        await load.run()
        for _ in range(kills):
            await agent.start()
            seen = len(await simulated.control.messages())
            async with asyncio.timeout(30):
                while len(await simulated.control.messages()) < seen + 2:  # it is at work
                    await asyncio.sleep(0.02)
            await asyncio.sleep(dice.uniform(0, 0.5))
            await agent.kill()
        await agent.start()
        copies, told = await all_are_sent_or_unknown(load, simulated, server)
    assert {text for text, times in copies.items() if times > 1} == set(), "sent twice"
    assert len(told) <= 2 * kills, "unknown is for what was in the air alone"
    print(f"{kills} kills: {len(told)} of {load.count} unknown")


@pytest.mark.timeout(180)
async def test_three_agents_on_one_quorum_queue_and_one_is_killed(
    ram_folder: Path, vhost: Vhost, server: Publisher
) -> None:
    await graveyard(server)
    await server.declare("sms", durable=True, arguments=QUORUM)
    entry = vhost.settings(
        durable=True, queue_type="quorum", claims="claims", unknown="dead-letter", dead_letter_exchange="dead"
    )
    async with AsyncExitStack() as stack:
        simulated = await stack.enter_async_context(modems(ram_folder / "simulated", 12, air=0.5))
        agents = [
            await stack.enter_async_context(
                installed(ram_folder, simulated.ports[place * 4 : place * 4 + 4], entry, f"agent-{place}")
            )
            for place in range(3)
        ]
        await asyncio.gather(*(agent.start() for agent in agents))
        await asyncio.gather(*(until_connected(agent) for agent in agents))
        load = Load(vhost, count=180, rate=1000)
        await load.run()
        async with asyncio.timeout(60):
            while len(await simulated.control.messages()) < 40:
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.2)  # in mid-air: a message has just been sent
        await agents[0].kill()
        async with asyncio.timeout(60):
            while len(await simulated.control.messages()) < 100:
                await asyncio.sleep(0.02)
        await agents[0].start()  # as systemd would, with its journal
        copies, told = await all_are_sent_or_unknown(load, simulated, server)
        shares = [(await feeder(agent))["done"] for agent in agents]
    assert {text for text, times in copies.items() if times > 1} == set(), "sent twice"
    assert len(told) <= 4, "unknown is for what the killed agent's four modems had in the air alone"
    assert all(share > 0 for share in shares)
    unsent = len(set(told) - set(copies))
    print(
        f"three agents, one killed: {len(copies)} of {load.count} sent once; unknown: {len(told)}, unsent: {unsent}"
    )


@pytest.mark.timeout(180)
async def test_ten_thousand_queued_messages_and_a_slow_modem_cost_neither_memory_nor_heartbeats(
    ram_folder: Path, vhost: Vhost, server: Publisher
) -> None:
    async with (
        modems(ram_folder / "simulated", 2, air=17.0) as simulated,
        installed(ram_folder, simulated.ports, vhost.settings(heartbeat=5)) as agent,
    ):
        running = await agent.start()
        await until_connected(agent)
        await asyncio.sleep(1)  # the modems get ready
        await server.fill([{"command": "echo", "data": {"text": "x" * 200}}] * 20)  # it has seen messages before
        async with asyncio.timeout(20):
            while (before := await feeder(agent))["done"] < 20:
                await asyncio.sleep(0.1)
        resident = running.resident()
        await server.fill(
            [
                {"command": "send-sms", "data": {"receiver": f"62812{number:08d}", "message": f"queued {number}"}}
                for number in range(10_000)
            ]
        )
        await asyncio.sleep(15)  # three times what a broker with this heartbeat waits for one
        after = await feeder(agent)
        assert (after["state"], after["since"]) == ("connected", before["since"]), "the connection was lost"
        assert await server.ready("sms") == 10_000 - 3, "two modems, and one message to spare"
        grown = running.resident() - resident
        print(f"10,000 queued messages: {grown:+.1f} MiB")
        assert grown < 4
        stopped = await ask(agent, "POST", "feeders/rabbit", {"do": "stop"})
        assert stopped["state"] == "stopped"
        assert await server.ready("sms") >= 10_000 - 3
        await ask(agent, "POST", "feeders/rabbit", {"do": "start"})
        await until_connected(agent)
