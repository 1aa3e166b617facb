"""USSD on one modem: every writing and every end of a session, replies, and never in a message's way."""

import asyncio

import pytest
from modem_desk import Desk, send
from scripted_modem import ScriptedModem
from ussd_wire import BALANCE, CODE, MENU, SAID, UssdWire, failure

from otpbroker.errors import OtpBrokerError, Rejected, Unavailable, UnknownOutcome
from otpbroker.events import ModemState
from otpbroker.modem.ussd_dialogue import ANSWER_LIMIT
from otpbroker.sms.submission import Sent
from otpbroker.sms.ussd import Writing, write
from virtual_run import in_virtual_time, now

PACKED, UNITS = write(CODE, Writing.PACKED), write(CODE, Writing.UCS2)


@in_virtual_time
async def test_a_code_is_answered() -> None:
    wire = UssdWire({CODE: SAID})
    async with Desk(wire).ready() as modem:
        answer = await modem.ussd.run(CODE)
        assert (answer.text, answer.raw, answer.replyable) == (BALANCE, SAID, False)
        assert not modem.ussd.open
        await asyncio.sleep(0)
        assert modem.status.state is ModemState.READY
        assert wire.released == 0  # the network has released it


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (f'+CUSD: 0,"{write(BALANCE, Writing.PACKED)}",15', BALANCE),
        (f'+CUSD: 0,"{write(BALANCE, Writing.UCS2)}",72', BALANCE),
        (f'+CUSD: 0,"{BALANCE.encode().hex()}",68', BALANCE),
        (f'+CUSD: 0,"{BALANCE}",0', BALANCE),
        (f'+CUSD: 0,"{BALANCE}"', BALANCE),
        (f'+CUSD:0, "{BALANCE}", 15', BALANCE),
        ('+CUSD: 0,"Paket "Hemat", Rp 5",15', 'Paket "Hemat", Rp 5'),
        (
            '+CUSD: 0,"Pulsa Rp 5\r\nKetik *1# utk paket\n\nInfo 817",15',
            "Pulsa Rp 5\nKetik *1# utk paket\nInfo 817",
        ),
        ('+CUSD: 0,"Pulsa\r\n> Rp 5\r\nOKE"', "Pulsa\n> Rp 5\nOKE"),
        ('+CUSD: 0,""', ""),
        ("+CUSD: 0", ""),
        (f'+CUSD: 2,"{BALANCE}",15', BALANCE),  # ended by the network with its last word, as many modems say it
        (f'+CUSD: 6,"{BALANCE}",15', BALANCE),  # in no standard
    ],
)
@in_virtual_time
async def test_every_way_to_say_it(said: str, text: str) -> None:
    async with Desk(UssdWire({CODE: said})).ready() as modem:
        answer = await modem.ussd.run(CODE)
        assert answer.text == text
        assert not answer.replyable


@pytest.mark.parametrize("piece", [1, 7])
@in_virtual_time
async def test_a_text_with_line_ends_in_pieces_and_with_unsolicited_lines_in_it(piece: int) -> None:
    wire = UssdWire({CODE: '+CUSD: 0,"Pulsa\r\n+CREG: 1\r\nA\r\nRp 5",15'})
    wire.piece = piece
    async with Desk(wire).ready() as modem:
        assert (await modem.ussd.run(CODE)).text == "Pulsa\nA\nRp 5"
        assert modem.ready


@in_virtual_time
async def test_an_answer_that_comes_before_the_ok() -> None:
    """Sony Ericsson (gammu issue 150): inside of the command's own answer, without a data coding scheme."""
    wire = UssdWire(
        {}, answers={f'AT+CUSD=1,"{CODE}",15': '+CUSD: 0," Vash balans 968.98 r.\nPodkl.: *320#"\r\n\r\nOK'}
    )
    async with Desk(wire).ready() as modem:
        assert (await modem.ussd.run(CODE)).text == " Vash balans 968.98 r.\nPodkl.: *320#"


@in_virtual_time
async def test_a_text_whose_quote_is_missing_ends_with_its_command() -> None:
    wire = UssdWire({}, answers={f'AT+CUSD=1,"{CODE}",15': '+CUSD: 0,"Pulsa\r\nRp 5\r\n\r\nOK'})
    async with Desk(wire).ready() as modem:
        assert (await modem.ussd.run(CODE)).text == "Pulsa\nRp 5"
        assert isinstance(await send(modem), Sent)


