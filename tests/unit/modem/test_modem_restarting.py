"""A modem that comes up anew by itself: what it had is settled at once, and no late answer is believed."""

import asyncio

import pytest
from modem_desk import Desk, send
from scripted_modem import ScriptedModem

from otpbroker.events import Fault, ModemState, RecoveryStep
from otpbroker.sms.submission import Refused, Retry, Sent, Unknown
from virtual_run import in_virtual_time, now

RESTARTED = "\r\n+CPIN: READY\r\n\r\nSMS Ready\r\n"
FAMILIES = {
    "generic": ({}, "RDY"),
    "quectel": ({"AT+CGMI": "Quectel\r\nOK"}, "POWERED DOWN"),
    "simcom-2g": ({"AT+CGMI": "SIMCOM_Ltd\r\nOK", "AT+CGMM": "SIM800C\r\nOK"}, "UNDER-VOLTAGE POWER OFF"),
    "cinterion": ({"AT+CGMI": "Cinterion\r\nOK"}, "^SYSSTART"),
    "wavecom": ({"AT+CGMI": "WAVECOM MODEM\r\nOK"}, "+WIND: 3"),
}
NOT_AT_ALL = (
    "^BOOT:41285164,0,0,0,75",
    "^RSSI: 18",
    "^HCSQ: 3,40,30,20",
    "+CREG: 1",
    "+CSQ: 20,99",
    "RING",
    "Call Ready",
)


def quiet(answers: dict[str, str | None] | None = None) -> ScriptedModem:
    """Takes PDUs and says nothing to them."""
    return ScriptedModem(answers, on_pdu=lambda _: None)


async def settled(seconds: float = 21) -> None:
    """A modem that was just opened may say that it starts."""
    await asyncio.sleep(seconds)


@pytest.mark.parametrize("family", FAMILIES)
@in_virtual_time
async def test_a_restart_in_the_air_ends_the_wait_at_once(family: str) -> None:
    answers, sign = FAMILIES[family]
    wire = quiet(dict(answers))
    desk = Desk(wire)
    async with desk.ready() as modem:
        await settled()
        began = now()
        sending = asyncio.create_task(send(modem))
        await asyncio.sleep(1)
        wire.say(f"\r\n{sign}\r\n")
        assert await sending == Unknown("modem-restarted")
        assert now() - began == pytest.approx(1)
        assert modem.status.state is ModemState.RECOVERING
        await desk.until(lambda: modem.ready)
        wire.on_pdu = wire.accept
        assert await send(modem) == Sent((1,))
        health = modem.status.health
        assert (health.faults, health.brownouts, health.incidents[0].fault) == (1, 1, Fault.RESTARTED)
    assert len(wire.pdus) == 2


@in_virtual_time
async def test_a_restart_before_the_pdu_sends_the_message_elsewhere_at_once() -> None:
    wire = ScriptedModem()
    wire.prompt = None
    async with Desk(wire).ready() as modem:
        await settled()
        sending = asyncio.create_task(send(modem))
        await asyncio.sleep(1)
        wire.prompting = False
        wire.say(RESTARTED)
        assert await sending == Refused("modem-restarted", Retry.LATER)
        assert not wire.pdus


@in_virtual_time
async def test_a_restart_after_an_earlier_part_leaves_the_message_unknown() -> None:
    answers = iter(["+CMGS: 1\r\nOK", None])
    wire = ScriptedModem(on_pdu=lambda _: next(answers))
    async with Desk(wire).ready() as modem:
        await settled()
        sending = asyncio.create_task(send(modem, parts=2))
        await asyncio.sleep(1)
        wire.say(RESTARTED)
        assert await sending == Unknown("modem-restarted", (1,))


@in_virtual_time
async def test_a_reference_that_came_before_the_restart_is_told() -> None:
    wire = quiet()
    async with Desk(wire).ready() as modem:
        await settled()
        sending = asyncio.create_task(send(modem))
        await asyncio.sleep(1)
        wire.say(f"\r\n+CMGS: 9\r\n{RESTARTED}")
        assert await sending == Unknown("modem-restarted", (9,))


@pytest.mark.parametrize("line", NOT_AT_ALL)
@in_virtual_time
async def test_a_storm_of_other_lines_ends_nothing(line: str) -> None:
    wire = quiet({"AT+CGMI": "huawei\r\nOK"})
    async with Desk(wire).ready() as modem:
        await settled()
        sending = asyncio.create_task(send(modem))
        await asyncio.sleep(1)
        for _ in range(100):
            wire.say(f"\r\n{line}\r\n")
        wire.say("\r\n+CMGS: 3\r\n\r\nOK\r\n")
        assert await sending == Sent((3,))
        assert modem.status.health.brownouts == 0


