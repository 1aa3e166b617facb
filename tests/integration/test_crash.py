"""Promises 1 and 2 under SIGKILL: nothing lost, nothing doubled without saying `unknown`, no text left anywhere.

The agent is a real process that is killed at random points, the modems are a process of their own that goes on.
"""

import asyncio
import base64
import itertools
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest

from bench.rig import PASSWORD, USER, Installation, Modems, modems
from otpbroker.sms import gsm7

KILLS = 10
BURST = 12  # messages accepted before each kill; two modems send about seven a second of them


@pytest.fixture
async def simulated(ram_folder: Path) -> AsyncIterator[Modems]:
    async with modems(ram_folder / "simulated", 2, air=0.3) as running:
        yield running


@pytest.fixture
async def installation(ram_folder: Path, simulated: Modems) -> AsyncIterator[Installation]:
    installed = Installation(ram_folder / "agent", simulated.ports)
    yield installed
    await installed.kill()


def rest(installation: Installation) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        base_url=f"http://127.0.0.1:{installation.port}", auth=(USER, PASSWORD), timeout=30, trust_env=False
    )


async def accepted(client: httpx2.AsyncClient, receiver: str, text: str, name: str) -> str:
    answer = await client.post("/api/v1/messages", json={"receiver": receiver, "text": text, "id": name})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def state(client: httpx2.AsyncClient, message_id: str) -> str:
    return str((await client.get(f"/api/v1/messages/{message_id}")).json()["state"])


