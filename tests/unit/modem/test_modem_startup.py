"""From an open port to a modem that is ready."""

import asyncio

import pytest
from modem_desk import Desk, send
from scripted_modem import ICCID, IMEI, ScriptedModem

from otpbroker.events import ModemState
from otpbroker.modem.dialect import GENERIC
from otpbroker.modem.status import MOMENTS
from otpbroker.sms.submission import Refused, Retry, Sent
from virtual_run import in_virtual_time, now


@in_virtual_time
async def test_it_becomes_ready_at_once_and_tells_who_it_is() -> None:
    wire = ScriptedModem()
    desk = Desk(wire, prefixes=("62817",), name="XL")
    began = now()
    async with desk.ready() as modem:
        assert now() - began < 0.01
        status = modem.status
    assert (status.manufacturer, status.model, status.revision) == ("ACME", "M1", "1.0")
    assert (status.imei, status.imsi, status.iccid) == (IMEI, "510101234567890", ICCID)
    assert (status.msisdn, status.smsc, status.operator) == ("+628111111111", "+62816124", "XL")
    assert (status.registration, status.signal_dbm) == ("home", -73)
    assert (status.name, status.prefixes, status.port) == ("XL", ("62817",), "/dev/ttyUSB0")
    assert {"ATE0", "AT+CMEE=1", "AT+CREG=1", "AT+CEREG=1", "AT+CMGF=0", "AT+CNMI=2,1,0,1,0"} <= set(wire.lines)


@pytest.mark.parametrize("piece", [1, 5])
@in_virtual_time
async def test_a_modem_that_echoes_for_ever_and_storms_becomes_ready_and_sends(piece: int) -> None:
    wire = ScriptedModem({"ATE0": "ERROR"}, echo=True, piece=piece, before="\r\n^BOOT:1,0,0\r\n\r\n^RSSI:9\r\n")
    async with Desk(wire).ready() as modem:
        assert modem.status.manufacturer == "ACME"
        assert await send(modem, parts=2) == Sent((1, 2))


@in_virtual_time
async def test_a_familys_own_commands_are_given() -> None:
    wire = ScriptedModem({"AT+CGMI": "huawei\r\nOK", "AT^ICCID?": '^ICCID: "89621000000000000170"\r\nOK'})
    async with Desk(wire).ready() as modem:
        assert "AT^CURC=0" in wire.lines
        assert modem.status.iccid == "89621000000000000170"


@in_virtual_time
async def test_a_modem_that_knows_little_becomes_ready_all_the_same() -> None:
    unknown = dict.fromkeys(
        ("ATE0", "AT+CMEE=1", "AT+CGMI", "AT+CGMM", "AT+CCID", "AT+CNUM", "AT+CEREG=1", "AT+CSMS=0", "AT+CMMS?"),
        "ERROR",
    )
    async with Desk(ScriptedModem({**unknown, "AT+COPS?": None})).ready() as modem:
        assert await send(modem) == Sent((1,))


@in_virtual_time
async def test_an_answer_too_many_shifts_nothing() -> None:
    async with Desk(ScriptedModem({"AT": "OK\r\n\r\nOK"})).ready() as modem:
        assert (modem.status.manufacturer, modem.status.model) == ("ACME", "M1")


class Laggard(ScriptedModem):
    """Answers after a millisecond, and first of all a command that a dead predecessor gave."""

    def say_soon(self, text: str) -> None:
        loop = asyncio.get_running_loop()
        if len(self.lines) == 1:
            loop.call_later(0.0005, self.say, "\r\nOK\r\n")
        loop.call_later(0.001, self.say, text)


@in_virtual_time
async def test_an_answer_to_a_dead_predecessors_command_shifts_nothing_for_long() -> None:
    async with Desk(Laggard()).ready() as modem:
        assert (modem.status.manufacturer, modem.status.model, modem.status.imei) == ("ACME", "M1", IMEI)
        assert await send(modem) == Sent((1,))


@in_virtual_time
async def test_registration_is_waited_for_and_noticed_at_once() -> None:
    wire = ScriptedModem({"AT+CREG?": "+CREG: 1,2\r\nOK"})
    desk = Desk(wire)
    async with desk.running() as modem:
        await asyncio.sleep(5)
        assert (modem.status.state, modem.status.registration) == (ModemState.STARTING, "searching")
        assert "network" in modem.status.detail
        assert (modem.ready, modem.recovering) == (False, True)
        assert await send(modem) == Refused("not-ready", Retry.LATER)
        wire.say("\r\n+CREG: 5\r\n")
        began = now()
        await desk.until(lambda: modem.ready)
        assert now() - began < 0.01
        assert modem.status.registration == "roaming"


@in_virtual_time
async def test_hope_for_a_network_is_given_up_after_moments_but_not_the_search() -> None:
    wire = ScriptedModem({"AT+CREG?": "+CREG: 1,3\r\nOK"})
    desk = Desk(wire)
    async with desk.running() as modem:
        await asyncio.sleep(MOMENTS + 1)
        assert (modem.ready, modem.recovering) == (False, False)
        assert desk.changes == 2
        wire.answers["AT+CREG?"] = "+CREG: 1,1\r\nOK"  # and no unsolicited line tells of it
        await desk.until(lambda: modem.ready)


@in_virtual_time
async def test_losing_the_network_makes_it_unready_until_it_is_back() -> None:
    wire = ScriptedModem()
    desk = Desk(wire)
    async with desk.ready() as modem:
        wire.say("\r\n+CREG: 0\r\n")
        assert (modem.ready, modem.status.registration) == (False, "none")
        assert "antenna" in modem.status.detail
        wire.say("\r\n+CREG: 1\r\n")
        assert modem.ready
        assert await send(modem) == Sent((1,))
    assert len(desk.opened) == 1


@in_virtual_time
async def test_a_missing_service_centre_is_set_from_the_configuration() -> None:
    wire = ScriptedModem({"AT+CSCA?": '+CSCA: "",129\r\nOK'})
    async with Desk(wire, smsc="+62816124").ready() as modem:
        assert 'AT+CSCA="+62816124",145' in wire.lines
        assert (modem.status.smsc, modem.status.detail) == ("+62816124", "")


@in_virtual_time
async def test_a_missing_service_centre_that_nobody_configured_is_told() -> None:
    async with Desk(ScriptedModem({"AT+CSCA?": '+CSCA: "",129\r\nOK'})).ready() as modem:
        assert "smsc" in modem.status.detail


@pytest.mark.parametrize(
    ("refused", "taken"),
    [
        ("2,1,0,1,0", "AT+CNMI=2,1,0,1,1"),  # Siemens: the buffer is cleared, not flushed
        (",1,0;,1,1", "AT+CNMI=2,1,0,2,0"),  # Cinterion BGS5: reports are stored or not told
        (",1,0;,1,1;,2,0;,2,1", "AT+CNMI=2,1,0,0,0"),
    ],
)
@in_virtual_time
async def test_report_settings_fall_back_to_what_the_modem_takes(refused: str, taken: str) -> None:
    wire = ScriptedModem()
    wire.answers |= {
        command: "+CMS ERROR: 303" for command in GENERIC.notify if command.endswith(tuple(refused.split(";")))
    }
    async with Desk(wire).ready():
        tries = [line for line in wire.lines if line.startswith("AT+CNMI=")]
    assert tries[-1] == taken
    assert tries == list(GENERIC.notify[: len(tries)])
