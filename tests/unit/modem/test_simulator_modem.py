"""The conversation that a well-behaved simulated modem has, seen from its port."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from otpbroker.clock import Clock
from otpbroker.modem.simulator import Behaviour, Phone, SimCard, SimulatedModem, identity_of
from otpbroker.sms.submit import encode_submit
from pty_terminal import RECEIVER, Terminal

PDU = encode_submit(RECEIVER, "Kode 123456", reference=0, life=300)[0]


@pytest.fixture
def phone() -> Phone:
    return Phone()


@pytest.fixture
async def modem(phone: Phone) -> AsyncIterator[SimulatedModem]:
    modem = SimulatedModem(identity_of(1), phone, clock=Clock(now=lambda: 1_800_000_000.0))
    modem.plug()
    yield modem
    modem.close()


@pytest.fixture
async def terminal(modem: SimulatedModem) -> AsyncIterator[Terminal]:
    """On the modem's port, echo off."""
    assert modem.path is not None
    with Terminal(modem.path) as terminal:
        await terminal.whole("ATE0")
        yield terminal


async def test_it_echoes_until_it_is_told_not_to(modem: SimulatedModem) -> None:
    assert modem.path is not None
    with Terminal(modem.path) as terminal:
        assert await terminal.whole("at") == "at\r\r\nOK\r\n"
        assert await terminal.whole("ATE0") == "ATE0\r\r\nOK\r\n"
        assert await terminal.whole("AT") == "\r\nOK\r\n"
        assert await terminal.whole("ATE1") == "\r\nOK\r\n"
        assert await terminal.whole("AT") == "AT\r\r\nOK\r\n"


async def test_it_echoes_while_a_person_types(modem: SimulatedModem) -> None:
    assert modem.path is not None
    with Terminal(modem.path) as terminal:
        terminal.type(b"AT+C")
        assert await terminal.until("AT+C") == b"AT+C"
        terminal.type(b"SQ\r")
        assert await terminal.until("OK\r\n") == b"SQ\r\r\n+CSQ: 20,99\r\n\r\nOK\r\n"


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("AT", "\r\nOK\r\n"),
        ("AT+CGSN", "\r\n004401010000012\r\n\r\nOK\r\n"),
        ("AT+CIMI", "\r\n510100000000001\r\n\r\nOK\r\n"),
        ("AT+CCID", "\r\n+CCID: 8962100000000000010\r\n\r\nOK\r\n"),
        ("AT^ICCID?", "\r\n^ICCID: 8962100000000000010\r\n\r\nOK\r\n"),
        ("AT+ICCID", "\r\n+ICCID: 8962100000000000010\r\n\r\nOK\r\n"),
        ("AT+CNUM", '\r\n+CNUM: "","+6281200000001",145\r\n\r\nOK\r\n'),
        ("AT+CPIN?", "\r\n+CPIN: READY\r\n\r\nOK\r\n"),
        ("AT+CREG?", "\r\n+CREG: 0,1\r\n\r\nOK\r\n"),
        ("AT+CREG=2;+CREG?", '\r\n+CREG: 2,1,"00C3","0A1B2C",7\r\n\r\nOK\r\n'),
        ("AT+CEREG?;+CGREG?", "\r\n+CEREG: 0,1\r\n\r\n+CGREG: 0,1\r\n\r\nOK\r\n"),
        ("AT+COPS?", '\r\n+COPS: 0,0,"TELKOMSEL",7\r\n\r\nOK\r\n'),
        ("AT+COPS=3,2;+COPS?", '\r\n+COPS: 0,2,"51010",7\r\n\r\nOK\r\n'),
        ("AT+CSQ", "\r\n+CSQ: 20,99\r\n\r\nOK\r\n"),
        ("AT+CSCA?", '\r\n+CSCA: "+6281100000",145\r\n\r\nOK\r\n'),
        ("AT+CPMS=?", '\r\n+CPMS: ("SM","ME","MT","SR"),("SM","ME","MT"),("SM","ME","MT")\r\n\r\nOK\r\n'),
        (
            'AT+CPMS="ME";+CPMS?',
            '\r\n+CPMS: 0,20,0,20,0,20\r\n\r\n+CPMS: "ME",0,20,"SM",0,20,"SM",0,20\r\n\r\nOK\r\n',
        ),
        ("AT+CSMS=1", "\r\n+CSMS: 1,1,1\r\n\r\nOK\r\n"),
        ("AT+CMGF=?", "\r\n+CMGF: (0-1)\r\n\r\nOK\r\n"),
        ("AT+CMGF?", "\r\n+CMGF: 0\r\n\r\nOK\r\n"),
        ("AT+CMMS=2;+CMMS?", "\r\n+CMMS: 2\r\n\r\nOK\r\n"),
        ('AT+CSCS="UCS2";+CSCS?', '\r\n+CSCS: "UCS2"\r\n\r\nOK\r\n'),
        ("AT+CPMS?", '\r\n+CPMS: "SM",0,20,"SM",0,20,"SM",0,20\r\n\r\nOK\r\n'),
        ("AT+CNMI=2,1,0,1,0;+CNMI?", "\r\n+CNMI: 2,1,0,1,0\r\n\r\nOK\r\n"),
        ('AT+CLCK="SC",2', "\r\n+CLCK: 0\r\n\r\nOK\r\n"),
        ("AT+CPAS", "\r\n+CPAS: 0\r\n\r\nOK\r\n"),
        ("AT+CFUN?", "\r\n+CFUN: 1\r\n\r\nOK\r\n"),
        ("AT+CMGL=4", "\r\nOK\r\n"),
    ],
)
async def test_it_answers(terminal: Terminal, line: str, answer: str) -> None:
    assert await terminal.whole(line) == answer


