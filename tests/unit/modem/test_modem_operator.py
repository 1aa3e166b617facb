"""The operator that is shown is the one whose network the modem is in."""

import asyncio

import pytest
from modem_desk import Desk, send
from scripted_modem import ScriptedModem

from otpbroker.modem.session import HEARTBEAT
from otpbroker.sms.submission import Refused, Retry, Sent
from virtual_run import in_virtual_time, now

NOBODY = "+COPS: 0\r\nOK"


def enter(wire: ScriptedModem, registration: int, operator: str) -> None:
    wire.answers["AT+CREG?"] = f"+CREG: 1,{registration}\r\nOK"
    wire.answers["AT+COPS?"] = f'+COPS: 0,0,"{operator}",7\r\nOK' if operator else NOBODY
    wire.say(f"\r\n+CREG: {registration}\r\n")


@in_virtual_time
async def test_a_modem_that_finds_another_network_shows_its_operator() -> None:
    wire = ScriptedModem()
    async with Desk(wire).ready() as modem:
        assert (modem.status.registration, modem.status.operator) == ("home", "XL")
        enter(wire, 2, "")
        await asyncio.sleep(HEARTBEAT + 1)
        assert (modem.status.registration, modem.status.operator) == ("searching", "")
        enter(wire, 5, "CELCOM")
        await asyncio.sleep(HEARTBEAT + 1)
        assert (modem.status.registration, modem.status.operator) == ("roaming", "CELCOM")


@in_virtual_time
async def test_a_network_that_was_changed_between_two_looks_is_noticed_too() -> None:
    wire = ScriptedModem()
    async with Desk(wire).ready() as modem:
        enter(wire, 2, "")
        enter(wire, 1, "TELKOMSEL")
        await asyncio.sleep(HEARTBEAT + 1)
        assert modem.status.operator == "TELKOMSEL"


@in_virtual_time
async def test_an_operator_that_changes_without_a_word_is_noticed_after_a_quarter_of_an_hour() -> None:
    wire = ScriptedModem()
    async with Desk(wire).ready() as modem:
        wire.answers["AT+COPS?"] = '+COPS: 0,0,"TELKOMSEL",7\r\nOK'
        await asyncio.sleep(900 + HEARTBEAT)
        assert modem.status.operator == "TELKOMSEL"
        assert wire.lines.count("AT+COPS?") == 2


@in_virtual_time
async def test_an_operator_that_is_not_told_at_the_start_is_asked_for_again() -> None:
    wire = ScriptedModem({"AT+COPS?": NOBODY})
    async with Desk(wire).ready() as modem:
        await asyncio.sleep(5)
        assert modem.status.operator == ""
        wire.answers["AT+COPS?"] = '+COPS: 0,0,"XL",7\r\nOK'
        await asyncio.sleep(2 * HEARTBEAT + 1)
        assert modem.status.operator == "XL"


@in_virtual_time
async def test_no_message_waits_for_a_modem_that_is_long_about_its_operator() -> None:
    wire = ScriptedModem()
    desk = Desk(wire)
    async with desk.ready() as modem:
        wire.answers["AT+COPS?"] = None
        await desk.until(lambda: wire.lines.count("AT+COPS?") == 2, 2000)
        began = now()
        assert await send(modem) == Refused("not-ready", Retry.LATER)
        assert (modem.recovering, now()) == (True, began)
        await desk.until(lambda: modem.ready)
        assert await send(modem) == Sent((1,))
        assert modem.status.health.faults == 0


@pytest.mark.parametrize("answer", [NOBODY, "ERROR"])
@in_virtual_time
async def test_a_modem_that_never_tells_one_is_asked_less_and_less(answer: str) -> None:
    wire = ScriptedModem({"AT+COPS?": answer})
    async with Desk(wire).ready():
        await asyncio.sleep(24 * 3600)
        assert wire.lines.count("AT+COPS?") < 24 * 6


@in_virtual_time
async def test_a_modem_that_looks_for_a_network_shows_no_operator_of_yesterday() -> None:
    wire = ScriptedModem()
    async with Desk(wire).ready() as modem:
        await asyncio.sleep(30)
        wire.answers["AT+CREG?"] = "+CREG: 1,2\r\nOK"
        wire.say("\r\nRDY\r\n")
        await asyncio.sleep(1)
        assert (modem.status.registration, modem.status.operator) == ("searching", "")
