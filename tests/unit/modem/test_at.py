"""The AT conversation: V.250 and 27.005 answers under every condition that a serial line offers."""

import asyncio
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_modem import IMEI, ScriptedModem

from otpbroker.errors import Rejected
from otpbroker.modem.at import AtConversation
from otpbroker.modem.dialect import GENERIC
from otpbroker.modem.results import (
    AtError,
    AtTimeout,
    LinkLost,
    NotSubmitted,
    OutOfStep,
    Restarted,
    final_result,
    quoted,
)
from otpbroker.modem.timeouts import DEFAULT, QUIET, TIMEOUTS
from virtual_run import in_virtual_time, now

PDU = "0011000C912618214365870000A705E8329BFD06"
STORM = '\r\n^RSSI: 17\r\n\r\n+CREG: 1\r\n\r\n+CMTI: "SM",3\r\n\r\n^DSFLOWRPT:0,0,1\r\n'
NOISE = "\x00\xff\x80\x07\x00"


class Heard(list[tuple[str, str]]):
    def __call__(self, line: str, pdu: str) -> None:
        self.append((line, pdu))


async def conversation_with(modem: ScriptedModem, heard: Heard | None = None) -> AtConversation:
    conversation = AtConversation(modem, heard if heard is not None else Heard(), GENERIC.known_codes)
    modem.start(conversation.feed, conversation.hang_up)
    await conversation.resync()
    return conversation


@pytest.mark.parametrize("piece", [0, 1, 5])
@pytest.mark.parametrize("echo", [False, True], ids=["silent", "echo"])
@pytest.mark.parametrize("before", ["", STORM, NOISE, STORM + NOISE], ids=["calm", "storm", "noise", "both"])
@in_virtual_time
async def test_a_command_and_a_pdu_get_their_own_answers(piece: int, echo: bool, before: str) -> None:
    modem = ScriptedModem(piece=piece, echo=echo, before=before)
    heard = Heard()
    conversation = await conversation_with(modem, heard)
    assert await conversation.command("AT+CSQ") == ("+CSQ: 20,99",)
    assert await conversation.command("AT+CGSN") == (IMEI,)
    assert await conversation.command("AT+CREG=1") == ()
    assert await conversation.submit("AT+CMGS=18", PDU, limit=30) == ("+CMGS: 1",)
    assert await conversation.submit("AT+CMGS=18", PDU, limit=30) == ("+CMGS: 2",)
    assert modem.pdus == [PDU, PDU]
    assert modem.escapes == 0
    storms = before.count("^RSSI")
    assert all(line.startswith(("^RSSI", "+CREG", "+CMTI", "^DSFLOWRPT")) for line, _ in heard)
    assert sum(line == "^RSSI: 17" for line, _ in heard) == storms * (1 + 3 + 2 * 2)


@in_virtual_time
async def test_an_echo_that_an_unsolicited_line_breaks_is_no_answer() -> None:
    modem = ScriptedModem({"AT+CGMI": None})
    conversation = await conversation_with(modem)
    answer = asyncio.create_task(conversation.command("AT+CGMI"))
    await asyncio.sleep(0)
    modem.say("AT+C\r\n^RSSI: 9\r\nGMI\r\r\nACME\r\n\r\nOK\r\n")
    assert await answer == ("ACME",)


@in_virtual_time
async def test_the_prompt_may_stick_to_the_echo_of_its_command() -> None:
    modem = ScriptedModem()
    modem.prompt = "AT+CMGS=18> "
    conversation = await conversation_with(modem)
    assert await conversation.submit("AT+CMGS=18", PDU, limit=30) == ("+CMGS: 1",)


@in_virtual_time
async def test_a_set_command_leaves_unsolicited_lines_with_its_own_name_to_others() -> None:
    heard = Heard()
    conversation = await conversation_with(ScriptedModem({"AT+CREG=1": "+CREG: 5\r\nOK"}), heard)
    assert await conversation.command("AT+CREG=1") == ()
    assert heard == [("+CREG: 5", "")]


@in_virtual_time
async def test_an_incoming_message_in_the_middle_of_an_answer_comes_whole() -> None:
    heard = Heard()
    modem = ScriptedModem(before=f"\r\n+CMT: ,23\r\n{PDU}\r\n")
    conversation = await conversation_with(modem, heard)
    heard.clear()
    assert await conversation.command("AT+CGMM") == ("M1",)
    assert heard == [("+CMT: ,23", PDU)]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("ERROR", "at-error"),
        ("+CMS ERROR: 38", "cms-38"),
        ("+CMS ERROR:515", "cms-515"),
        ("+CME ERROR: 16", "cme-16"),
        ("+CMS ERROR: SIM busy", "cms-314"),
        ("+CME ERROR: incorrect password", "cme-16"),
        ("+CME ERROR: something new", "cme-error"),
        ("COMMAND NOT SUPPORT", "at-error"),
    ],
)
@in_virtual_time
async def test_every_final_error_is_told_by_its_code(line: str, code: str) -> None:
    conversation = await conversation_with(ScriptedModem({"AT+CSQ": line}))
    with pytest.raises(AtError) as error:
        await conversation.command("AT+CSQ")
    assert error.value.code == code
    assert conversation.in_step


