"""Our modem drives one that is not ours to trust: echo on, `ATE` refused, lines unasked for, 5-octet pieces."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest
from driven_fleet import PDU, driven, on
from foreign_modem import ForeignModem

from otpbroker.config.model import ModemSection
from otpbroker.events import ModemState
from otpbroker.modem.usb import Tty, UsbDevice
from otpbroker.sms.submission import Sent, Unknown


@pytest.fixture
async def foreign() -> AsyncIterator[ForeignModem]:
    modem = ForeignModem()
    yield modem
    with suppress(OSError):
        modem.unplug()


async def test_it_becomes_ready_and_is_identified(foreign: ForeignModem) -> None:
    async with driven(on(foreign.path)) as fleet:
        await fleet.ready("m")
        status = fleet["m"].status
    assert (status.manufacturer, status.model, status.revision) == ("Foreign Works", "FW-1", "11.608.13")
    assert (status.imei, status.imsi, status.iccid) == ("490154203237518", "510010000000001", "")
    assert (status.operator, status.smsc, status.signal_dbm) == ("Foreign", "+62816124", -65)
    assert status.registration in {"home", "roaming"}  # its unsolicited lines and its answers differ


async def test_single_and_long_messages_leave_whole(foreign: ForeignModem) -> None:
    async with driven(on(foreign.path)) as fleet:
        await fleet.ready("m")
        assert await fleet.send("m") == Sent((1,))
        assert await fleet.send("m", PDU, PDU, PDU, more=True) == Sent((2, 3, 4))
    assert foreign.pdus == [PDU] * 4
    assert not [command for command in foreign.commands if "CMGW" in command]


async def test_unplugging_it_in_the_air_is_unknown_and_told(foreign: ForeignModem) -> None:
    foreign.air = 60
    async with driven(on(foreign.path)) as fleet:
        await fleet.ready("m")
        sending = asyncio.create_task(fleet.send("m"))
        while not foreign.pdus:  # the modem tells nobody
            await asyncio.sleep(0.01)
        foreign.unplug()
        assert await sending == Unknown("link-lost")
        await fleet.until(lambda: fleet["m"].status.state is ModemState.RECOVERING)


async def test_an_open_message_of_a_dead_predecessor_is_given_up(foreign: ForeignModem) -> None:
    predecessor = os.open(foreign.path, os.O_RDWR | os.O_NOCTTY)
    os.write(predecessor, b"AT+CMGS=19\r")
    while "AT+CMGS=19" not in foreign.commands:  # the modem tells nobody
        await asyncio.sleep(0.01)
    os.write(predecessor, PDU[:10].encode())
    os.close(predecessor)
    async with driven(on(foreign.path)) as fleet:
        await fleet.ready("m")
        assert foreign.pdus == []
        assert await fleet.send("m") == Sent((1,))
    assert foreign.pdus == [PDU]


class OneDevice:
    """A USB with one stick, whose ports are these."""

    def __init__(self, *paths: str) -> None:
        ttys = tuple(Tty(path, number, 255, 0, 0, "option") for number, path in enumerate(paths))
        self.devices = (UsbDevice("1-1.2", "2cb7", "0104", "", "", "", ttys, ()),)

    async def watch(self, changed: Callable[[tuple[UsbDevice, ...]], None]) -> None:
        changed(self.devices)
        await asyncio.Event().wait()


async def test_it_is_found_by_its_imei_behind_a_silent_port(foreign: ForeignModem) -> None:
    master, slave = os.openpty()
    ports = OneDevice(os.ttyname(slave), foreign.path)
    async with driven(ModemSection(id="m", imei="490154203237518"), ports=ports) as fleet:
        await fleet.ready("m")
        assert (fleet["m"].status.port, fleet["m"].status.usb) == (foreign.path, "1-1.2")
        assert await fleet.send("m") == Sent((1,))
    os.close(slave)
    os.close(master)