@pytest.mark.parametrize("line", ["ATZ", "AT&F"])
async def test_a_reset_brings_the_defaults_back(terminal: Terminal, line: str) -> None:
    await terminal.whole("AT+CMGF=1;+CMEE=2")
    await terminal.whole(line)

    assert await terminal.whole("AT+CMGF?;+CMEE?") == (
        "AT+CMGF?;+CMEE?\r\r\n+CMGF: 0\r\n\r\n+CMEE: 0\r\n\r\nOK\r\n"
    )


async def test_its_clock_is_the_one_it_was_given(terminal: Terminal) -> None:
    local = datetime.fromtimestamp(1_800_000_000, UTC).astimezone()

    assert local.strftime('+CCLK: "%y/%m/%d,%H:%M:%S') in await terminal.whole("AT+CCLK?")


@pytest.mark.parametrize(
    ("line", "plain", "numeric", "verbose"),
    [
        ("AT+FOO", "ERROR", "+CME ERROR: 4", "+CME ERROR: not supported"),
        ("AT+CMEE=7", "ERROR", "+CME ERROR: 50", "+CME ERROR: invalid parameter"),
        ("AT=", "ERROR", "+CME ERROR: 4", "+CME ERROR: not supported"),
        ("AT+CMGR=3", *["+CMS ERROR: 321"] * 3),
        ("AT+CMGS=3", *["+CMS ERROR: 304"] * 3),
        ('AT+CPMS="SM","SR"', *["+CMS ERROR: 302"] * 3),
        ("AT+CNMA", *["+CMS ERROR: 340"] * 3),
        ("AT+CMGW=20", *["+CMS ERROR: 302"] * 3),
    ],
)
async def test_errors_are_reported_as_asked(
    terminal: Terminal, line: str, plain: str, numeric: str, verbose: str
) -> None:
    for reporting, expected in enumerate((plain, numeric, verbose)):
        await terminal.whole(f"AT+CMEE={reporting}")
        assert await terminal.whole(line) == f"\r\n{expected}\r\n"


async def test_a_line_ends_at_its_first_error(terminal: Terminal) -> None:
    assert await terminal.whole("AT+CSQ;+FOO;+CMGF=1") == "\r\n+CSQ: 20,99\r\n\r\nERROR\r\n"
    assert "+CMGF: 0" in await terminal.whole("AT+CMGF?")


async def test_numeric_and_quiet_results(terminal: Terminal) -> None:
    terminal.type(b"ATV0\r")
    assert await terminal.until("0\r") == b"0\r"
    terminal.type(b"AT+FOO\r")
    assert await terminal.until("4\r") == b"4\r"
    terminal.type(b"ATQ1\rAT\rATQ0\r")
    assert await terminal.until("0\r") == b"0\r"  # of the last line alone


