"""What `^BOOT` tells of a modem's power: Huawei sticks say it all the time, with a number for each boot."""

import asyncio

import pytest
from modem_desk import Desk, FakeUsbPower
from scripted_modem import ScriptedModem

from otpbroker.events import RecoveryStep
from virtual_run import in_virtual_time


@pytest.mark.parametrize("maker", ["huawei", "somebody"])
@in_virtual_time
async def test_a_boot_that_nobody_asked_for_shows_by_its_number(maker: str) -> None:
    wire = ScriptedModem({"AT+CGMI": f"{maker}\r\nOK"})
    desk = Desk(wire)
    async with desk.ready() as modem:
        for boots, number in enumerate((91409020, 91409020, 35323129)):
            for _ in range(10):
                wire.say(f"\r\n^BOOT:{number},0,0,0,6\r\n")
                await asyncio.sleep(30)
            assert modem.status.health.brownouts == boots // 2
        assert (modem.ready, modem.status.health.faults) == (True, 0)


@in_virtual_time
async def test_the_boots_after_a_reset_or_a_new_plugging_are_no_sign() -> None:
    bus = FakeUsbPower()
    wire = ScriptedModem()
    bus.heals[RecoveryStep.USB_RESET] = wire
    desk = Desk(wire, usb="1-1.2", usb_power=bus)
    async with desk.ready() as modem:
        wire.say("\r\n^BOOT:1,0,0,0,6\r\n")
        wire.answers = dict.fromkeys(wire.answers, None)
        await desk.until(lambda: not modem.ready, 120)
        await desk.until(lambda: modem.ready, 120)
        wire.say("\r\n^BOOT:2,0,0,0,6\r\n")
        desk.ports.plugged.set()
        wire.hang_up()
        await desk.until(lambda: not modem.ready)
        await desk.until(lambda: modem.ready)
        wire.say("\r\n^BOOT:3,0,0,0,6\r\n")
        assert modem.status.health.brownouts == 0
        wire.say("\r\n^BOOT:4,0,0,0,6\r\n")
        assert modem.status.health.brownouts == 1


@pytest.mark.parametrize("line", ["^BOOT:", "^BOOT", "^BOOT:,"])
@in_virtual_time
async def test_a_boot_without_a_number_is_no_sign(line: str) -> None:
    wire = ScriptedModem()
    async with Desk(wire).ready() as modem:
        for _ in range(2):
            wire.say(f"\r\n{line}\r\n")
            wire.say("\r\n^BOOT:7,0,0,0,6\r\n")
        assert modem.ready
        assert modem.status.health.brownouts == 0
