"""A new configuration while the agent works: what is under way is answered all the same."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from bench.ports import free_port
from bench.rig import PASSWORD, USER, Installation, Modems, modems

AIR = 4.5  # seconds; longer than the time that requests get when the agent itself ends


@pytest.fixture
async def simulated(ram_folder: Path) -> AsyncIterator[Modems]:
    async with modems(ram_folder / "simulated", 1, air=AIR) as running:
        yield running


@pytest.fixture
async def installation(ram_folder: Path, simulated: Modems) -> AsyncIterator[Installation]:
    installed = Installation(ram_folder / "agent", simulated.ports)
    yield installed
    await installed.kill()


def rest(port: int) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", auth=(USER, PASSWORD), timeout=30, trust_env=False
    )


def rewrite(installation: Installation, change: Callable[[dict[str, Any]], None]) -> None:
    path = installation.folders["state"] / "config.yaml"
    document = yaml.safe_load(path.read_text())
    change(document)
    path.write_text(yaml.safe_dump(document))


async def answers_at(port: int, path: str) -> None:
    """Return when an echo comes back from there."""
    async with rest(port) as client, asyncio.timeout(10):
        while True:
            try:
                answer = await client.post(path, json={"command": "echo", "data": {}})
            except httpx2.TransportError:
                await asyncio.sleep(0.02)  # nothing tells from outside when another process has reloaded
                continue
            if answer.status_code == 200:
                return
            await asyncio.sleep(0.02)


async def send(client: httpx2.AsyncClient, text: str) -> dict[str, Any]:
    data = {"id": text, "msisdn": "081200000001", "message": text}
    answer = await client.post("/api/message", json={"command": "send-sms", "data": data})
    assert answer.status_code == 200, answer.text
    return dict(json.loads(answer.text))


async def test_new_paths_do_not_cut_a_call_that_waits_for_the_modem(
    installation: Installation, simulated: Modems
) -> None:
    agent = await installation.start()
    async with rest(agent.port) as client:
        waiting = asyncio.create_task(send(client, "before the new path"))
        await taken(agent.port)
        rewrite(installation, lambda document: document["api"].update(message_path="/own/path"))
        os.kill(agent.pid, signal.SIGHUP)
        await answers_at(agent.port, "/own/path")
        assert not waiting.done()
        assert (await waiting)["response_code"] == "0000"


async def test_a_new_port_does_not_cut_a_call_that_waits_at_the_old_one(
    installation: Installation, simulated: Modems
) -> None:
    agent = await installation.start()
    other = free_port()
    async with rest(agent.port) as client:
        waiting = asyncio.create_task(send(client, "before the new port"))
        await taken(agent.port)
        rewrite(installation, lambda document: document["api"]["http"].update(port=other))
        os.kill(agent.pid, signal.SIGHUP)
        await answers_at(other, "/api/message")
        with pytest.raises(httpx2.ConnectError):
            async with rest(agent.port) as late:
                await late.get("/ping")
        assert not waiting.done()
        assert (await waiting)["response_code"] == "0000"


async def test_the_same_port_on_another_address_is_taken_over(installation: Installation) -> None:
    agent = await installation.start()
    everywhere = "0.0.0.0"  # noqa: S104 # of which loopback is a part
    rewrite(installation, lambda document: document["api"]["http"].update(address=everywhere))
    os.kill(agent.pid, signal.SIGHUP)
    async with asyncio.timeout(10):
        while f"http://127.0.0.1:{agent.port}" not in installation.output.read_text().partition("again")[2]:
            await asyncio.sleep(0.02)
    await answers_at(agent.port, "/api/message")


async def taken(port: int) -> None:
    """Return when a modem has the message: until then its call could end for other reasons."""
    async with rest(port) as client, asyncio.timeout(10):
        while not any(
            modem["state"] == "sending" for modem in (await client.get("/api/v1/modems")).json()["modems"]
        ):
            await asyncio.sleep(0.02)
