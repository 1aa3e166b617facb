"""A modem that refuses message after message must not use up their tries: it is brought back, then rested."""

import asyncio

import pytest
from modem_desk import Desk, FakeUsbPower, send
from scripted_modem import ScriptedModem

from otpbroker.errors import Unavailable
from otpbroker.events import Fault, ModemState, RecoveryStep
from otpbroker.modem.at import AtConversation
from otpbroker.modem.dialect import Dialect
from otpbroker.modem.modem import Modem
from otpbroker.modem.refusals import ENOUGH, ENOUGH_ON_TRIAL
from otpbroker.sms.submission import Refused, Retry, Sent, Unknown
from virtual_run import in_virtual_time, now


def refusing(number: int) -> ScriptedModem:
    return ScriptedModem(on_pdu=lambda _: f"+CMS ERROR: {number}")


async def refuse(modem: Modem, *ids: str) -> None:
    for message_id in ids:
        assert isinstance(await send(modem, message_id=message_id), Refused)


def desk_with(wire: ScriptedModem, *more: ScriptedModem) -> Desk:
    """Its USB device can be reset, which helps nothing."""
    return Desk(wire, wire, wire, *more, usb="1-1.2", usb_power=FakeUsbPower())


async def exhaust(desk: Desk, modem: Modem) -> None:
    """Until it is let rest."""
    messages = iter(range(100))
    while modem.status.state is not ModemState.QUARANTINED:
        await refuse(modem, f"exhausting-{next(messages)}")
        await desk.until(lambda: modem.ready or modem.status.state is ModemState.QUARANTINED)


@pytest.mark.parametrize("number", [8, 38, 331, 500, 512])
@in_virtual_time
async def test_what_refuses_one_message_after_the_other_is_sent_off_the_network_and_back(number: int) -> None:
    wire = refusing(number)
    desk = Desk(wire)
    async with desk.ready() as modem:
        await refuse(modem, *(f"message-{number}" for number in range(ENOUGH)))
        assert modem.status.state is ModemState.RECOVERING
        assert await send(modem) == Refused("not-ready", Retry.LATER)
        await desk.until(lambda: modem.ready)
        assert wire.lines.count("AT+CFUN=4") == wire.lines.count("AT+CFUN=1") == 1
        incident = modem.status.health.incidents[0]
        assert (incident.fault, incident.cured_by) == (Fault.REFUSING, RecoveryStep.RADIO)
        assert len(desk.opened) == 1


@in_virtual_time
async def test_a_message_that_is_refused_each_time_it_comes_back_says_nothing_of_the_modem() -> None:
    async with Desk(refusing(38)).ready() as modem:
        await refuse(modem, *["poison"] * 10)
        assert modem.ready


@pytest.mark.parametrize("number", [1, 28, 30, 196])
@in_virtual_time
async def test_wrong_numbers_say_nothing_of_the_modem(number: int) -> None:
    async with Desk(refusing(number)).ready() as modem:
        await refuse(modem, *map(str, range(10)))
        assert modem.ready


@in_virtual_time
async def test_a_message_that_is_sent_between_them_begins_the_count_anew() -> None:
    wire = refusing(38)
    async with Desk(wire).ready() as modem:
        for number in range(6):
            await refuse(modem, *(f"{number}-{each}" for each in range(ENOUGH - 1)))
            wire.on_pdu = wire.accept
            assert isinstance(await send(modem), Sent)
            wire.on_pdu = lambda _: "+CMS ERROR: 38"
        assert modem.status.health.faults == 0


@in_virtual_time
async def test_messages_that_the_network_never_confirms_count_too() -> None:
    async with Desk(refusing(332)).ready() as modem:
        for number in range(ENOUGH):
            assert await send(modem, message_id=str(number)) == Unknown("cms-332")
        assert not modem.ready


