"""The answer to a message that was in the air when the process died."""

import asyncio

from modem_desk import Desk, Late, send
from scripted_modem import ScriptedModem

from otpbroker.sms.submission import Sent
from virtual_run import in_virtual_time, now


@in_virtual_time
async def test_nothing_is_said_while_a_late_answer_may_still_come() -> None:
    wire = ScriptedModem()
    desk = Desk(wire, late=Late("m1"))
    async with desk.running() as modem:
        await asyncio.sleep(0.7)
        assert wire.lines == []
        wire.say("\r\n+CMGS: 42\r\n\r\nOK\r\n")
        await desk.until(lambda: modem.ready)
        assert desk.late.told == [42, "over"]
        assert await send(modem) == Sent((1,))
        assert desk.late.told == [42, "over"]


@in_virtual_time
async def test_a_late_answer_that_waited_in_the_port_is_heard() -> None:
    wire = ScriptedModem()
    wire.say("\r\n+CMGS: 42\r\n\r\nOK\r\n")
    desk = Desk(wire, late=Late("m1"))
    async with desk.ready():
        assert desk.late.told == [42, "over"]


@in_virtual_time
async def test_a_late_answer_during_start_up_is_heard_too() -> None:
    wire = ScriptedModem({"AT+CREG?": "+CREG: 1,2\r\nOK"})
    desk = Desk(wire, late=Late("m1"))
    async with desk.running() as modem:
        await asyncio.sleep(3)
        assert desk.late.told == []
        wire.say("\r\n+CMGS: 42\r\n\r\nOK\r\n")
        wire.say("\r\n+CREG: 1\r\n")
        await desk.until(lambda: modem.ready)
        assert desk.late.told == [42, "over"]


@in_virtual_time
async def test_without_a_late_answer_its_end_is_told() -> None:
    desk = Desk(ScriptedModem(), late=Late("m1"))
    began = now()
    async with desk.ready():
        assert desk.late.told == ["over"]
        assert 0.8 <= now() - began < 1.1


@in_virtual_time
async def test_a_modem_with_nothing_in_the_air_does_not_listen() -> None:
    desk = Desk(ScriptedModem(), late=Late("another"))
    began = now()
    async with desk.ready():
        assert now() - began < 0.01
    assert desk.late.told == []
