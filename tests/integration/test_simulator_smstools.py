"""A real client drives the simulated modem: smsd of SMS Server Tools 3, with a spool of its own."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from otpbroker.modem.simulator import Phone, SimulatedModem, identity_of

SMSD = Path(__file__).parents[2] / "build/smstools/usr/sbin/smsd"
FOLDERS = ("outgoing", "checked", "incoming", "sent", "failed", "stats")


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
async def outgoing(tmp_path: Path, modem: SimulatedModem) -> AsyncIterator[Path]:
    """The spool folder of a running smsd."""
    for folder in FOLDERS:
        (tmp_path / folder).mkdir()
    places = "\n".join(f"{folder} = {tmp_path / folder}" for folder in FOLDERS)
    settings = tmp_path / "smsd.conf"
    settings.write_text(
        f"devices = GSM1\n{places}\n"
        f"infofile = {tmp_path / 'smsd.working'}\n"
        f"pidfile = {tmp_path / 'smsd.pid'}\n"
        f"logfile = {tmp_path / 'smsd.log'}\n"
        "delaytime = 1\ndelaytime_mainprocess = 1\n"
        f"[GSM1]\ndevice = {modem.path}\nincoming = high\n"
    )
    process = await asyncio.create_subprocess_exec(
        *(SMSD, "-t", "-c", settings),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    yield tmp_path / "outgoing"
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), 15)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_smsd_sends_a_message_file(
    outgoing: Path, modem: SimulatedModem, phone: Phone, tmp_path: Path
) -> None:
    text = "Kode 123456. " * 20
    (tmp_path / "message").write_text(f"To: 6281234567890\n\n{text}")
    (tmp_path / "message").rename(outgoing / "message")
    message = await phone.wait_for(lambda _: True, within=60)

    assert (message.receiver, message.text.strip(), message.parts) == ("6281234567890", text.strip(), 2)
    assert modem.counters.cmgw == 0


async def test_smsd_receives_a_message(outgoing: Path, modem: SimulatedModem, tmp_path: Path) -> None:
    modem.deliver("+6281100000000", "Halo dunia")
    async with asyncio.timeout(60):
        # Another process's file tells nobody that it is there.
        while not (found := list((tmp_path / "incoming").glob("GSM1.*"))) or modem.stored:
            await asyncio.sleep(0.1)

    assert "Halo dunia" in found[0].read_text("latin-1")