@in_virtual_time
async def test_a_modem_that_only_seemed_to_restart_never_gives_its_late_answer_to_the_next_message() -> None:
    """The line came, the settings are still there: the answer may come too, so it is ended first (ADR 0011)."""
    wire = quiet({"AT+CFUN=4": "ERROR"})
    desk = Desk(wire)
    async with desk.ready() as modem:
        await settled()
        began = now()
        sending = asyncio.create_task(send(modem))
        await asyncio.sleep(1)
        wire.say(RESTARTED)
        assert await sending == Unknown("modem-restarted")
        await asyncio.sleep(30)
        assert not modem.ready
        wire.say("\r\n+CMGS: 77\r\n\r\nOK\r\n")
        await desk.until(lambda: modem.ready)
        assert now() - began == pytest.approx(31, abs=0.2)
        wire.on_pdu = wire.accept
        assert await send(modem) == Sent((1,))


@in_virtual_time
async def test_a_modem_that_has_lost_its_settings_owes_nothing() -> None:
    wire = quiet({"AT+CFUN=4": "ERROR"})
    desk = Desk(wire)
    async with desk.ready() as modem:
        await settled()
        sending = asyncio.create_task(send(modem))
        await asyncio.sleep(1)
        wire.answers["AT+CREG?"] = "+CREG: 0,1\r\nOK"
        wire.say(RESTARTED)
        assert await sending == Unknown("modem-restarted")
        began = now()
        await desk.until(lambda: modem.ready)
        assert now() - began < 0.1


@in_virtual_time
async def test_a_modem_that_never_told_its_registration_proves_nothing_by_that() -> None:
    wire = quiet({"AT+CFUN=4": "ERROR", "AT+CREG=1": "ERROR", "AT+CREG?": "+CREG: 0,1\r\nOK"})
    desk = Desk(wire)
    async with desk.ready() as modem:
        await settled()
        began = now()
        sending = asyncio.create_task(send(modem))
        await asyncio.sleep(1)
        wire.say(RESTARTED)
        await sending
        await desk.until(lambda: modem.ready, 90)
        assert now() - began == pytest.approx(60, abs=0.2)


@in_virtual_time
async def test_a_modem_that_is_still_starting_when_it_is_opened_is_set_up_again_and_blamed_for_nothing() -> None:
    wire = quiet()
    desk = Desk(wire)
    async with desk.ready() as modem:
        sending = asyncio.create_task(send(modem))
        await asyncio.sleep(5)
        wire.say("\r\nSMS Ready\r\n")
        await asyncio.sleep(5)
        wire.say("\r\n+CMGS: 4\r\n\r\nOK\r\n")
        assert await sending == Sent((4,))  # it had begun the message after its start
        await desk.until(lambda: wire.lines.count("AT+CMGF=0") == 2)
        await desk.until(lambda: modem.ready)
        assert (modem.status.health.faults, modem.status.health.brownouts) == (0, 0)


@in_virtual_time
async def test_a_modem_that_reads_its_sim_anew_is_not_just_starting() -> None:
    wire = quiet()
    async with Desk(wire).ready() as modem:
        sending = asyncio.create_task(send(modem))
        await asyncio.sleep(1)
        wire.say(RESTARTED)
        assert await sending == Unknown("modem-restarted")


@in_virtual_time
async def test_the_lines_of_one_restart_are_one_sign() -> None:
    wire = ScriptedModem()
    desk = Desk(wire)
    async with desk.ready() as modem:
        await settled()
        for line in ("RDY", "+CPIN: READY", "Call Ready", "SMS Ready"):
            wire.say(f"\r\n{line}\r\n")
            await asyncio.sleep(4)
        await desk.until(lambda: modem.ready)
        assert (modem.status.health.faults, modem.status.health.brownouts) == (1, 1)


@in_virtual_time
async def test_a_modem_that_restarts_at_every_message_climbs_to_quarantine() -> None:
    wire = quiet()
    desk = Desk(wire)
    async with desk.ready() as modem:
        for _ in range(10):
            await settled()
            if modem.status.state is ModemState.QUARANTINED:
                break
            sending = asyncio.create_task(send(modem))
            await asyncio.sleep(1)
            wire.say(RESTARTED)
            assert await sending == Unknown("modem-restarted")
        assert modem.status.state is ModemState.QUARANTINED
        assert [incident.cured_by for incident in modem.status.health.incidents] == [
            None,
            RecoveryStep.REOPEN,
            RecoveryStep.RADIO,
        ]
        assert modem.status.notes == ("brownout",)


@in_virtual_time
async def test_a_restart_while_it_waits_for_a_network_is_not_missed() -> None:
    wire = ScriptedModem({"AT+CREG?": "+CREG: 1,2\r\nOK"})
    desk = Desk(wire)
    async with desk.running() as modem:
        await settled(60)
        wire.say(RESTARTED)
        await asyncio.sleep(20)
        wire.answers["AT+CREG?"] = "+CREG: 1,1\r\nOK"
        await desk.until(lambda: modem.ready)
        await asyncio.sleep(1)
        assert wire.lines.count("AT+CMGF=0") == 2
        assert modem.ready
