"""The simulator's USSD: menus, ways of writing, ends of a session, and what it counts."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from otpbroker.modem.simulator import Phone, SimulatedModem, identity_of
from otpbroker.modem.simulator.behaviour import Behaviour
from otpbroker.sms.submit import encode_submit
from otpbroker.sms.ussd import Writing, read, write
from pty_terminal import RECEIVER, Terminal

TEXT = "Sisa pulsa Rp 12.345"
MENU = {"text": "1. Pulsa", "replies": {"1": TEXT, "2": {"text": "lagi", "replies": {"9": "habis"}}}}
PDU = encode_submit(RECEIVER, "Kode 123456", reference=0, life=300)[0]


@pytest.fixture
async def modem() -> AsyncIterator[SimulatedModem]:
    modem = SimulatedModem(identity_of(1), Phone())
    modem.plug()
    yield modem
    modem.close()


@pytest.fixture
async def terminal(modem: SimulatedModem) -> AsyncIterator[Terminal]:
    assert modem.path is not None
    with Terminal(modem.path) as terminal:
        await terminal.whole("ATE0;+CMEE=1")
        yield terminal


async def asked(terminal: Terminal, string: str) -> str:
    """The unsolicited line to a string."""
    terminal.type(f'AT+CUSD=1,"{string}",15\r'.encode())
    await terminal.until("OK\r\n\r\n+CUSD: ")
    return (await terminal.until("\r\n")).decode().strip()


async def test_a_menu_is_a_tree(terminal: Terminal, modem: SimulatedModem) -> None:
    modem.change(ussd={"*123#": MENU})
    assert await asked(terminal, "*123#") == '1,"1. Pulsa",15'
    assert await asked(terminal, "2") == '1,"lagi",15'
    assert await asked(terminal, "9") == '0,"habis",15'
    assert await asked(terminal, "*123#") == '1,"1. Pulsa",15'
    assert await asked(terminal, "7") == "2"  # not on the menu: the network ends it
    assert modem.counters.ussd_cancelled == 0


@pytest.mark.parametrize(
    ("gives", "dcs"), [("plain", 15), ("packed", 15), ("ucs2", 72), ("octets", 68), ("charset", 15)]
)
async def test_it_writes_in_every_way(terminal: Terminal, modem: SimulatedModem, gives: str, dcs: int) -> None:
    modem.change(ussd={"*1#": TEXT}, ussd_gives=gives)
    mode, string, coding = (await asked(terminal, "*1#")).replace('"', "").rsplit(",", 2)
    assert (mode, int(coding)) == ("0", dcs)
    assert read(string, dcs) == TEXT


async def test_a_modem_for_packed_septets_reads_nothing_else(terminal: Terminal, modem: SimulatedModem) -> None:
    modem.change(ussd={"*1#": TEXT}, ussd_takes="packed")
    assert await terminal.whole('AT+CUSD=1,"*1#",15') == "\r\n+CME ERROR: 50\r\n"
    assert await asked(terminal, write("*1#", Writing.PACKED)) == f'0,"{TEXT}",15'


async def test_a_modem_for_units_reads_them_under_their_character_set(
    terminal: Terminal, modem: SimulatedModem
) -> None:
    modem.change(ussd={"*1#": TEXT}, ussd_takes="ucs2", ussd_gives="plain")
    units = write("*1#", Writing.UCS2)
    assert await terminal.whole(f'AT+CUSD=1,"{units}",15') == "\r\n+CME ERROR: 50\r\n"
    await terminal.whole('AT+CSCS="UCS2"')
    assert await asked(terminal, units) == f'0,"{TEXT}",15'


async def test_a_text_may_have_line_ends(terminal: Terminal, modem: SimulatedModem) -> None:
    modem.change(ussd={"*1#": "satu\ndua"})
    terminal.type(b'AT+CUSD=1,"*1#",15\r')
    assert (await terminal.until('",15\r\n')).endswith(b'+CUSD: 0,"satu\ndua",15\r\n')


async def test_a_network_may_be_silent_or_slow_or_impatient(terminal: Terminal, modem: SimulatedModem) -> None:
    modem.change(ussd={"*1#": {"silent": True}, "*2#": {"text": "pelan", "delay": 0.1}, "*3#": MENU})
    await terminal.whole('AT+CUSD=1,"*1#",15')
    assert await terminal.whole("AT+CUSD=2") == "\r\nOK\r\n"
    assert modem.counters.ussd_cancelled == 1
    assert await asked(terminal, "*2#") == '0,"pelan",15'
    modem.change(ussd_patience=0.05)
    assert await asked(terminal, "*3#") == '1,"1. Pulsa",15'
    assert b"+CUSD: 2\r\n" in await terminal.until("+CUSD: 2\r\n")


async def test_a_cancelled_code_is_not_answered(terminal: Terminal, modem: SimulatedModem) -> None:
    modem.change(ussd={"*1#": {"text": TEXT, "delay": 0.05}})
    await terminal.whole('AT+CUSD=1,"*1#",15')
    await terminal.whole("AT+CUSD=2")
    await asyncio.sleep(0.1)
    assert await terminal.whole("AT") == "\r\nOK\r\n"


async def test_a_message_in_the_middle_of_a_session_is_counted(terminal: Terminal, modem: SimulatedModem) -> None:
    modem.change(ussd={"*123#": MENU})
    await terminal.whole("AT+CMGF=0")
    await terminal.send("Kode 1")
    assert modem.counters.ussd_clashes == 0
    assert await asked(terminal, "*123#") == '1,"1. Pulsa",15'
    await terminal.send("Kode 2")
    assert modem.counters.ussd_clashes == 1
    await terminal.whole("AT+CUSD=2")
    await terminal.send("Kode 3")
    assert modem.counters.ussd_clashes == 1


async def test_a_restart_ends_the_session(terminal: Terminal, modem: SimulatedModem) -> None:
    modem.change(ussd={"*123#": MENU}, boot=0.0)
    await asked(terminal, "*123#")
    modem.reset()
    await terminal.until("SMS Ready")
    await terminal.whole("ATE0")
    assert await asked(terminal, "1") == f'0,"{modem.identity.operator}: 1",15'  # a code of its own


@pytest.mark.parametrize(
    "wrong",
    [
        {"*1#": {"text": "x", "nope": 1}},
        {"*1#": {"mode": 6}},
        {"*1#": {"text": "x" * 183}},
        {"*1#": {"replies": {"1": {"delay": -1}}}},
        {"*1#": 5},
    ],
)
def test_a_wrong_menu_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"\*1#"):
        Behaviour().changed({"ussd": wrong})


async def test_the_pin_of_a_card_whose_lock_is_off_cannot_be_changed(
    terminal: Terminal, modem: SimulatedModem
) -> None:
    assert await terminal.whole('AT+CPWD="SC","1234","9999"') == "\r\n+CME ERROR: 3\r\n"
    await terminal.whole('AT+CLCK="SC",1,"1234"')
    assert await terminal.whole('AT+CPWD="SC","1234","9999"') == "\r\nOK\r\n"
    assert (modem.sim.pin, modem.sim.pin_left) == ("9999", 3)
    assert await terminal.whole('AT+CPWD="SC","1234","0000"') == "\r\n+CME ERROR: 16\r\n"
    assert modem.sim.pin_left == 2