@pytest.mark.parametrize("line", ["NO CARRIER", "BUSY", "NO ANSWER", "NO DIALTONE"])
def test_call_results_end_calls_only(line: str) -> None:
    ended = final_result(line, "D")
    assert isinstance(ended, AtError)
    assert ended.code == line.lower().replace(" ", "-")
    assert final_result(line, "+CMGS") is False


@in_virtual_time
async def test_a_silent_modem_costs_the_commands_own_time() -> None:
    conversation = await conversation_with(ScriptedModem({"AT+CSQ": None, "AT+COPS?": None}))
    began = now()
    with pytest.raises(AtTimeout):
        await conversation.command("AT+CSQ")
    assert now() - began == pytest.approx(DEFAULT.seconds)
    await conversation.resync()
    began = now()
    with pytest.raises(AtTimeout):
        await conversation.command("AT+COPS?")
    assert now() - began == pytest.approx(TIMEOUTS["+COPS"].seconds)


def test_every_timeout_says_why() -> None:
    assert all(each.seconds > 0 and len(each.reason) > 20 for each in (DEFAULT, *TIMEOUTS.values()))


@in_virtual_time
async def test_a_late_answer_is_never_taken_for_the_next_commands() -> None:
    modem = ScriptedModem({"AT+CSQ": None})
    conversation = await conversation_with(modem)
    with pytest.raises(AtTimeout):
        await conversation.command("AT+CSQ")
    with pytest.raises(OutOfStep):
        await conversation.command("AT+CGMI")
    resync = asyncio.create_task(conversation.resync())
    await asyncio.sleep(0)
    modem.say("\r\n+CSQ: 5,99\r\n\r\nOK\r\n")  # late, and its OK passes for the AT's
    began = now()
    await resync
    assert now() - began >= QUIET
    assert await conversation.command("AT+CGMI") == ("ACME",)


@in_virtual_time
async def test_a_modem_that_never_stops_answering_does_not_get_in_step() -> None:
    modem = ScriptedModem({"AT+CSQ": None})
    conversation = await conversation_with(modem)

    async def chatter() -> None:
        while True:
            modem.say("OK\r\n")
            await asyncio.sleep(QUIET / 2)

    task = asyncio.create_task(chatter())
    with pytest.raises(AtTimeout):
        await conversation.resync(QUIET)
    assert not conversation.in_step
    task.cancel()


@in_virtual_time
async def test_a_prompt_left_open_by_a_predecessor_is_given_up() -> None:
    modem = ScriptedModem()
    modem.prompting = True
    conversation = AtConversation(modem, Heard())
    modem.start(conversation.feed, conversation.hang_up)
    began = now()
    await conversation.resync()
    assert now() - began < 0.2  # noticed by the next prompt, not by a timeout
    assert modem.escapes == 1
    assert await conversation.command("AT+CGMI") == ("ACME",)
    assert modem.pdus == []


@in_virtual_time
async def test_without_a_prompt_nothing_is_submitted_and_the_message_is_given_up() -> None:
    modem = ScriptedModem()
    modem.prompt = None
    conversation = await conversation_with(modem)
    with pytest.raises(NotSubmitted) as failure:
        await conversation.submit("AT+CMGS=18", PDU, limit=30)
    assert isinstance(failure.value.reason, AtTimeout)
    assert modem.escapes == 1
    await conversation.resync()
    assert modem.pdus == []
    assert await conversation.command("AT+CGMI") == ("ACME",)


@pytest.mark.parametrize("answer", ["+CMS ERROR: 310", "ERROR", "OK"])
@in_virtual_time
async def test_an_answer_instead_of_the_prompt_means_not_submitted(answer: str) -> None:
    modem = ScriptedModem({"AT+CMGS=18": answer})
    conversation = await conversation_with(modem)
    with pytest.raises(NotSubmitted) as failure:
        await conversation.submit("AT+CMGS=18", PDU, limit=30)
    assert isinstance(failure.value.reason, AtError)
    assert modem.pdus == []
    assert conversation.in_step


@in_virtual_time
async def test_an_answer_cut_off_is_told_as_far_as_it_came() -> None:
    conversation = await conversation_with(ScriptedModem(on_pdu=lambda _: "+CMGS: 7"))
    with pytest.raises(AtTimeout) as failure:
        await conversation.submit("AT+CMGS=18", PDU, limit=30)
    assert failure.value.lines == ("+CMGS: 7",)