async def test_several_lines_in_one_write_are_answered_in_turn(terminal: Terminal) -> None:
    terminal.type(b"AT+CSQ\rAT+FOO\r\nAT\r")

    assert await terminal.until("ERROR\r\n") == b"\r\n+CSQ: 20,99\r\n\r\nOK\r\n\r\nERROR\r\n"
    assert await terminal.until("OK\r\n") == b"\r\nOK\r\n"


async def test_an_sms_reaches_the_phone(terminal: Terminal, phone: Phone, modem: SimulatedModem) -> None:
    await terminal.submit(PDU)
    assert await terminal.until("OK\r\n") == b"\r\n+CMGS: 0\r\n\r\nOK\r\n"

    (message,) = phone.messages
    assert (message.receiver, message.text, message.modem) == (RECEIVER, "Kode 123456", "modem-1")
    assert message.validity == 300
    assert (modem.counters.cmgs, modem.counters.cmgw) == (1, 0)


async def test_references_go_round(terminal: Terminal) -> None:
    references = [(await terminal.send("Kode"))[0] for _ in range(257)]

    assert references == [f"+CMGS: {number % 256}" for number in range(257)]


async def test_escape_takes_the_message_back(terminal: Terminal, phone: Phone, modem: SimulatedModem) -> None:
    terminal.type(b"AT+CMGS=20\r")
    await terminal.until("\r\n> ")
    terminal.type(PDU[:10].encode() + b"\x1b")
    assert await terminal.until("OK\r\n") == b"\r\nOK\r\n"

    assert phone.received == 0
    assert modem.counters.cmgs == 0
    assert await terminal.whole("AT") == "\r\nOK\r\n"


@pytest.mark.parametrize("broken", [PDU[:-2], PDU + "00", "00" + PDU, PDU[:-1] + "x", "Kode 123456", ""])
async def test_a_pdu_that_is_none_is_refused(terminal: Terminal, phone: Phone, broken: str) -> None:
    terminal.type(f"AT+CMGS={len(PDU) // 2 - 1}\r".encode())
    await terminal.until("\r\n> ")
    terminal.type(broken.encode() + b"\x1a")

    assert await terminal.until("\r\n+CMS ERROR: 304\r\n")
    assert phone.received == 0


async def test_a_message_by_text_mode(terminal: Terminal, phone: Phone) -> None:
    await terminal.whole("AT+CMGF=1")
    terminal.type(b'AT+CMGS="+6281234567890"\r')
    await terminal.until("\r\n> ")
    terminal.type(b"Kode 123456\x1a")
    await terminal.until("OK\r\n")

    assert [(message.receiver, message.text) for message in phone.messages] == [(RECEIVER, "Kode 123456")]


async def test_ussd_is_answered_later_in_the_charset_of_the_terminal(
    terminal: Terminal, modem: SimulatedModem
) -> None:
    modem.change(ussd={"*123#": "Pulsa Rp 5000"})
    terminal.type(b'AT+CUSD=1,"*123#",15\r')
    assert await terminal.until("15\r\n") == b'\r\nOK\r\n\r\n+CUSD: 0,"Pulsa Rp 5000",15\r\n'

    await terminal.whole('AT+CSCS="UCS2"')
    terminal.type(f'AT+CUSD=1,"{"*123#".encode("utf-16-be").hex()}",15\r'.encode())
    answer = (await terminal.until("72\r\n")).decode()
    assert "Pulsa Rp 5000".encode("utf-16-be").hex().upper() in answer


async def test_a_locked_card_asks_for_its_pin_and_lets_nothing_through(phone: Phone) -> None:
    modem = SimulatedModem(identity_of(1), phone, sim=SimCard(pin="4711", locked=True))
    with Terminal(modem.plug()) as terminal:
        await terminal.whole("ATE0;+CMEE=1")
        assert "+CPIN: SIM PIN" in await terminal.whole("AT+CPIN?")
        assert "+CREG: 0,0" in await terminal.whole("AT+CREG?")
        assert await terminal.whole("AT+CIMI") == "\r\n+CME ERROR: 11\r\n"
        assert await terminal.whole("AT+CMGS=20") == "\r\n+CMS ERROR: 311\r\n"
        assert await terminal.whole('AT+CPIN="0000"') == "\r\n+CME ERROR: 16\r\n"
        assert "+CPINR: SIM PIN,2,3" in await terminal.whole("AT+CPINR")
        assert await terminal.whole('AT+CPIN="4711"') == "\r\nOK\r\n"
        assert "+CREG: 0,1" in await terminal.whole("AT+CREG?")
        assert modem.counters.pin_tries == 2
    modem.close()


