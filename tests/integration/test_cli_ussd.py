"""`otpbroker ussd` as a person and a script use it, on a running agent."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from bench.rig import PASSWORD, USER, Installation, Modems, modems

MENU = {
    "text": "1. Cek pulsa\n2. Paket",
    "replies": {"1": {"text": "Sisa pulsa Rp 5", "replies": {"9": "Selesai"}}},
}


@dataclass
class Plant:
    simulated: Modems
    installation: Installation

    def command(self, code: str, *options: str) -> list[str]:
        url = f"http://127.0.0.1:{self.installation.port}"
        return [sys.executable, "-m", "otpbroker", "ussd", "modem-1", code, "--user", USER, "--url", url, *options]

    async def run(self, code: str, *options: str, text: str = "") -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(
            subprocess.run,
            self.command(code, *options),
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            env=os.environ | {"OTPBROKER_API_PASSWORD": PASSWORD},
            check=False,
        )

    async def counter(self, name: str) -> int:
        return int((await self.simulated.control.modem("modem-1"))["counters"][name])


@pytest.fixture
async def plant(ram_folder: Path) -> AsyncIterator[Plant]:
    async with modems(ram_folder / "simulated", 1, air=0.0) as simulated:
        installation = Installation(ram_folder / "agent", simulated.ports, rights=("ussd",))
        await installation.start()
        await simulated.control.set(ussd={"*888#": "Sisa pulsa Rp 5", "*123#": MENU, "*4#": {"mode": 2}})
        plant = Plant(simulated, installation)
        async with asyncio.timeout(15):
            while (await plant.run("*888#")).returncode:  # the modem starts, and nothing tells from outside
                await asyncio.sleep(0.2)
        yield plant
        await installation.stop()


async def test_for_scripts(plant: Plant) -> None:
    done = await plant.run("*888#")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Sisa pulsa Rp 5\n", "")
    done = await plant.run("-", text="*888#\n")
    assert (done.returncode, done.stdout) == (0, "Sisa pulsa Rp 5\n")
    done = await plant.run("*123#", text="1\n")  # nobody is there to answer
    assert (done.returncode, done.stdout) == (0, f"{MENU['text']}\n")
    assert await plant.counter("ussd_cancelled") == 1
    done = await plant.run("*4#")
    assert (done.returncode, done.stdout) == (1, "")
    assert "ended the session" in done.stderr
    done = await plant.run("halo")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    done = await plant.run("*888#", "--user", "nobody")
    assert (done.returncode, "user or its password is wrong" in done.stderr) == (1, True)


async def test_a_menu_at_a_terminal(plant: Plant) -> None:
    master, slave = os.openpty()
    process = await asyncio.create_subprocess_exec(
        *plant.command("*123#"),
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"OTPBROKER_API_PASSWORD": PASSWORD},
    )
    os.close(slave)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            await process.stdout.readuntil(b"2. Paket\n")
            os.write(master, b"1\n")
            await process.stdout.readuntil(b"Sisa pulsa Rp 5\n")
            os.write(master, b"9\n")
            await process.stdout.readuntil(b"Selesai\n")
            assert await process.wait() == 0
        assert await plant.counter("ussd_cancelled") == 0
    finally:
        os.close(master)


async def test_an_empty_line_ends_the_session(plant: Plant) -> None:
    master, slave = os.openpty()
    process = await asyncio.create_subprocess_exec(
        *plant.command("*123#"),
        stdin=slave,
        stdout=subprocess.PIPE,
        env=os.environ | {"OTPBROKER_API_PASSWORD": PASSWORD},
    )
    os.close(slave)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            await process.stdout.readuntil(b"2. Paket\n")
            os.write(master, b"\n")
            assert await process.wait() == 0
        assert await plant.counter("ussd_cancelled") == 1
    finally:
        os.close(master)


async def test_the_right_is_granted_by_the_command_line(plant: Plant) -> None:
    state = plant.installation.folders["state"]
    command = ["add-api-user", USER, "--right", "inbox", "--right", "ussd", "--generate", "--state", str(state)]
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "otpbroker", *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip()
    (user,) = yaml.safe_load((state / "config.yaml").read_text())["api"]["users"]
    assert user["rights"] == ["ussd", "inbox"]


async def test_a_right_is_granted_without_a_new_password(plant: Plant) -> None:
    state = plant.installation.folders["state"]
    (before,) = yaml.safe_load((state / "config.yaml").read_text())["api"]["users"]

    def add(name: str) -> "subprocess.CompletedProcess[str]":
        command = ["add-api-user", name, "--right", "feeders", "--keep-password", "--state", str(state)]
        words = [sys.executable, "-m", "otpbroker", *command]
        return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)

    done = await asyncio.to_thread(add, USER)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    (user,) = yaml.safe_load((state / "config.yaml").read_text())["api"]["users"]
    assert user == before | {"rights": ["ussd", "feeders"]}
    unknown = await asyncio.to_thread(add, "nobody")
    assert unknown.returncode != 0
    assert "there is no API user nobody" in unknown.stderr