@in_virtual_time
async def test_cancelling_before_the_prompt_gives_the_message_up() -> None:
    modem = ScriptedModem()
    modem.prompt = None
    conversation = await conversation_with(modem)
    task = asyncio.create_task(conversation.submit("AT+CMGS=18", PDU, limit=30))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert modem.escapes == 1
    assert not conversation.in_step
    await conversation.resync()
    assert modem.pdus == []


@in_virtual_time
async def test_cancelling_after_the_first_octet_waits_for_the_answer() -> None:
    modem = ScriptedModem(on_pdu=lambda _: None)
    conversation = await conversation_with(modem)
    task = asyncio.create_task(conversation.submit("AT+CMGS=18", PDU, limit=30))
    await asyncio.sleep(0.1)
    assert modem.pdus == [PDU]
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.1)
    assert not task.done()
    modem.say("\r\n+CMGS: 9\r\n\r\nOK\r\n")
    assert await task == ("+CMGS: 9",)
    assert task.cancelling() == 3


@in_virtual_time
async def test_commands_wait_their_turn() -> None:
    modem = ScriptedModem(on_pdu=lambda _: None)
    conversation = await conversation_with(modem)
    submission = asyncio.create_task(conversation.submit("AT+CMGS=18", PDU, limit=30))
    question = asyncio.create_task(conversation.command("AT+CGMI"))
    await asyncio.sleep(1)
    assert "AT+CGMI" not in modem.lines
    modem.say("+CMGS: 1\r\nOK\r\n")
    assert await submission == ("+CMGS: 1",)
    assert await question == ("ACME",)


@in_virtual_time
async def test_a_hang_up_ends_the_command_in_flight_and_all_later_ones() -> None:
    modem = ScriptedModem({"AT+CSQ": None})
    conversation = await conversation_with(modem)
    task = asyncio.create_task(conversation.command("AT+CSQ"))
    await asyncio.sleep(0)
    modem.hang_up()
    with pytest.raises(LinkLost):
        await task
    with pytest.raises(LinkLost):
        await conversation.command("AT+CSQ")
    with pytest.raises(LinkLost):
        await conversation.resync()


@in_virtual_time
async def test_a_modem_that_came_up_anew_is_not_waited_for() -> None:
    modem = ScriptedModem({"AT+CSQ": None}, on_pdu=lambda _: None)
    conversation = await conversation_with(modem)
    conversation.restarted()  # nothing is in flight
    assert conversation.in_step
    for waiting in (conversation.command("AT+CSQ"), conversation.submit("AT+CMGS=18", PDU, limit=30)):
        task = asyncio.create_task(waiting)
        await asyncio.sleep(0.1)
        began = now()
        conversation.restarted()
        with pytest.raises(Restarted):
            await task
        assert now() == began
        assert not conversation.in_step
        await conversation.resync()


@in_virtual_time
async def test_a_modem_that_came_up_anew_before_its_prompt_has_got_nothing() -> None:
    modem = ScriptedModem()
    modem.prompt = None
    conversation = await conversation_with(modem)
    task = asyncio.create_task(conversation.submit("AT+CMGS=18", PDU, limit=30))
    await asyncio.sleep(0.1)
    conversation.restarted()
    with pytest.raises(NotSubmitted) as failure:
        await task
    assert isinstance(failure.value.reason, Restarted)
    assert modem.pdus == []


@in_virtual_time
async def test_a_resync_goes_on_while_the_modem_comes_up_anew() -> None:
    modem = ScriptedModem({"AT": None})
    conversation = AtConversation(modem, Heard(), GENERIC.known_codes)
    modem.start(conversation.feed, conversation.hang_up)
    resync = asyncio.create_task(conversation.resync())
    for _ in range(10):  # more often than it tries
        await asyncio.sleep(0.01)
        conversation.restarted()
    modem.answers["AT"] = "OK"
    await resync
    assert conversation.in_step


@pytest.mark.parametrize("piece", [0, 1, 5])
@in_virtual_time
async def test_an_echo_that_comes_back_on_between_prompt_and_pdu_spoils_nothing(piece: int) -> None:
    modem = ScriptedModem(piece=piece)
    conversation = await conversation_with(modem)

    def answer(pdu: str) -> str:
        modem.echo = True
        return modem.accept(pdu)

    modem.on_pdu = answer
    assert await conversation.submit("AT+CMGS=18", PDU, limit=30) == ("+CMGS: 1",)
    assert await conversation.command("AT+CGMM") == ("M1",)
    assert await conversation.submit("AT+CMGS=18", PDU, limit=30) == ("+CMGS: 2",)
    assert conversation.in_step


