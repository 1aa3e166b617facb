"""The SIM's PIN: given once, and never at the risk of the PUK."""

import asyncio
import stat
from pathlib import Path

import pytest
from modem_desk import PDU, Desk, send
from scripted_modem import ICCID, IMEI, ScriptedModem

from otpbroker.events import ModemState
from otpbroker.modem.sim import PinMemory
from virtual_run import in_virtual_time, now


class Locked(ScriptedModem):
    """A SIM with a PIN; counts the tries."""

    def __init__(self, pin: str = "1234", tries: int = 3, answers: dict[str, str | None] | None = None) -> None:
        super().__init__({"AT+CPIN?": "+CPIN: SIM PIN\r\nOK", "AT+CIMI": "+CME ERROR: 11", **(answers or {})})
        self.pin, self.tries, self.given = pin, tries, 0
        self._tell_tries()

    def _tell_tries(self) -> None:
        if self.answers.get('AT+CPINR="SIM PIN"', "") != "ERROR":
            self.answers['AT+CPINR="SIM PIN"'] = f"+CPINR: SIM PIN,{self.tries},3\r\nOK"

    def _line(self, line: str) -> None:
        if line.startswith("AT+CPIN="):
            self.given += 1
            if line == f'AT+CPIN="{self.pin}"':
                self.answers |= {"AT+CPIN?": "+CPIN: READY\r\nOK", "AT+CIMI": "510101234567890\r\nOK"}
                self.answers.setdefault(line, "OK")
            else:
                self.tries -= 1
                self.answers[line] = "+CME ERROR: 16"
            self._tell_tries()
        super()._line(line)


@in_virtual_time
async def test_the_configured_pin_opens_the_sim() -> None:
    wire = Locked()
    async with Desk(wire, pin="1234").ready() as modem:
        assert wire.given == 1
        assert modem.status.imsi == "510101234567890"


@in_virtual_time
async def test_a_wrong_pin_is_given_once_however_often_the_modem_is_opened_and_run() -> None:
    pins = PinMemory()
    wire = Locked()
    desk = Desk(wire, pin="9999", pins=pins)
    async with desk.running() as modem:
        await desk.until(lambda: modem.status.state is ModemState.BLOCKED)
        await asyncio.sleep(600)
        assert "pin" in modem.status.detail
        assert "9999" not in modem.status.detail
        wire.hang_up()
        await asyncio.sleep(600)
        assert len(desk.opened) == 2
    again = Desk(wire, pin="9999", pins=pins)
    async with again.running():
        await asyncio.sleep(600)
    assert wire.given == 1
    assert wire.tries == 2


@in_virtual_time
async def test_a_corrected_pin_is_given_although_another_was_wrong() -> None:
    pins = PinMemory()
    wire = Locked()
    wrong = Desk(wire, pin="9999", pins=pins)
    async with wrong.running() as modem:
        await wrong.until(lambda: modem.status.state is ModemState.BLOCKED)
    async with Desk(wire, pin="1234", pins=pins).ready():
        assert (wire.given, wire.tries) == (2, 2)


@in_virtual_time
async def test_the_last_try_is_never_used() -> None:
    wire = Locked(tries=1)
    desk = Desk(wire, pin="1234")
    async with desk.running() as modem:
        await desk.until(lambda: modem.status.state is ModemState.BLOCKED)
        assert "1 PIN" in modem.status.detail
        await asyncio.sleep(600)
    assert wire.given == 0


@in_virtual_time
async def test_a_modem_that_hides_the_tries_left_still_gets_a_wrong_pin_once() -> None:
    wire = Locked(answers={'AT+CPINR="SIM PIN"': "ERROR", "AT+CCID": "ERROR"})
    desk = Desk(wire, pin="9999")
    async with desk.running():
        await asyncio.sleep(600)
        wire.hang_up()
        await asyncio.sleep(600)
    assert wire.given == 1


@in_virtual_time
async def test_a_modem_that_hides_the_tries_left_does_not_get_a_third_pin() -> None:
    pins = PinMemory()
    wire = Locked(pin="4444", answers={'AT+CPINR="SIM PIN"': "ERROR", "AT+CCID": "ERROR"})
    for pin in ("1111", "2222", "3333"):
        desk = Desk(wire, pin=pin, pins=pins)
        async with desk.running() as modem:
            await desk.until(lambda: modem.status.state is ModemState.BLOCKED)
            await asyncio.sleep(600)
            detail = modem.status.detail
    assert wire.given == 2
    assert wire.tries == 1
    assert "does not tell how many tries are left" in detail
    assert "phone" in detail