async def final_state(client: httpx2.AsyncClient, message_id: str) -> str:
    answer = await client.get(f"/api/v1/messages/{message_id}", headers={"Prefer": "wait=20"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["final"], answer.text
    return str(answer.json()["state"])


@pytest.mark.timeout(180)
async def test_ten_kills_lose_nothing_and_double_nothing_silently(
    installation: Installation, simulated: Modems
) -> None:
    dice = random.Random(20261122)
    texts: dict[str, str] = {}
    numbers = itertools.count()
    went_on = 0
    await installation.start()
    for _ in range(KILLS):
        async with rest(installation) as client:
            for _ in range(BURST):
                number = next(numbers)
                text = f"crash test {number:04d}"
                texts[await accepted(client, f"62812{number:08d}", text, str(number))] = text
        await asyncio.sleep(dice.uniform(0, 1.2))  # the random point
        await installation.kill()
        left = len(texts) - len(await simulated.control.messages())
        await installation.start()
        if left > 2:  # more than what was in the air: something waits to be sent
            await simulated.control.wait(after=await revision(simulated), within=5)
            went_on += 1

    async with rest(installation) as client:
        states = {message_id: await final_state(client, message_id) for message_id in texts}
    seen = {message.text: message.copies for message in await simulated.control.messages()}

    assert set(states.values()) <= {"sent", "unknown"}
    assert all(copies == 1 for copies in seen.values()), "a message was sent twice"
    lost = [message_id for message_id, state in states.items() if state == "sent" and texts[message_id] not in seen]
    assert not lost, "said sent, never arrived"
    assert list(states.values()).count("unknown") <= 2 * KILLS, "unknown is for what was in the air alone"
    assert went_on, "no kill left anything waiting: the test proves nothing"


async def revision(simulated: Modems) -> int:
    messages = await simulated.control.messages()
    return messages[-1].revision if messages else 0


@pytest.mark.parametrize("late", [0.2, 0.9])
async def test_a_late_answer_after_a_kill_makes_it_sent(
    installation: Installation, simulated: Modems, late: float
) -> None:
    # The phone has it at once; the answer comes while the agent is dead, or when it listens again.
    await simulated.control.set(air=0.0, next_sends=["late-ok"], late=late)
    await installation.start()
    async with rest(installation) as client:
        message_id = await accepted(client, "628120000001", "late but true", "late")
        await simulated.control.wait(contains="late but true")
    await installation.kill()
    await installation.start()
    async with rest(installation) as client:
        assert await final_state(client, message_id) == "sent"


async def test_a_modem_that_is_still_sending_after_a_kill_is_heard_out(
    installation: Installation, simulated: Modems
) -> None:
    await simulated.control.set(air=3.0)
    await installation.start()
    async with rest(installation) as client:
        message_id = await accepted(client, "628120000001", "in the air", "long")
        answer = await client.get(f"/api/v1/messages/{message_id}", headers={"Prefer": "wait=1"})
        assert answer.json()["state"] == "sending"
    await installation.kill()
    await installation.start()
    async with rest(installation) as client:
        assert await final_state(client, message_id) == "sent"
    (message,) = await simulated.control.messages()
    assert (message.text, message.copies) == ("in the air", 1)


async def test_an_answer_that_never_comes_makes_it_unknown(installation: Installation, simulated: Modems) -> None:
    await simulated.control.set(next_sends=["lost-ok"])
    await installation.start()
    async with rest(installation) as client:
        message_id = await accepted(client, "628120000001", "who knows", "lost")
        await simulated.control.wait(contains="who knows")
    await installation.kill()
    await installation.start()
    async with rest(installation) as client:
        assert await final_state(client, message_id) == "unknown"
    (message,) = await simulated.control.messages()
    assert message.copies == 1


CANARIES = (
    "canary-gsm7-Zx81Qw",
    "canary-euro-€{Zx82Qw}",
    "canary-ucs2-Жар82птица",
    "canary-emoji-🦜🦜Zx83",
    "canary-long-" + "Zx84Qw-" * 40,
)


@pytest.mark.timeout(120)
async def test_no_trace_of_a_text_is_left_after_its_final_state(
    installation: Installation, simulated: Modems, ram_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = ram_folder / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    dice = random.Random(7)
    queued_at_a_kill = 0
    await installation.start()
    for round_ in range(4):
        ids = []
        async with rest(installation) as client:
            for number, text in enumerate(CANARIES):
                receiver = f"6281300{round_}{number:04d}"
                ids.append(await accepted(client, receiver, f"{text} {round_}", f"{round_}-{number}"))
            otp = {"receiver": "6281300009999", "message": f"canary-otp-{round_} %s", "reference": f"r{round_}"}
            answer = await client.post("/api/v1/otp", json=otp)
            assert answer.status_code == 202, answer.text
            ids.append(answer.json()["message"]["id"])
            # Wrong on purpose: errors must not repeat the text either.
            await client.post("/api/v1/messages", json={"receiver": "letters", "text": CANARIES[0]})
            await client.post(
                "/api/sms", content=b'{"command":"send-sms","data":{"message":"' + CANARIES[0].encode()
            )
            await asyncio.sleep(dice.uniform(0, 0.8))
            queued_at_a_kill += [await state(client, message_id) for message_id in ids].count("queued")
        await installation.kill()
        search(ram_folder / "agent", temporary)  # what still waits is there sealed alone
        await installation.start()
        async with rest(installation) as client:
            for message_id in ids:
                await final_state(client, message_id)
    await installation.stop()  # the report is flushed

    assert queued_at_a_kill, "no kill came while a text waited: the test proves less than it says"
    search(ram_folder / "agent", temporary)
    names = {path.name for path in (ram_folder / "agent").rglob("*")}
    assert {"journal.db", "config.yaml", "agent.log"} <= names
    assert any(name.endswith(".csv") for name in names), "no report was written"


def search(*folders: Path) -> None:
    """Fail if any file below holds a text."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert len(files) >= 4
    for path in files:
        content = path.read_bytes()
        for trace in (*itertools.chain.from_iterable(map(traces, CANARIES)), b"canary-otp"):
            assert trace not in content, f"{path.name} holds a text"


def traces(text: str) -> Iterator[bytes]:
    """A stretch of a text in every encoding that it could be left in."""
    stretch = text[7:17]
    for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
        octets = stretch.encode(encoding)
        yield octets
        yield octets.hex().encode()
        yield octets.hex().upper().encode()
        for shift in range(3):  # base64 by where in a group of three octets the text begins
            yield base64.b64encode(bytes(shift) + octets)[4:-4]
    if gsm7.encodable(stretch):
        septets = gsm7.encode(text)
        for start in range(8):  # packed septets by where in an octet the text begins
            packed = gsm7.pack(septets[start:16])[:8]
            yield packed
            yield packed.hex().upper().encode()


def test_the_search_finds_what_it_looks_for() -> None:
    for text in CANARIES:
        assert any(trace in f"log: {text}".encode() for trace in traces(text))
        assert any(trace in f"AT+CMGS {text.encode('utf-16-be').hex().upper()}".encode() for trace in traces(text))
        for prefix in (b"", b"x", b"xy"):
            assert any(trace in base64.b64encode(prefix + text.encode()) for trace in traces(text))
