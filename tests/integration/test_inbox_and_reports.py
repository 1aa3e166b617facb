"""Delivery reports and the inbox of a whole agent, by REST: killed, restarted, on modems of every kind."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bench.rig import PASSWORD, USER, Installation, Modems, modems

SENDER = "+6281200001111"
LONG = "Kode Anda 123456, jangan diberikan kepada siapa pun. " * 6
RECEIVER = "6281234567890"


@pytest.fixture
async def simulated(ram_folder: Path) -> AsyncIterator[Modems]:
    async with modems(ram_folder / "simulated", 1, air=0.01) as running:
        yield running


@pytest.fixture
async def installation(ram_folder: Path, simulated: Modems) -> AsyncIterator[Installation]:
    installed = Installation(ram_folder / "agent", simulated.ports, rights=("inbox",))
    yield installed
    await installed.kill()


def rest(installation: Installation) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        base_url=f"http://127.0.0.1:{installation.port}/api/v1", auth=(USER, PASSWORD), timeout=30, trust_env=False
    )


async def until(client: httpx2.AsyncClient, path: str, fits: Any, seconds: float = 10) -> dict[str, Any]:
    """The answer once it fits: a client of REST has nothing to wait on."""
    async with asyncio.timeout(seconds):
        while not fits(found := (await client.get(path)).json()):
            await asyncio.sleep(0.05)
    return dict(found)


async def inbox(client: httpx2.AsyncClient, count: int) -> list[dict[str, Any]]:
    page = await until(client, "/inbox", lambda page: len(page["messages"]) == count)
    return list(page["messages"])


async def emptied(simulated: Modems, to: int = 0) -> None:
    async with asyncio.timeout(20):
        while (await simulated.control.modem("modem-1"))["stored"] > to:
            await asyncio.sleep(0.01)


async def send(client: httpx2.AsyncClient, text: str = "Kode 123456", **fields: object) -> str:
    message = {"receiver": RECEIVER, "text": text, "status_report": True} | fields
    answer = await client.post("/messages", json=message, headers={"Prefer": "wait=10"})
    assert (answer.status_code, answer.json()["state"]) == (201, "sent"), answer.text
    return f"/messages/{answer.json()['id']}"


async def delivery(client: httpx2.AsyncClient, message: str, state: str) -> dict[str, Any]:
    found = await until(client, message, lambda found: found["delivery"]["state"] == state)
    return dict(found["delivery"])


KINDS: dict[str, dict[str, object]] = {
    "direct": {},
    "direct before the answer": {"status_report": 0.0},
    "acknowledged": {"phase_2_plus": True},
    "noise": {"noise": 7, "split": 3, "split_gap": 0.0002},
    "storm": {"storm": 0.01, "echo_stuck": True},
}


@pytest.mark.parametrize("knobs", KINDS.values(), ids=KINDS)
async def test_messages_are_delivered_when_every_part_is(
    installation: Installation, simulated: Modems, knobs: dict[str, object]
) -> None:
    await simulated.control.set(**({"status_report": 0.05} | knobs))
    await installation.start()
    async with rest(installation) as client:
        for text, parts in (("Kode 123456", 1), (LONG, 3)):
            told = await delivery(client, await send(client, text), "delivered")
            assert told["parts_delivered"] == parts
        assert (await client.get(await send(client, status_report=False))).json()["delivery"] is None
    counters = (await simulated.control.modem("modem-1"))["counters"]
    assert counters["unacknowledged"] == 0
    assert counters["acknowledged"] == (4 if "phase_2_plus" in knobs else 0)


async def test_temporary_then_permanent_and_never(installation: Installation, simulated: Modems) -> None:
    await simulated.control.set(
        status_report=0.0,
        report_gap=1.0,
        report_statuses=[0x30, 0x00],
        receiver_statuses={"6281200000049": [0x49], "6281200000046": [0x30, 0x46], "6281200000000": []},
    )
    await installation.start()
    async with rest(installation) as client:
        sent = {
            number: await send(client, receiver=number)
            for number in (RECEIVER, "6281200000049", "6281200000046", "6281200000000")
        }
        await delivery(client, sent["6281200000049"], "failed")
        assert (await client.get(sent["6281200000046"])).json()["delivery"]["state"] == "retrying"
        await delivery(client, sent[RECEIVER], "delivered")
        await delivery(client, sent["6281200000046"], "expired")
        await delivery(client, sent["6281200000000"], "waiting")


async def test_a_report_after_a_kill_finds_its_message(installation: Installation, simulated: Modems) -> None:
    await simulated.control.set(status_report=2.5)
    await installation.start()
    async with rest(installation) as client:
        message = await send(client, LONG)
        await delivery(client, message, "waiting")
    await installation.kill()
    await installation.start()
    async with rest(installation) as client:
        await delivery(client, message, "delivered")


async def test_references_that_wrap_are_told_apart(installation: Installation, simulated: Modems) -> None:
    """257 messages to one number: the first and the last have one reference."""
    await simulated.control.set(air=0.0, receiver_statuses={RECEIVER: []}, status_report=0.0)
    await installation.start()
    async with rest(installation) as client:
        first = await send(client, "first")
        for number in range(255):
            await send(client, f"filler {number}", receiver="6281200000000", status_report=False)
        await simulated.control.set(receiver_statuses={})
        last = await send(client, "last")
        assert (await client.get(last)).json()["references"] == (await client.get(first)).json()["references"]
        await delivery(client, last, "delivered")
        await delivery(client, first, "waiting")


@pytest.mark.parametrize("knobs", KINDS.values(), ids=KINDS)
async def test_what_comes_in_is_kept_and_removed_from_the_sim(
    installation: Installation, simulated: Modems, knobs: dict[str, object]
) -> None:
    await simulated.control.deliver("modem-1", "BANK", "before the start")
    await simulated.control.set(**knobs)
    await installation.start()
    async with rest(installation) as client:
        await inbox(client, 1)
        await simulated.control.deliver("modem-1", SENDER, "Halo €")
        await simulated.control.deliver("modem-1", SENDER, LONG, parts=[3, 1, 2, 1])
        messages = await inbox(client, 3)
    assert [(message["sender"], message["text"], message["parts"]) for message in messages] == [
        ("BANK", "before the start", 1),
        (SENDER, "Halo €", 1),
        (SENDER, LONG, 3),
    ]
    await emptied(simulated)


async def test_reading_replying_deleting(installation: Installation, simulated: Modems) -> None:
    await installation.start()
    async with rest(installation) as client:
        await simulated.control.deliver("modem-1", SENDER, "Apakah ini OTP saya?")
        (message,) = await inbox(client, 1)
        path = f"/inbox/{message['id']}"
        answer = await client.post(f"{path}/reply", json={"text": "Bukan"}, headers={"Prefer": "wait=10"})
        assert (answer.status_code, answer.json()["state"], answer.json()["modem_id"]) == (201, "sent", "modem-1")
        arrived = await simulated.control.wait(receiver=SENDER, contains="Bukan")
        assert arrived.text == "Bukan"
        assert (await client.delete(path)).status_code == 204
        assert (await client.get("/inbox")).json() == {"messages": [], "more": False}
    await installation.stop()
    await installation.start()
    async with rest(installation) as client:
        await inbox(client, 0)


async def test_a_full_sim_is_emptied_and_the_network_brings_the_rest(
    installation: Installation, simulated: Modems
) -> None:
    await simulated.control.set(store_capacity=5)
    for number in range(12):
        await simulated.control.deliver("modem-1", SENDER, f"message {number}")
    await installation.start()
    async with rest(installation) as client:
        messages = await inbox(client, 12)
    assert {message["text"] for message in messages} == {f"message {number}" for number in range(12)}
    await emptied(simulated)


async def test_messages_are_sent_while_a_full_sim_is_read(installation: Installation, simulated: Modems) -> None:
    await simulated.control.set(store_capacity=50, latency=0.03)
    for number in range(50):
        await simulated.control.deliver("modem-1", SENDER, f"message {number}")
    await installation.start()
    async with rest(installation) as client:
        await emptied(simulated, to=49)  # it has begun
        for number in range(5):
            await send(client, f"Kode {number}", status_report=False)
        left = (await simulated.control.modem("modem-1"))["stored"]
        assert left > 20, "what is sent waits for one look into the SIM, not for all of it"
        await emptied(simulated)
        assert len((await client.get("/inbox")).json()["messages"]) == 50


CANARY = "canary-inbox-Zx91Qw-493827"


@pytest.mark.timeout(120)
async def test_killed_at_any_moment_nothing_is_lost_doubled_or_left_in_clear(
    installation: Installation, simulated: Modems
) -> None:
    texts = []
    await simulated.control.set(latency=0.01)
    await installation.start()
    for round_ in range(6):
        for number in range(5):
            texts.append(f"{CANARY} {round_} {number} " + "x" * (200 if number == 4 else 0))
            await simulated.control.deliver("modem-1", SENDER, texts[-1])
        await emptied(simulated, to=5 - round_ % 5)  # it is at work
        await asyncio.sleep(0.007 * round_)  # each kill comes a little later in it
        await installation.kill()
        await installation.start()
    async with rest(installation) as client:
        messages = await inbox(client, len(texts))
        await emptied(simulated)
        assert sorted(message["text"] for message in messages) == sorted(texts)
    await installation.kill()
    check_traces(installation)
    await installation.start()
    async with rest(installation) as client:
        for message in messages:
            assert (await client.delete(f"/inbox/{message['id']}")).status_code == 204
    await installation.stop()
    assert list((installation.folders["state"] / "inbox").iterdir()) == []


def check_traces(installation: Installation) -> None:
    """No file holds a text, in whatever encoding, nor the number that it came from."""
    folder = installation.folders["state"].parent
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 30
    traces = (
        CANARY[7:19].encode(),
        CANARY[7:19].encode("utf-16-le"),
        CANARY[7:19].encode("utf-16-be"),
        CANARY[7:19].encode().hex().encode(),
        SENDER[3:].encode(),
    )
    for path in files:
        content = path.read_bytes().lower()
        assert not any(trace.lower() in content for trace in traces), path