@in_virtual_time
async def test_when_nothing_helps_it_rests_with_its_port_open_and_each_trial_costs_two_messages() -> None:
    wire = refusing(38)
    desk = desk_with(wire)
    async with desk.ready() as modem:
        await exhaust(desk, modem)
        assert (modem.ready, modem.recovering) == (False, False)
        assert modem.status.health.step is RecoveryStep.QUARANTINE
        assert "refuses every message" in modem.status.detail
        assert not wire.closed
        began, refused = now(), len(wire.pdus)
        await desk.until(lambda: modem.ready, 60)
        assert 24 <= now() - began <= 36
        await refuse(modem, *map(str, range(ENOUGH_ON_TRIAL)))
        assert len(wire.pdus) == refused + ENOUGH_ON_TRIAL
        await desk.until(lambda: modem.status.state is ModemState.QUARANTINED)
        began = now()
        await desk.until(lambda: modem.ready, 120)
        assert 48 <= now() - began <= 72
        wire.on_pdu = wire.accept
        assert isinstance(await send(modem), Sent)
        assert len(desk.opened) == 3  # not for its rests


@in_virtual_time
async def test_where_nothing_else_can_be_done_it_rests_at_once() -> None:
    desk = Desk(refusing(38))
    async with desk.ready() as modem:
        await refuse(modem, *map(str, range(ENOUGH)))
        await desk.until(lambda: modem.ready)
        await refuse(modem, *map(str, range(ENOUGH_ON_TRIAL)))
        await desk.until(lambda: modem.status.state is ModemState.QUARANTINED)
        assert "refuses every message" in modem.status.detail


@in_virtual_time
async def test_a_rest_ends_when_the_network_is_back() -> None:
    wire = refusing(38)
    desk = desk_with(wire)
    async with desk.ready() as modem:
        await exhaust(desk, modem)
        await asyncio.sleep(5)
        wire.say("\r\n+CREG: 2\r\n")
        await asyncio.sleep(5)
        assert modem.status.state is ModemState.QUARANTINED
        wire.say("\r\n+CREG: 1\r\n")
        began = now()
        await desk.until(lambda: modem.ready)
        assert now() - began < 0.1


@in_virtual_time
async def test_a_modem_at_rest_runs_errands() -> None:
    """Its SIM may have no credit: then the balance is what an administrator asks for."""

    async def ask(at: AtConversation, _dialect: Dialect) -> tuple[str, ...]:
        return await at.command("AT+CSQ")

    wire = refusing(38)
    desk = desk_with(wire)
    async with desk.ready() as modem:
        await exhaust(desk, modem)
        assert await modem.errand(ask) == ("+CSQ: 20,99",)
        assert modem.status.state is ModemState.QUARANTINED
        wire.hang_up()
        await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await modem.errand(ask)


@in_virtual_time
async def test_a_rest_ends_when_the_modem_is_pulled_out() -> None:
    wire = refusing(38)
    desk = desk_with(wire, ScriptedModem())
    async with desk.ready() as modem:
        await exhaust(desk, modem)
        wire.hang_up()
        await desk.until(lambda: modem.ready, 5)


@in_virtual_time
async def test_a_service_centre_that_got_lost_is_set_again_at_once() -> None:
    wire = ScriptedModem({"AT+CMGS=19": "+CMS ERROR: 330"})
    desk = Desk(wire)
    async with desk.ready() as modem:
        wire.answers["AT+CSCA?"] = '+CSCA: "",129\r\nOK'
        began = now()
        assert await send(modem) == Refused("cms-330", Retry.LATER)
        del wire.answers["AT+CMGS=19"]
        await desk.until(lambda: modem.ready)
        assert now() - began < 0.1
        assert 'AT+CSCA="+62816124",145' in wire.lines
        assert (modem.status.smsc, modem.status.health.faults) == ("+62816124", 0)
        assert await send(modem) == Sent((1,))


@in_virtual_time
async def test_the_service_centre_of_another_sim_is_never_set() -> None:
    wire = ScriptedModem({"AT+CMGS=19": "+CMS ERROR: 330"})
    desk = Desk(wire)
    async with desk.ready() as modem:
        wire.answers |= {"AT+CSCA?": '+CSCA: "",129\r\nOK', "AT+CCID": "+CCID: 8962100000000000099\r\nOK"}
        await refuse(modem, "id")
        await desk.until(lambda: modem.ready)
        assert not [line for line in wire.lines if line.startswith("AT+CSCA=")]
        assert "smsc" in modem.status.detail


@in_virtual_time
async def test_a_full_store_is_noted() -> None:
    async with Desk(refusing(322)).ready() as modem:
        assert await send(modem) == Refused("cms-322", Retry.LATER)
        assert modem.status.notes == ("store-full",)
        assert modem.ready
