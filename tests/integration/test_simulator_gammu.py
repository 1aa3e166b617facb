"""A real client drives the simulated modem: gammu."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from otpbroker.modem.simulator import Phone, SimulatedModem, identity_of

Gammu = Callable[..., Awaitable[str]]


@pytest.fixture
def phone() -> Phone:
    return Phone()


@pytest.fixture
async def modem(tmp_path: Path, phone: Phone) -> AsyncIterator[SimulatedModem]:
    modem = SimulatedModem(identity_of(1), phone)
    modem.plug(tmp_path / "modem-1")
    yield modem
    modem.close()


@pytest.fixture
def gammu(tmp_path: Path, modem: SimulatedModem) -> Gammu:
    """Runs gammu with these arguments on the modem's port; its output."""
    settings = tmp_path / "gammurc"
    settings.write_text(f"[gammu]\ndevice = {modem.path}\nconnection = at115200\n")

    async def run(*arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *("gammu", "-c", settings, *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), 60)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, output.decode()
        return output.decode()

    return run


async def test_identify(gammu: Gammu, modem: SimulatedModem) -> None:
    output = await gammu("identify")

    assert "Simulated modem" in output
    assert modem.identity.imei in output
    assert modem.identity.imsi in output


async def test_sendsms(gammu: Gammu, modem: SimulatedModem, phone: Phone) -> None:
    modem.change(air=(0.05, 0.1))
    text = "Kode {123456} [€] " * 12
    output = await gammu("sendsms", "TEXT", "+6281234567890", "-len", "400", "-text", text)

    assert "message reference=1" in output
    (message,) = phone.messages
    assert (message.receiver, message.text, message.parts, message.copies) == ("6281234567890", text, 2, 1)
    assert (modem.counters.cmgs, modem.counters.cmgw) == (2, 0)


async def test_getussd(gammu: Gammu, modem: SimulatedModem) -> None:
    """Slow: having the answer, gammu sleeps for ten seconds."""
    modem.change(ussd={"*123#": "Pulsa Rp 5000"})

    assert "Pulsa Rp 5000" in await gammu("getussd", "*123#")


async def test_getallsms(gammu: Gammu, modem: SimulatedModem) -> None:
    modem.deliver("+6281100000000", "Halo dunia")
    output = await gammu("getallsms")

    assert "+6281100000000" in output
    assert "Halo dunia" in output