@pytest.mark.parametrize("writing", [Writing.PACKED, Writing.UCS2])
@pytest.mark.parametrize("error", ["ERROR", "+CME ERROR: 50", "+CME ERROR: incorrect parameters"])
@in_virtual_time
async def test_the_writing_that_the_modem_takes_is_found_and_remembered(writing: Writing, error: str) -> None:
    written = write(CODE, writing)
    wire = UssdWire({written: SAID}, refuses=lambda string: None if string == written else "ERROR")
    async with Desk(wire).ready() as modem:
        assert (await modem.ussd.run(CODE)).text == BALANCE
        tries = len(wire.asked)
        assert wire.asked == [CODE, PACKED, UNITS][:tries]
        assert (await modem.ussd.run(CODE)).text == BALANCE
        assert wire.asked[tries:] == [written]
        wire.hang_up()
        await asyncio.sleep(5)
        assert (await modem.ussd.run(CODE)).text == BALANCE
        assert wire.asked[tries + 1 :] == [written]


@in_virtual_time
async def test_another_stick_in_its_place_may_take_another_writing() -> None:
    plain = UssdWire({CODE: SAID})
    packed = UssdWire({PACKED: SAID}, refuses=lambda string: None if string == PACKED else "ERROR")
    desk = Desk(plain, packed)
    async with desk.ready() as modem:
        assert (await modem.ussd.run(CODE)).text == BALANCE
        plain.hang_up()
        await desk.until(lambda: modem.ready and plain.closed)
        await asyncio.sleep(5)
        assert (await modem.ussd.run(CODE)).text == BALANCE
        assert (await modem.ussd.run(CODE)).text == BALANCE
        assert packed.asked == [CODE, PACKED, PACKED]


@in_virtual_time
async def test_a_modem_that_passes_anything_on_is_found_out_by_the_networks_word() -> None:
    wire = UssdWire({CODE: "+CUSD: 4", PACKED: SAID})
    async with Desk(wire).ready() as modem:
        assert (await modem.ussd.run(CODE)).text == BALANCE


@in_virtual_time
async def test_sixteen_bit_units_are_used_under_their_character_set_which_is_put_back() -> None:
    wire = UssdWire(
        {UNITS: SAID},
        refuses=lambda string: None if string == UNITS else "ERROR",
        answers={"AT+CSCS?": '+CSCS: "IRA"\r\nOK', f'AT+CSCS="{write("IRA", Writing.UCS2)}"': "ERROR"},
    )
    async with Desk(wire).ready() as modem:
        assert (await modem.ussd.run(CODE)).text == BALANCE
        await asyncio.sleep(0.1)
        said = [line for line in wire.lines if "CSCS" in line or "CUSD" in line]
        assert said[-5:] == [
            "AT+CSCS?",
            'AT+CSCS="UCS2"',
            f'AT+CUSD=1,"{UNITS}",15',
            f'AT+CSCS="{write("IRA", Writing.UCS2)}"',
            'AT+CSCS="IRA"',
        ]


@in_virtual_time
async def test_huawei_sticks_get_packed_septets_first() -> None:
    wire = UssdWire({PACKED: SAID}, answers={"AT+CGMI": "huawei\r\nOK"})
    async with Desk(wire).ready() as modem:
        assert (await modem.ussd.run(CODE)).text == BALANCE
        assert wire.asked == [PACKED]


@pytest.mark.parametrize(
    ("said", "family", "code"),
    [
        ("+CUSD: 2", Unavailable, "ussd-terminated"),
        ('+CUSD: 3,""', Unavailable, "ussd-other-client"),
        ("+CUSD: 4", Rejected, "ussd-not-supported"),
        ("+CUSD: 5", UnknownOutcome, "ussd-timeout"),
        (None, UnknownOutcome, "ussd-timeout"),
    ],
)
@in_virtual_time
async def test_ends_without_an_answer(said: str | None, family: type[OtpBrokerError], code: str) -> None:
    desk = Desk(UssdWire({CODE: said, PACKED: said, UNITS: said}))
    async with desk.ready() as modem:
        error = await failure(modem.ussd.run(CODE))
        assert isinstance(error, family)
        assert error.code == code
        await desk.until(lambda: modem.ready)
        assert isinstance(await send(modem), Sent)


@pytest.mark.parametrize(
    ("error", "code", "tries"),
    [("+CME ERROR: 30", "cme-30", 1), ("+CME ERROR: 3", "cme-3", 1), ("ERROR", "at-error", 3)],
)
@in_virtual_time
async def test_a_refusal_that_tells_of_the_network_is_not_tried_in_other_words(
    error: str, code: str, tries: int
) -> None:
    wire = UssdWire({}, refuses=lambda _: error)
    async with Desk(wire).ready() as modem:
        told = await failure(modem.ussd.run(CODE))
        assert isinstance(told, Unavailable)
        assert (told.code, len(wire.asked)) == (code, tries)


@in_virtual_time
async def test_a_silent_network_is_given_up_in_time_and_released() -> None:
    wire = UssdWire({})
    async with Desk(wire).ready() as modem:
        began = now()
        error = await failure(modem.ussd.run(CODE))
        assert now() - began == pytest.approx(ANSWER_LIMIT, abs=0.1)
        assert error.code == "ussd-timeout"
        await asyncio.sleep(0.1)
        assert wire.released == 1
        assert modem.status.state is ModemState.READY