@in_virtual_time
async def test_the_echo_of_a_command_that_was_given_up_is_nobodys_answer() -> None:
    modem = ScriptedModem({"AT+CSQ": None})
    conversation = await conversation_with(modem)
    with pytest.raises(AtTimeout):
        await conversation.command("AT+CSQ")
    resync = asyncio.create_task(conversation.resync())
    await asyncio.sleep(0)
    modem.say("AT+CSQ\r\r\n+CSQ: 5,99\r\n\r\nOK\r\n")
    await resync
    assert await conversation.command("AT+CGMM") == ("M1",)


@in_virtual_time
async def test_a_garbled_reference_is_no_reference() -> None:
    modem = ScriptedModem(on_pdu=lambda _: "x7+CMGS: 12\r\n\r\nOK")
    conversation = await conversation_with(modem)
    assert await conversation.submit("AT+CMGS=18", PDU, limit=30) == ()


@pytest.mark.parametrize(
    "text",
    [
        "AT+CSQ\rAT+CFUN=0",
        "AT+CSQ\nAT+CFUN=0",
        "AT+CMGS=5\x1a",
        "AT\x1b",
        'AT+CPIN="12"34"',
        "AT+CMGS=\u0661",
        "+CSQ",
        "",
        "AT",
        "at+csq",
    ],
)
@in_virtual_time
async def test_only_one_clean_command_line_is_written(text: str) -> None:
    modem = ScriptedModem()
    conversation = await conversation_with(modem)
    written = list(modem.lines)
    with pytest.raises(Rejected):
        await conversation.command(text)
    with pytest.raises(Rejected):
        await conversation.submit(text, PDU, limit=30)
    assert modem.lines == written


@pytest.mark.parametrize("pdu", ["", "0", "00zz", "0011\x1aAT+CFUN=0\r", "00 11", "0011\r", "00aa"])
@in_virtual_time
async def test_only_whole_hexadecimal_octets_are_submitted(pdu: str) -> None:
    modem = ScriptedModem()
    conversation = await conversation_with(modem)
    with pytest.raises(Rejected):
        await conversation.submit("AT+CMGS=18", pdu, limit=30)
    assert not modem.prompting


@pytest.mark.parametrize("value", ['12"34', "1234\r", "12\n34", "12\x1a", "\x1b", "١٢٣٤"])
def test_a_string_parameter_cannot_end_its_string(value: str) -> None:
    with pytest.raises(Rejected):
        quoted(value)


def test_a_string_parameter_is_put_in_quotes() -> None:
    assert quoted("+62816124") == '"+62816124"'


def test_failures_never_name_a_parameter() -> None:
    assert "1234" not in str(AtTimeout("+CPIN")) + str(AtError("cme", 16))


ANSWER = "AT+CGSN\r\r\n^RSSI: 3\r\n\r\n356938035643809\r\n\r\n+CREG: 1\r\n\r\nOK\r\n"


@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.integers(0, len(ANSWER)), max_size=12), noise=st.sampled_from(["", "\x00", "\xfe\x00\x80"]))
def test_an_answer_reads_the_same_however_it_is_cut(cuts: list[int], noise: str) -> None:
    @in_virtual_time
    async def run() -> None:
        modem = ScriptedModem({"AT+CGSN": None})
        heard = Heard()
        conversation = await conversation_with(modem, heard)
        answer = asyncio.create_task(conversation.command("AT+CGSN"))
        await asyncio.sleep(0)
        ends = [0, *sorted(cuts), len(ANSWER)]
        for start, end in itertools.pairwise(ends):
            modem.say(noise + ANSWER[start:end])
        assert await answer == (IMEI,)
        assert heard == [("^RSSI: 3", ""), ("+CREG: 1", "")]

    run()


@settings(max_examples=60, deadline=None)
@given(garbage=st.lists(st.binary(max_size=200), max_size=8))
def test_garbage_breaks_nothing(garbage: list[bytes]) -> None:
    @in_virtual_time
    async def run() -> None:
        modem = ScriptedModem()
        conversation = AtConversation(modem, Heard())
        modem.start(conversation.feed, conversation.hang_up)
        for data in garbage:
            conversation.feed(data)
        conversation.feed(b"\r\n")
        await conversation.resync()
        assert await conversation.command("AT+CGMI") == ("ACME",)

    run()


@in_virtual_time
async def test_an_endless_line_is_thrown_away_and_costs_no_memory() -> None:
    modem = ScriptedModem({"AT+CSQ": None})
    heard = Heard()
    conversation = await conversation_with(modem, heard)
    answer = asyncio.create_task(conversation.command("AT+CSQ"))
    await asyncio.sleep(0)
    for _ in range(500):
        modem.say("x" * 1000)
    modem.say(" OK\r\n+CSQ: 11,99\r\nOK\r\n")
    assert await answer == ("+CSQ: 11,99",)
    assert heard == []
