"""The nastier faults of a simulated modem: half dead, forgotten settings, cards taken out and swapped."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from otpbroker.modem.simulator import Phone, SimCard, SimulatedModem, identity_of
from otpbroker.sms.submit import encode_submit
from pty_terminal import RECEIVER, Terminal

PDU = encode_submit(RECEIVER, "Kode 123456", reference=0, life=300)[0]


@pytest.fixture
def phone() -> Phone:
    return Phone()


@pytest.fixture
async def modem(phone: Phone) -> AsyncIterator[SimulatedModem]:
    modem = SimulatedModem(identity_of(1), phone, sim=SimCard(pin="4711"))
    modem.plug()
    yield modem
    modem.close()


@pytest.fixture
async def terminal(modem: SimulatedModem) -> AsyncIterator[Terminal]:
    assert modem.path is not None
    with Terminal(modem.path) as terminal:
        await terminal.whole("ATE0")
        yield terminal


async def test_a_half_dead_port_answers_all_but_the_command_to_send(
    terminal: Terminal, modem: SimulatedModem, phone: Phone
) -> None:
    modem.change(every_send="ignored")
    terminal.type(b"AT+CMGS=20\r")

    assert await terminal.whole("AT+CSQ") == "\r\n+CSQ: 20,99\r\n\r\nOK\r\n"
    assert (modem.counters.prompts, modem.counters.cmgs) == (0, 0)


async def test_a_mute_modem_works_on(terminal: Terminal, modem: SimulatedModem, phone: Phone) -> None:
    modem.change(air=0.02)
    await terminal.submit(PDU)
    modem.change(mute=True)
    await phone.wait_for(lambda _: True, within=5)
    modem.change(mute=False)

    assert await terminal.whole("AT") == "\r\nOK\r\n"  # and not the answer to the message


async def test_a_modem_may_restart_where_the_prompt_should_come(
    terminal: Terminal, modem: SimulatedModem, phone: Phone
) -> None:
    modem.change(next_sends=["reset-first"], boot=0.01)
    terminal.type(b"AT+CMGS=20\r")

    assert await terminal.until("SMS Ready\r\n") == b"\r\n+CPIN: READY\r\n\r\nSMS Ready\r\n"
    assert modem.counters.prompts == 0


async def test_a_restart_may_go_untold(terminal: Terminal, modem: SimulatedModem) -> None:
    modem.change(boot=0.0, boot_told=False)
    modem.reset()

    assert await terminal.whole("AT+CMEE?") == "AT+CMEE?\r\r\n+CMEE: 0\r\n\r\nOK\r\n"


async def test_it_may_forget_its_settings_without_a_word(terminal: Terminal, modem: SimulatedModem) -> None:
    await terminal.whole("AT+CMEE=1")
    modem.forget()

    assert await terminal.whole("AT+CMEE?") == "AT+CMEE?\r\r\n+CMEE: 0\r\n\r\nOK\r\n"


async def test_garbage_comes_in_bursts_that_nobody_asked_for(terminal: Terminal, modem: SimulatedModem) -> None:
    modem.change(garbage=0.001)
    seen = bytearray()
    async with asyncio.timeout(5):
        while not {b"\r", b"\n", b">", b"\xff"} <= {bytes([octet]) for octet in seen}:
            seen += await terminal.until("\r")
    modem.change(garbage=0.0)
    await terminal.ask("AT")

    assert await terminal.whole("AT") == "\r\nOK\r\n"


async def test_a_card_that_is_put_back_asks_for_its_pin(terminal: Terminal, modem: SimulatedModem) -> None:
    await terminal.whole("AT+CREG=1")
    modem.sim.locked = True
    modem.reseat()

    assert await terminal.until("+CREG: 0\r\n") == (
        b"\r\n+CPIN: NOT READY\r\n\r\n+CPIN: SIM PIN\r\n\r\n+CREG: 0\r\n"
    )


async def test_a_card_may_be_put_back_without_a_word(terminal: Terminal, modem: SimulatedModem) -> None:
    modem.sim.locked = True
    modem.reseat(told=False)

    assert await terminal.whole("AT+CMGS=20") == "\r\n+CMS ERROR: 311\r\n"


async def test_swapped_cards_take_number_and_operator_along_and_leave_the_imei(phone: Phone) -> None:
    first, second = SimulatedModem(identity_of(1), phone), SimulatedModem(identity_of(2), phone)
    second.plug()
    second.deliver("+6281100000000", "Halo")
    with pytest.raises(ValueError, match="pull both"):
        first.swap_cards(second)
    second.unplug()
    first.sim.locked = True
    first.swap_cards(second)

    one, two = identity_of(1), identity_of(2)
    assert (first.identity.imei, first.identity.imsi, first.identity.iccid) == (one.imei, two.imsi, two.iccid)
    assert (second.identity.imei, second.identity.msisdn, second.identity.smsc) == (two.imei, one.msisdn, one.smsc)
    assert (first.stored, second.stored) == (1, 0)
    assert (first.sim.locked, second.sim.locked) == (False, True)
