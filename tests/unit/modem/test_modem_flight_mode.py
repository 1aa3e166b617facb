"""A modem that was sent off the network comes back, whatever happens to the command for it, or to who gave it."""

import asyncio
from contextlib import suppress

import pytest
from modem_desk import Desk, send
from scripted_modem import ScriptedModem

from otpbroker.events import Fault, ModemState, RecoveryStep
from otpbroker.modem.refusals import ENOUGH
from otpbroker.modem.session import HEARTBEAT
from otpbroker.sms.submission import Sent, Unknown
from virtual_run import in_virtual_time, now


class Radio(ScriptedModem):
    """Knows +CFUN: 4 leaves the network within `takes` seconds, during which it is `deaf` or not; 1 comes back."""

    def __init__(self, level: int = 1, *, takes: float = 1.0, deaf: bool = False) -> None:
        super().__init__()
        self.takes, self.deaf = takes, deaf
        self.refusals = 0  # of the next AT+CFUN=1: the SIM is busy
        self.reads_sim_at_every_level = True
        self._hears_at = 0.0
        self.set_level(level)

    def set_level(self, level: int) -> None:
        self.level = level
        self.answers["AT+CFUN?"] = f"+CFUN: {level}\r\nOK"
        self.answers["AT+CREG?"] = f"+CREG: 1,{int(level == 1)}\r\nOK"

    def woken(self) -> int:
        return self.lines.count("AT+CFUN=1")

    def _line(self, line: str) -> None:
        if now() < self._hears_at:
            self.lines.append(line)
            return
        if not self.reads_sim_at_every_level:
            self.answers["AT+CPIN?"] = "+CPIN: READY\r\nOK" if self.level == 1 else "+CME ERROR: 14"
        match line:
            case "AT+CFUN=4":
                self.lines.append(line)
                self.set_level(4)
                self._hears_at = now() + self.takes if self.deaf else 0.0
                asyncio.get_running_loop().call_later(self.takes, self.say, "\r\nOK\r\n")
                return
            case "AT+CFUN=1" if self.refusals:
                self.refusals -= 1
                self.answers[line] = "+CME ERROR: 14"
            case "AT+CFUN=1":
                self.answers[line] = "OK"
                self.set_level(1)
        super()._line(line)


@in_virtual_time
async def test_an_agent_that_dies_in_the_middle_of_the_step_leaves_nobody_in_flight_mode() -> None:
    wire = Radio()
    async with Desk(wire).ready() as modem:
        wire.on_pdu = lambda _: None
        assert await send(modem) == Unknown("no-answer")
        while wire.level == 1:
            await asyncio.sleep(0.1)
    assert (wire.level, wire.woken()) == (4, 0)
    wire.on_pdu = wire.accept
    async with Desk(wire).ready() as modem:
        assert await send(modem) == Sent((1,))


@pytest.mark.parametrize("level", [0, 4, 5])
@in_virtual_time
async def test_a_modem_that_is_found_in_flight_mode_is_woken_at_once(level: int) -> None:
    wire = Radio(level)
    began = now()
    async with Desk(wire).ready():
        assert now() - began < 1
        assert wire.woken() == 1


@in_virtual_time
async def test_one_that_reads_no_sim_in_flight_mode_is_woken_too() -> None:
    wire = Radio(4)
    wire.reads_sim_at_every_level = False
    wire.refusals = 1
    began = now()
    async with Desk(wire).ready():
        assert now() - began < 5


@in_virtual_time
async def test_a_modem_with_its_radio_on_is_asked_once_and_told_nothing() -> None:
    wire = Radio()
    async with Desk(wire).ready():
        await asyncio.sleep(3 * HEARTBEAT)
    assert (wire.lines.count("AT+CFUN?"), wire.woken()) == (1, 0)


@in_virtual_time
async def test_a_modem_that_says_nothing_while_it_leaves_the_network_is_told_to_come_back() -> None:
    wire = Radio(takes=20.0, deaf=True)
    wire.on_pdu = lambda _: "+CMS ERROR: 38"
    desk = Desk(wire)
    async with desk.ready() as modem:
        for number in range(ENOUGH):
            await send(modem, message_id=str(number))
        wire.on_pdu = wire.accept
        await desk.until(lambda: modem.ready)
        assert (wire.level, wire.woken()) == (1, 1)
        incident = modem.status.health.incidents[0]
        assert (incident.fault, incident.cured_by) == (Fault.REFUSING, RecoveryStep.RADIO)


@in_virtual_time
async def test_one_that_may_have_left_is_waited_for_as_one_that_stayed() -> None:
    """Its answer to the message may still come."""
    wire = Radio(takes=18.0, deaf=True)
    desk = Desk(wire)
    async with desk.ready() as modem:
        began = now()
        wire.on_pdu = lambda _: None
        assert await send(modem) == Unknown("no-answer")
        await desk.until(lambda: modem.ready, 120)
        assert now() - began == pytest.approx(60, abs=0.5)


@in_virtual_time
async def test_a_refusal_to_come_back_is_not_the_last_word() -> None:
    wire = Radio()
    wire.on_pdu = lambda _: "+CMS ERROR: 38"
    wire.refusals = 2  # of the step, and at the start behind it
    desk = Desk(wire)
    async with desk.ready() as modem:
        for number in range(ENOUGH):
            await send(modem, message_id=str(number))
        wire.on_pdu = wire.accept
        await desk.until(lambda: modem.ready)
        assert wire.woken() == 3


@in_virtual_time
async def test_one_that_goes_off_by_itself_is_noticed_by_the_heartbeat() -> None:
    wire = Radio()
    desk = Desk(wire)
    async with desk.ready() as modem:
        wire.set_level(4)
        await asyncio.sleep(HEARTBEAT + 1)
        assert wire.woken() == 1
        await asyncio.sleep(HEARTBEAT + 1)
        assert modem.ready


@in_virtual_time
async def test_one_that_reads_its_sim_anew_when_it_is_woken_has_not_restarted_by_itself() -> None:
    wire = Radio()
    desk = Desk(wire)
    async with desk.ready() as modem:
        await asyncio.sleep(30)
        wire.set_level(0)
        while not wire.woken():
            await asyncio.sleep(0.1)
        starts = wire.lines.count("ATE0")
        wire.say("\r\n+CPIN: READY\r\n\r\nCall Ready\r\n\r\nSMS Ready\r\n")
        await desk.until(lambda: modem.ready)
        assert (modem.status.health.faults, modem.status.health.brownouts) == (0, 0)
        assert wire.lines.count("ATE0") > starts, "its settings may be lost"


@in_virtual_time
async def test_one_that_stays_in_flight_mode_is_told_so_rarely_that_it_could_search() -> None:
    """A switch at the modem may hold its radio off, or it counts in its own way."""
    wire = Radio(4)
    wire.refusals = 10**6
    desk = Desk(wire)
    async with desk.running() as modem:
        await asyncio.sleep(3600)
        assert modem.status.state is ModemState.STARTING
        assert 8 < wire.woken() < 20
        wire.refusals = 0
        with suppress(TimeoutError):
            await desk.until(lambda: modem.ready, 1200)
        assert modem.ready
