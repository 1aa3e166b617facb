"""Limits and the cheapest route through a whole agent: over a kill, a reboot and a reload."""

import asyncio
import csv
import os
import shutil
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from bench.rig import PASSWORD, USER, Installation, Modems, modems


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent stands where it is about noon, so that no day ends during a test."""
    monkeypatch.setenv("TZ", f"NOON{datetime.now(UTC).hour - 12:+d}")


@pytest.fixture
async def simulated(ram_folder: Path) -> AsyncIterator[Modems]:
    async with modems(ram_folder / "simulated", 2, air=0.05) as running:
        yield running


@pytest.fixture
async def installation(ram_folder: Path, simulated: Modems) -> AsyncIterator[Installation]:
    cheap: dict[str, Any] = {"tariff": {"price": 300, "prices": [{"prefixes": ["0871"], "price": 50}]}}
    dear: dict[str, Any] = {"tariff": {"price": 200}}
    entries = [
        {"id": f"m{number}", "port": port, **settings}
        for number, (port, settings) in enumerate(zip(simulated.ports, (cheap, dear), strict=True), 1)
    ]
    entries[0]["limits"] = {"per_day": 3}
    installed = Installation(ram_folder / "agent", (), modems=entries, sms={"routing": "cheapest"})
    yield installed
    await installed.kill()


async def send(installation: Installation, name: str, receiver: str, **more: str) -> httpx2.Response:
    body = {"receiver": receiver, "text": f"limits {name}", "id": name} | more
    async with httpx2.AsyncClient(
        base_url=f"http://127.0.0.1:{installation.port}", auth=(USER, PASSWORD), timeout=30, trust_env=False
    ) as client:
        return await client.post("/api/v1/messages", json=body, headers={"Prefer": "wait=20"})


async def carrier(installation: Installation, name: str, receiver: str) -> str:
    answer = await send(installation, name, receiver)
    assert answer.json()["state"] == "sent", answer.text
    return str(answer.json()["modem_id"])


async def capped(installation: Installation, name: str) -> bool:
    """Whether the first modem takes no more."""
    answer = await send(installation, name, "0871 555 1234", modem_id="m1")
    if answer.status_code != 503:
        assert answer.json()["state"] == "sent", answer.text
        return False
    assert answer.json()["code"] == "cap-reached"
    assert int(answer.headers["Retry-After"]) > 300
    return True


async def test_a_day_is_a_day_whatever_happens_to_the_agent(installation: Installation) -> None:
    await installation.start()
    assert [await carrier(installation, f"{n}", "0871 555 1234") for n in range(2)] == ["m1", "m1"]
    assert await carrier(installation, "elsewhere", "0812 555 1234") == "m2"
    await installation.kill()

    await installation.start()
    assert await carrier(installation, "2", "0871 555 1234") == "m1"
    assert await carrier(installation, "3", "0871 555 1234") == "m2"
    assert await capped(installation, "4")
    await installation.stop()
    shutil.rmtree(installation.folders["runtime"])  # a reboot
    installation.folders["runtime"].mkdir()

    process = await installation.start()
    assert await carrier(installation, "5", "0871 555 1234") == "m2"
    assert await capped(installation, "6")
    path = installation.folders["state"] / "config.yaml"
    document = yaml.safe_load(path.read_text())
    document["modems"][0]["limits"]["per_day"] = 4
    path.write_text(yaml.safe_dump(document))
    os.kill(process.pid, signal.SIGHUP)
    async with asyncio.timeout(10):
        while await capped(installation, f"again-{asyncio.get_running_loop().time()}"):
            await asyncio.sleep(0.1)
    assert await capped(installation, "8")


async def test_the_report_of_a_real_agent_tells_prices_and_savings(installation: Installation) -> None:
    await installation.start()
    assert await carrier(installation, "own", "0871 555 1234") == "m1"
    assert await carrier(installation, "other", "0812 555 1234") == "m2"
    await installation.stop()
    (file,) = installation.folders["log"].glob("*.csv")
    with file.open(newline="") as lines:
        found = [(line["modem"], line["price"], line["saved"]) for line in csv.DictReader(lines)]
    assert found == [("m1", "50", "75"), ("m2", "200", "50")]