@in_virtual_time
async def test_a_modem_that_tells_of_two_tries_left_gets_a_third_pin() -> None:
    pins = PinMemory()
    for pin in ("1111", "2222"):  # before the SIM was unlocked in a phone
        await pins.remember(pin, ICCID, IMEI)
    wire = Locked()
    async with Desk(wire, pin="1234", pins=pins).ready():
        assert wire.given == 1


@in_virtual_time
async def test_a_pin_whose_answer_got_lost_is_not_given_again() -> None:
    wire = Locked(pin="0000", answers={'AT+CPIN="1234"': None})

    def swallow(line: str) -> None:
        if line.startswith("AT+CPIN="):
            wire.given += 1
            return
        ScriptedModem._line(wire, line)

    wire._line = swallow  # type: ignore[method-assign] # this modem says nothing to a PIN
    desk = Desk(wire, pin="1234")
    async with desk.running() as modem:
        await desk.until(lambda: modem.status.state is ModemState.BLOCKED, 120)
        wire.hang_up()
        await asyncio.sleep(600)
    assert wire.given == 1


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        ("+CPIN: SIM PIN\r\nOK", "PIN"),
        ("+CPIN: SIM PUK\r\nOK", "PUK"),
        ("+CME ERROR: 12", "PUK"),
        ("+CME ERROR: 10", "no SIM"),
        ("+CME ERROR: 13", "SIM failure"),
        ("+CPIN: PH-NET PIN\r\nOK", "PH-NET PIN"),
    ],
)
@in_virtual_time
async def test_a_sim_that_needs_hands_blocks_with_the_reason(answer: str, hint: str) -> None:
    desk = Desk(ScriptedModem({"AT+CPIN?": answer}))
    async with desk.running() as modem:
        await desk.until(lambda: modem.status.state is ModemState.BLOCKED)
        assert hint in modem.status.detail
        assert "(" in modem.status.detail  # the remedy
        assert (modem.ready, modem.recovering) == (False, False)
        desk.plugged[0].answers["AT+CPIN?"] = "+CPIN: READY\r\nOK"  # type: ignore[union-attr] # hands came
        await desk.until(lambda: modem.ready, 120)


@in_virtual_time
async def test_a_sim_that_is_still_being_read_is_waited_for() -> None:
    wire = ScriptedModem({"AT+CPIN?": "+CME ERROR: 14"})
    desk = Desk(wire)
    async with desk.running() as modem:
        await asyncio.sleep(3)
        assert modem.status.state is ModemState.STARTING
        wire.answers["AT+CPIN?"] = "+CPIN: READY\r\nOK"
        wire.say("\r\n+CPIN: READY\r\n")
        began = now()
        await desk.until(lambda: modem.ready)
        assert now() - began < 0.01


@in_virtual_time
async def test_no_pdu_and_no_pin_gets_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    wire = Locked()
    desk = Desk(wire, pin="1234")
    async with desk.ready() as modem:
        wire.say(f"\r\n+CMT: ,19\r\n{PDU}\r\n{PDU}\r\n")
        wire.on_pdu = lambda pdu: f"{pdu}\r\n+CMS ERROR: 38"
        await send(modem)
        wire.on_pdu = lambda _: None
        await send(modem)
    assert PDU not in caplog.text
    assert "1234" not in caplog.text


def test_a_refused_pin_is_known_to_the_next_process_and_unreadable_in_the_file(tmp_path: Path) -> None:
    path, key = tmp_path / "refused-pins", bytes(32)
    asyncio.run(PinMemory(path, key).remember("9999", "8962", "490154203237518"))
    next_process = PinMemory(path, key)
    assert next_process.tried("9999", "8962", "490154203237518")
    assert not next_process.tried("1234", "8962", "490154203237518")
    assert not next_process.tried("9999", "8963", "490154203237518")
    assert "9999" not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    asyncio.run(next_process.forget("9999", "8962", "490154203237518"))
    assert not PinMemory(path, key).tried("9999", "8962", "490154203237518")