@in_virtual_time
async def test_a_modem_that_does_not_answer_is_brought_back() -> None:
    wire = UssdWire({}, answers={f'AT+CUSD=1,"{CODE}",15': None})
    desk = Desk(wire)
    async with desk.ready() as modem:
        error = await failure(modem.ussd.run(CODE))
        assert isinstance(error, UnknownOutcome)
        assert error.code == "no-answer"
        await desk.until(lambda: modem.ready)
        assert isinstance(await send(modem), Sent)


@in_virtual_time
async def test_an_unplugged_modem_ends_the_session_at_once() -> None:
    wire = UssdWire({})
    desk = Desk(wire)
    async with desk.ready() as modem:
        asking = asyncio.create_task(modem.ussd.run(CODE))
        await asyncio.sleep(1)
        began = now()
        wire.hang_up()
        error = await failure(asking)
        assert error.code == "ussd-stopped"
        assert now() - began < 0.1
        await desk.until(lambda: modem.ready)
        assert now() - began < 2


@pytest.mark.parametrize(
    "code",
    [
        "",
        "*888#\r",
        '*888#"',
        "*888#\x1a",
        "*888#;+CMGS=1",
        "halo",
        "*888#\x00",
        "*1" * 81,
        "*८८८#",
        "*1#\n",
    ],
)
@in_virtual_time
async def test_what_is_no_code_never_reaches_the_modem(code: str) -> None:
    wire = UssdWire({})
    async with Desk(wire).ready() as modem:
        before = len(wire.lines)
        error = await failure(modem.ussd.run(code))
        assert (error.code, error.field) == ("ussd-code-invalid", "code")
        assert len(wire.lines) == before


@pytest.mark.parametrize("code", ["**04*1234*0000*0000#", "**042*1*2*2#", "**05*12345678*1*1#", "**052*1*2*2#"])
@in_virtual_time
async def test_codes_for_pin_and_puk_are_not_for_ussd(code: str) -> None:
    wire = UssdWire({})
    async with Desk(wire).ready() as modem:
        assert (await failure(modem.ussd.run(code))).code == "ussd-code-of-sim"
        assert wire.asked == []


@pytest.mark.parametrize("text", ["", '1"', "1\r", "1\x1a", "1\x1bAT", "a" * 161, "é", "@", '1",15\rAT+CFUN=1,1'])
@in_virtual_time
async def test_what_is_no_reply_never_reaches_the_modem(text: str) -> None:
    wire = UssdWire({"*123#": MENU})
    async with Desk(wire).ready() as modem:
        await modem.ussd.run("*123#")
        before = len(wire.lines)
        assert (await failure(modem.ussd.reply(text))).code == "ussd-reply-invalid"
        assert len(wire.lines) == before
        assert modem.ussd.waits  # the menu is still there


@in_virtual_time
async def test_a_stopped_modem_leaves_its_session_and_stops_at_once() -> None:
    wire = UssdWire({"*123#": MENU})
    desk = Desk(wire)
    async with desk.ready() as modem:
        await modem.ussd.run("*123#")
        began = now()
    assert now() - began < 1
    assert wire.released == 1
    assert wire.closed


@in_virtual_time
async def test_an_operators_advertisement_disturbs_nobody() -> None:
    wire = UssdWire({CODE: SAID})
    async with Desk(wire).ready() as modem:
        wire.tell('+CUSD: 0,"Promo! Balas *500#\r\nBURUAN",15')
        wire.tell('+CUSD: 1,"Mau? 1. Ya",15')
        assert modem.ready
        assert isinstance(await send(modem), Sent)
        assert (await modem.ussd.run(CODE)).text == BALANCE


@in_virtual_time
async def test_a_modem_that_is_not_ready_says_so() -> None:
    desk = Desk(ScriptedModem({"AT+CPIN?": "+CPIN: SIM PUK\r\nOK"}))
    assert (await failure(desk.modem.ussd.run(CODE))).code == "modem-not-ready"
    async with desk.running() as modem:
        await desk.until(lambda: modem.status.state is ModemState.BLOCKED)
        assert (await failure(modem.ussd.run(CODE))).code == "modem-not-ready"


@in_virtual_time
async def test_no_text_and_no_code_gets_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    wire = UssdWire({"*123*4567890#": MENU, "31337": SAID})
    async with Desk(wire).ready() as modem:
        await modem.ussd.run("*123*4567890#")
        await modem.ussd.reply("31337")
        await asyncio.sleep(0)
        wire.tell(f'+CUSD: 0,"{BALANCE}",15')
    for secret in ("4567890", "31337", "pulsa", "12.345"):
        assert secret not in caplog.text
    assert "session of 2 answers" in caplog.text
