"""USSD through a whole agent on simulated modems: by both APIs, in every writing, and never in a message's way."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bench.rig import PASSWORD, USER, Installation, Modems, modems
from otpbroker.sms.ussd import Writing, write

BALANCE = "Sisa pulsa Rp 12.345"
MENU = {
    "text": "1. Cek pulsa\n2. Paket",
    "replies": {"1": BALANCE, "2": {"text": "1. Harian", "replies": {"1": "Terima kasih"}}},
}


@dataclass
class Plant:
    """A running agent with one modem, and a client of its API."""

    simulated: Modems
    installation: Installation
    http: httpx2.AsyncClient

    async def run(self, code: str) -> httpx2.Response:
        return await self.http.post("/api/v1/ussd", json={"modem_id": "modem-1", "code": code})

    async def reply(self, text: str) -> httpx2.Response:
        return await self.http.post("/api/v1/ussd/modem-1/reply", json={"text": text})

    async def historic(self, code: str) -> dict[str, Any]:
        data = {"modem_id": "modem-1", "ussd_code": code, "date_time": 1795360371}
        answer = await self.http.post("/api/ussd", json={"command": "request-ussd", "data": data})
        assert answer.status_code == 200
        return dict(answer.json())

    async def send(self, text: str) -> dict[str, Any]:
        body = {"receiver": "081200000001", "text": text}
        answer = await self.http.post("/api/v1/messages", json=body, headers={"Prefer": "wait=30"})
        return dict(answer.json())

    async def state(self) -> str:
        return str((await self.http.get("/api/v1/modems")).json()["modems"][0]["state"])

    async def counters(self) -> dict[str, Any]:
        return dict((await self.simulated.control.modem("modem-1"))["counters"])

    async def until_ready(self, seconds: float = 10) -> None:
        async with asyncio.timeout(seconds):
            while await self.state() != "ready":
                await asyncio.sleep(0.05)  # seen from outside, where nothing tells


@pytest.fixture
async def plant(ram_folder: Path) -> AsyncIterator[Plant]:
    async with modems(ram_folder / "simulated", 1, air=0.05) as simulated:
        installation = Installation(ram_folder / "agent", simulated.ports, rights=("ussd",))
        agent = await installation.start()
        url = f"http://127.0.0.1:{agent.port}"
        async with httpx2.AsyncClient(base_url=url, auth=(USER, PASSWORD), timeout=60, trust_env=False) as http:
            plant = Plant(simulated, installation, http)
            await simulated.control.set(ussd={"*888#": BALANCE, "*123#": MENU})
            await plant.until_ready()
            yield plant
        await installation.stop()


async def test_every_writing_of_a_modem(plant: Plant) -> None:
    text = "Pulsa Rp 5.000,\nbonus 10 SMS s/d 31/12"
    for takes, gives in itertools.product(Writing, ("plain", "packed", "ucs2", "octets")):
        await plant.simulated.control.set(ussd={"*1#": text}, ussd_takes=takes, ussd_gives=gives)
        for _ in range(2):
            answer = await plant.run("*1#")
            assert (answer.status_code, answer.json()["text"]) == (200, text), (takes, gives)
        assert (await plant.send("Kode 1"))["state"] == "sent"


async def test_the_shape_of_the_older_products(plant: Plant) -> None:
    assert await plant.historic("*888#") == {
        "command": "request-ussd",
        "response_code": "0000",
        "data": {
            "ussd_content": BALANCE,
            "ussd_content_raw": f'+CUSD: 0,"{BALANCE}",15',
            "replyable": False,
        },
    }
    menu = await plant.historic("*123#")
    assert menu["data"]["replyable"]
    assert (await plant.historic("1"))["data"]["ussd_content"] == BALANCE
    wrong = await plant.historic("halo")
    assert (wrong["response_code"], wrong["data"], wrong["error_code"]) == ("1102", {}, "ussd-code-invalid")
    await plant.simulated.control.set(ussd={"*4#": {"mode": 4}})
    wrong = await plant.historic("*4#")
    assert (wrong["response_code"], wrong["data"], wrong["error_code"]) == ("1102", {}, "ussd-not-supported")


async def test_a_menu_is_walked_through_and_then_messages_go_on(plant: Plant) -> None:
    answer = (await plant.run("*123#")).json()
    assert (answer["text"], answer["replyable"]) == (MENU["text"], True)
    assert await plant.state() == "busy"
    waiting = asyncio.create_task(plant.send("Kode 1"))
    assert (await plant.reply("2")).json()["text"] == "1. Harian"
    assert not waiting.done()
    last = (await plant.reply("1")).json()
    assert (last["text"], last["replyable"]) == ("Terima kasih", False)
    assert (await waiting)["state"] == "sent"
    assert (await plant.reply("1")).status_code == 409
    assert (await plant.counters())["ussd_clashes"] == 0


async def test_a_menu_is_left(plant: Plant) -> None:
    await plant.run("*123#")
    assert (await plant.http.delete("/api/v1/ussd/modem-1")).status_code == 204
    assert (await plant.counters())["ussd_cancelled"] == 1
    assert await plant.state() == "ready"


async def test_a_session_of_a_caller_who_died_ends_by_itself(plant: Plant) -> None:
    await plant.simulated.control.set(ussd={"*123#": MENU}, ussd_delay=1.0)
    with pytest.raises(httpx2.TimeoutException):
        await plant.http.post("/api/v1/ussd", json={"modem_id": "modem-1", "code": "*123#"}, timeout=0.3)
    assert await plant.state() == "busy"
    began = time.monotonic()
    await plant.until_ready()
    assert time.monotonic() - began < 5
    assert (await plant.counters())["ussd_cancelled"] == 1
    assert (await plant.send("Kode 1"))["state"] == "sent"


async def test_a_network_that_waits_no_longer_ends_the_session(plant: Plant) -> None:
    await plant.simulated.control.set(ussd={"*123#": MENU}, ussd_patience=0.5)
    await plant.run("*123#")
    await plant.until_ready(5)
    assert (await plant.reply("1")).status_code == 409


async def test_every_end_of_a_session(plant: Plant) -> None:
    for mode, status, code in (
        (2, 503, "ussd-terminated"),
        (3, 503, "ussd-other-client"),
        (4, 422, "ussd-not-supported"),
        (5, 504, "ussd-timeout"),
    ):
        # What the network does not know is tried in the other writings too.
        await plant.simulated.control.set(ussd={write("*1#", writing): {"mode": mode} for writing in Writing})
        answer = await plant.run("*1#")
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (await plant.send("Kode 1"))["state"] == "sent"


async def test_an_unplugged_modem_is_told_and_comes_back(plant: Plant) -> None:
    await plant.simulated.control.set(ussd={"*1#": {"silent": True}})
    asking = asyncio.create_task(plant.run("*1#"))
    async with asyncio.timeout(5):
        while (await plant.counters())["by_name"].get("+CUSD", 0) == 0:
            await asyncio.sleep(0.02)  # seen from outside, where nothing tells
    await plant.simulated.control.unplug("modem-1")
    answer = await asking
    assert answer.status_code == 504
    await plant.simulated.control.plug("modem-1")
    await plant.until_ready()
    assert (await plant.send("Kode 1"))["state"] == "sent"


async def test_codes_and_messages_under_load_never_mix(plant: Plant) -> None:
    await plant.simulated.control.set(ussd={"*888#": BALANCE, "*123#": MENU}, ussd_delay=0.05, air=0.05)
    codes: list[int] = []

    async def ask() -> None:
        for _ in range(15):
            codes.append((await plant.run("*888#")).status_code)
            menu = await plant.run("*123#")
            if menu.status_code == 200:
                codes.append((await plant.reply("1")).status_code)
            await asyncio.sleep(0.05)

    async with asyncio.TaskGroup() as group:
        sent = [group.create_task(plant.send(f"Kode {number}")) for number in range(60)]
        group.create_task(ask())
    assert [task.result()["state"] for task in sent] == ["sent"] * 60
    assert codes.count(200) == len(codes) == 30
    counters = await plant.counters()
    assert counters["ussd_clashes"] == 0
    assert counters["cmgs"] == 60


async def test_no_text_of_the_network_is_left_anywhere(plant: Plant, ram_folder: Path) -> None:
    await plant.simulated.control.set(
        ussd={"*777*31337#": {"text": "canary-4711", "replies": {"9": "canary-4712"}}}
    )
    assert (await plant.run("*777*31337#")).json()["text"] == "canary-4711"
    assert (await plant.reply("9")).json()["text"] == "canary-4712"
    await plant.installation.stop()
    files = [path for path in (ram_folder / "agent").rglob("*") if path.is_file()]
    assert plant.installation.output in files
    for path in files:
        octets = path.read_bytes()
        assert b"canary" not in octets, path
        assert b"31337" not in octets, path


async def test_the_history_of_a_real_modem(plant: Plant) -> None:
    samples = (await plant.http.get("/api/v1/modems/modem-1/history")).json()["samples"]
    assert samples[-1]["signal_dbm"] == -73
    assert (samples[-1]["registration"], samples[-1]["operator"]) == ("home", "TELKOMSEL")
    await plant.simulated.control.set(registration=5)
    await asyncio.sleep(0.3)
    samples = (await plant.http.get("/api/v1/modems/modem-1/history")).json()["samples"]
    assert (samples[-1]["registration"], samples[-1]["roaming"]) == ("roaming", True)