async def test_a_facility_lock_makes_the_next_power_up_ask(terminal: Terminal, modem: SimulatedModem) -> None:
    assert "OK" in await terminal.whole('AT+CLCK="SC",1,"1234"')
    assert "READY" in await terminal.whole("AT+CPIN?")
    with Terminal(modem.plug()) as again:
        assert "SIM PIN" in await again.whole("AT+CPIN?")


async def test_an_incoming_sms_is_stored_announced_read_and_deleted(
    terminal: Terminal, modem: SimulatedModem
) -> None:
    await terminal.whole("AT+CNMI=2,1,0,0,0")
    modem.deliver("+6281100000000", "Halo")
    assert await terminal.until("1\r\n") == b'\r\n+CMTI: "SM",1\r\n'

    listed = await terminal.ask("AT+CMGL=4")
    assert listed[:2] == ["+CMGL:", "1,0,,24"]
    assert listed[2].startswith("0004")
    assert (await terminal.ask("AT+CMGR=1"))[1] == "1,,24"  # read by now
    assert await terminal.whole("AT+CMGD=1") == "\r\nOK\r\n"
    assert modem.stored == 0


async def test_an_incoming_sms_may_be_shown_at_once(terminal: Terminal, modem: SimulatedModem) -> None:
    await terminal.whole("AT+CNMI=2,2,0,1,0")
    modem.deliver("+6281100000000", "Halo")

    assert (await terminal.until("\r\n")) + (await terminal.until("\r\n")) == b"\r\n+CMT: ,24\r\n"
    assert modem.stored == 0


async def test_registration_changes_are_announced_to_who_asked(terminal: Terminal, modem: SimulatedModem) -> None:
    modem.change(registration=2)
    assert "+CREG: 0,2" in await terminal.whole("AT+CREG?")
    await terminal.whole("AT+CREG=1")
    modem.change(registration=5)

    assert await terminal.until("5\r\n") == b"\r\n+CREG: 5\r\n"


async def test_without_network_nothing_is_sent(terminal: Terminal, modem: SimulatedModem) -> None:
    modem.change(registration=3)
    assert await terminal.whole("AT+CMGS=20") == "\r\n+CMS ERROR: 331\r\n"
    modem.change(registration=1)
    await terminal.whole("AT+CFUN=4")

    assert await terminal.whole("AT+CMGS=20") == "\r\n+CMS ERROR: 331\r\n"


async def test_without_service_centre_nothing_is_sent_until_one_is_set(
    terminal: Terminal, modem: SimulatedModem
) -> None:
    modem.change(smsc_missing=True)
    assert '+CSCA: "",129' in await terminal.whole("AT+CSCA?")
    assert await terminal.whole("AT+CMGS=20") == "\r\n+CMS ERROR: 330\r\n"
    await terminal.whole('AT+CSCA="+6281100000"')

    assert (await terminal.send("Kode"))[-1] == "OK"


async def test_the_port_outlives_its_client_and_so_do_the_settings(modem: SimulatedModem) -> None:
    assert modem.path is not None
    with Terminal(modem.path) as first:
        await first.whole("ATE0")
    with Terminal(modem.path) as second:
        assert await second.whole("AT") == "\r\nOK\r\n"


async def test_knobs_that_do_not_exist_or_do_not_fit_are_refused(modem: SimulatedModem) -> None:
    before = modem.behaviour
    for knobs in ({"foo": 1}, {"air": "long"}, {"air": -1}, {"next_sends": ["explode"]}, {"signal": 100}):
        with pytest.raises(ValueError, match=next(iter(knobs))):
            modem.change(**knobs)

    assert modem.behaviour is before


def test_behaviour_is_compared_by_value() -> None:
    assert Behaviour() == Behaviour().changed({})
