"""What is said of a message's end is what the modem said."""

import asyncio

import pytest
from modem_desk import PDU, WALL, Desk, message, send
from scripted_modem import ScriptedModem

from otpbroker.errors import Unavailable
from otpbroker.events import ModemState
from otpbroker.sms.submission import Refused, Retry, SendResult, Sent, Sms, Unknown
from virtual_run import in_virtual_time, now

STAYS: dict[str, str | None] = {"AT+CFUN=4": "ERROR"}  # does not leave the network when it is asked to


@in_virtual_time
async def test_every_part_gets_its_reference() -> None:
    wire = ScriptedModem()
    async with Desk(wire).ready() as modem:
        assert await send(modem, parts=3) == Sent((1, 2, 3))
        assert (modem.status.sent, modem.status.last_activity) == (1, WALL)
        assert wire.pdus == [PDU] * 3
        assert wire.lines.count("AT+CMGS=19") == 3
        assert not [line for line in wire.lines if "CMGW" in line or "CMSS" in line]


@in_virtual_time
async def test_messages_go_one_after_the_other() -> None:
    wire = ScriptedModem(on_pdu=lambda _: None)
    async with Desk(wire).ready() as modem:
        first, second = asyncio.create_task(send(modem)), asyncio.create_task(send(modem))
        await asyncio.sleep(1)
        assert (len(wire.pdus), modem.status.state, modem.ready) == (1, ModemState.SENDING, True)
        wire.say("+CMGS: 1\r\nOK\r\n")
        assert await first == Sent((1,))
        await asyncio.sleep(1)
        wire.say("+CMGS: 2\r\nOK\r\n")
        assert await second == Sent((2,))


@pytest.mark.parametrize(("parts", "more", "keeps"), [(1, False, False), (1, True, True), (2, False, True)])
@in_virtual_time
async def test_the_relay_link_is_kept_when_more_is_to_come(parts: int, more: bool, keeps: bool) -> None:
    wire = ScriptedModem()
    async with Desk(wire).ready() as modem:
        for _ in range(2):
            assert isinstance(await send(modem, parts, more=more), Sent)
    assert wire.lines.count("AT+CMMS=2") == int(keeps)


@pytest.mark.parametrize("answers", [{"AT+CMMS?": "ERROR"}, {"AT+CMMS=2": "+CMS ERROR: 302"}])
@in_virtual_time
async def test_a_modem_that_does_not_keep_the_link_sends_all_the_same(answers: dict[str, str | None]) -> None:
    wire = ScriptedModem(answers)
    async with Desk(wire).ready() as modem:
        assert await send(modem, parts=2) == Sent((1, 2))
        assert await send(modem, more=True) == Sent((3,))
    assert wire.lines.count("AT+CMMS=2") <= 1


@in_virtual_time
async def test_a_message_whose_time_is_over_never_gets_its_prompt() -> None:
    wire = ScriptedModem()
    async with Desk(wire).ready() as modem:
        assert await modem.send(message(life=0.0), more=False) == Refused("expired", Retry.NEVER)
        assert "AT+CMGS=19" not in wire.lines
        assert modem.ready


@in_virtual_time
async def test_a_prompt_that_comes_after_the_messages_time_is_given_up() -> None:
    wire = ScriptedModem()
    async with Desk(wire).ready() as modem:
        wire.prompt = None
        sending = asyncio.create_task(modem.send(message(life=1.0), more=False))
        await asyncio.sleep(1.5)
        wire.prompt = "\r\n> "
        wire.say("\r\n> ")
        assert await sending == Refused("expired", Retry.NEVER)
        assert not wire.pdus
        await asyncio.sleep(10)
        assert await send(modem) == Sent((1,))


@in_virtual_time
async def test_the_time_is_looked_at_after_waiting_for_the_message_before() -> None:
    wire = ScriptedModem(on_pdu=lambda _: None)
    async with Desk(wire).ready() as modem:
        first = asyncio.create_task(send(modem))
        second = asyncio.create_task(modem.send(message(life=5), more=False))
        await asyncio.sleep(6)
        wire.say("+CMGS: 1\r\nOK\r\n")
        assert await first == Sent((1,))
        assert await second == Refused("expired", Retry.NEVER)


@in_virtual_time
async def test_a_later_part_whose_time_is_over_leaves_the_message_unknown() -> None:
    wire = ScriptedModem(on_pdu=lambda _: None)
    async with Desk(wire).ready() as modem:
        sending = asyncio.create_task(modem.send(message(2, life=5), more=False))
        await asyncio.sleep(6)
        wire.say("+CMGS: 4\r\nOK\r\n")
        assert await sending == Unknown("expired", (4,))
        assert len(wire.pdus) == 1


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ("+CMS ERROR: 38", Refused("cms-38", Retry.LATER)),
        ("+CMS ERROR: 332", Unknown("cms-332")),
        ("+CMS ERROR: 500", Refused("cms-500", Retry.LATER)),
        ("+CMS ERROR: 28", Refused("cms-28", Retry.NEVER)),
        ("+CMS ERROR: 304", Refused("cms-304", Retry.NEVER)),
        ("+CMS ERROR: 8", Refused("cms-8", Retry.ELSEWHERE)),
        ("+CMS ERROR: 21", Refused("cms-21", Retry.ONCE)),
        ("+CMS ERROR: 10", Refused("cms-10", Retry.ELSEWHERE)),
        ("+CMS ERROR: 314", Refused("cms-314", Retry.LATER)),
        ("+CMS ERROR: 512", Refused("cms-512", Retry.LATER)),
        ("ERROR", Refused("at-error", Retry.LATER)),
        ("OK", Unknown("no-reference")),
    ],
)
@in_virtual_time
async def test_the_modems_own_word_decides(answer: str, result: SendResult) -> None:
    wire = ScriptedModem(on_pdu=lambda _: answer)
    async with Desk(wire).ready() as modem:
        assert await send(modem) == result
        assert (modem.status.failed, modem.status.unknown) == ((1, 0) if isinstance(result, Refused) else (0, 1))
        wire.on_pdu = wire.accept
        assert await send(modem) == Sent((1,))


@in_virtual_time
async def test_an_error_at_a_later_part_leaves_the_message_unknown() -> None:
    answers = iter(["+CMGS: 1\r\nOK", "+CMS ERROR: 38"])
    async with Desk(ScriptedModem(on_pdu=lambda _: next(answers))).ready() as modem:
        assert await send(modem, parts=3) == Unknown("part-lost", (1,))


@in_virtual_time
async def test_an_error_instead_of_the_prompt_refuses() -> None:
    wire = ScriptedModem({"AT+CMGS=19": "+CMS ERROR: 515"})
    async with Desk(wire).ready() as modem:
        assert await send(modem) == Refused("cms-515", Retry.LATER)
        assert modem.ready


@in_virtual_time
async def test_without_a_prompt_it_is_given_up_and_the_modem_comes_back() -> None:
    wire = ScriptedModem()
    wire.prompt = None
    desk = Desk(wire)
    async with desk.ready() as modem:
        assert await send(modem) == Refused("no-prompt", Retry.LATER)
        assert (modem.ready, modem.recovering) == (False, True)
        assert wire.escapes >= 1
        wire.prompt = "\r\n> "
        await desk.until(lambda: modem.ready)
        assert await send(modem) == Sent((1,))
    assert len(wire.pdus) == len(desk.opened) == 1


@in_virtual_time
async def test_silence_after_the_pdu_is_unknown_and_the_late_answer_spoils_nothing() -> None:
    wire = ScriptedModem(STAYS, on_pdu=lambda _: None)
    desk = Desk(wire)
    async with desk.ready() as modem:
        began = now()
        assert await send(modem) == Unknown("no-answer")
        assert now() - began == pytest.approx(30, abs=0.1)
        assert modem.status.state is ModemState.RECOVERING
        await asyncio.sleep(7)
        assert not modem.ready
        assert "may still come" in modem.status.detail
        wire.say("\r\nOK\r\n")  # anybody's
        await asyncio.sleep(7)
        assert not modem.ready
        wire.say("\r\n+CMGS: 77\r\n\r\nOK\r\n")
        await desk.until(lambda: modem.ready)
        assert now() - began == pytest.approx(44, abs=0.2)
        wire.on_pdu = wire.accept
        assert await send(modem) == Sent((1,))
    assert len(desk.opened) == 1
    assert wire.lines.count("AT+CMGF=0") == 2  # it may have restarted silently


@in_virtual_time
@pytest.mark.parametrize("answer", [None, "+CMS ERROR: 38"])
async def test_an_answer_that_was_given_up_is_never_taken_for_the_next_messages(answer: str | None) -> None:
    """A modem that takes commands while it sends: the next message waits until no answer can come any more."""
    wire = ScriptedModem(STAYS, on_pdu=lambda _: None)
    desk = Desk(wire)
    async with desk.ready() as modem:
        began = now()
        assert await send(modem) == Unknown("no-answer")
        assert await send(modem) == Refused("not-ready", Retry.LATER)
        await asyncio.sleep(10)
        if answer:
            wire.say(f"\r\n{answer}\r\n")
        await desk.until(lambda: modem.ready)
        assert now() - began == pytest.approx(40 if answer else 60, abs=0.2)
        wire.on_pdu = wire.accept
        assert await send(modem) == Sent((1,))


@in_virtual_time
async def test_a_modem_that_leaves_the_network_has_nothing_in_the_air_and_is_soon_back() -> None:
    wire = ScriptedModem(on_pdu=lambda _: None)
    desk = Desk(wire)
    async with desk.ready() as modem:
        assert await send(modem) == Unknown("no-answer")
        began = now()
        await desk.until(lambda: modem.ready)
        assert now() - began < 1
        again = wire.lines[wire.lines.index("AT+CFUN=4") :]
        assert again[:2] == ["AT+CFUN=4", "AT+CFUN=1"]
        assert "AT+CMGF=0" in again


@in_virtual_time
async def test_a_modem_that_does_not_come_back_to_the_network_is_opened_anew() -> None:
    stuck = ScriptedModem({"AT+CFUN=1": "+CME ERROR: 100"}, on_pdu=lambda _: None)
    desk = Desk(stuck, ScriptedModem())
    async with desk.ready() as modem:
        assert await send(modem) == Unknown("no-answer")
        await desk.until(lambda: modem.ready)
        assert stuck.closed
    assert len(desk.opened) == 2


@in_virtual_time
async def test_a_modem_that_was_unplugged_owes_no_answer() -> None:
    wire = ScriptedModem(on_pdu=lambda _: None)
    desk = Desk(wire, ScriptedModem())
    async with desk.ready() as modem:
        assert await send(modem) == Unknown("no-answer")
        began = now()
        wire.hang_up()
        await desk.until(lambda: modem.ready)
        assert now() - began < 2
        assert await send(modem) == Sent((1,))


@in_virtual_time
async def test_a_reference_that_came_without_its_end_is_no_answer_to_wait_for() -> None:
    wire = ScriptedModem(on_pdu=lambda _: "+CMGS: 5")
    desk = Desk(wire)
    async with desk.ready() as modem:
        assert await send(modem) == Unknown("no-answer", (5,))
        began = now()
        await desk.until(lambda: modem.ready)
        assert now() - began < 2


@in_virtual_time
async def test_the_patience_follows_the_modems_own_air_time() -> None:
    wire = ScriptedModem(on_pdu=lambda _: None)
    async with Desk(wire).ready() as modem:
        for reference in range(3):
            sending = asyncio.create_task(send(modem))
            await asyncio.sleep(4)
            wire.say(f"+CMGS: {reference}\r\nOK\r\n")
            assert await sending == Sent((reference,))
        began = now()
        assert await send(modem) == Unknown("no-answer")
        assert now() - began == pytest.approx(16, abs=0.1)


@in_virtual_time
async def test_a_modem_that_stays_dumb_is_closed_and_opened_anew() -> None:
    dumb = ScriptedModem(on_pdu=lambda _: None)
    fresh = ScriptedModem()
    desk = Desk(dumb, fresh)
    async with desk.ready() as modem:
        dumb.answers["AT"] = None
        assert await send(modem) == Unknown("no-answer")
        await desk.until(lambda: modem.ready)
        assert dumb.closed
        assert await send(modem) == Sent((1,))
    assert len(desk.opened) == 2


@in_virtual_time
async def test_a_hang_up_after_the_pdu_is_unknown() -> None:
    wire = ScriptedModem(on_pdu=lambda _: None)
    desk = Desk(wire, ScriptedModem())
    async with desk.ready() as modem:
        sending = asyncio.create_task(send(modem))
        await asyncio.sleep(1)
        wire.hang_up()
        assert await sending == Unknown("link-lost")
        assert not modem.ready
        await desk.until(lambda: modem.ready)


@in_virtual_time
async def test_a_hang_up_before_the_prompt_refuses() -> None:
    wire = ScriptedModem()
    wire.prompt = None
    async with Desk(wire, Unavailable("port-absent", "gone")).ready() as modem:
        sending = asyncio.create_task(send(modem))
        await asyncio.sleep(1)
        wire.hang_up()
        assert await sending == Refused("link-lost", Retry.LATER)


@in_virtual_time
async def test_cancelling_is_honoured_before_the_pdu() -> None:
    wire = ScriptedModem()
    wire.prompt = None
    desk = Desk(wire)
    async with desk.ready() as modem:
        sending = asyncio.create_task(send(modem))
        await asyncio.sleep(1)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await desk.until(lambda: modem.ready)
    assert wire.pdus == []


@in_virtual_time
async def test_cancelling_after_the_first_pdu_ends_with_the_answer() -> None:
    wire = ScriptedModem(on_pdu=lambda _: None)
    async with Desk(wire).ready() as modem:
        sending = asyncio.create_task(send(modem, parts=2))
        await asyncio.sleep(1)
        sending.cancel()
        await asyncio.sleep(1)
        wire.prompt = None  # the second part's prompt takes its time
        wire.say("+CMGS: 1\r\nOK\r\n")
        await asyncio.sleep(1)
        sending.cancel()
        await asyncio.sleep(1)
        wire.say("\r\n> ")
        await asyncio.sleep(1)
        wire.say("+CMGS: 2\r\nOK\r\n")
        assert await sending == Sent((1, 2))


@in_virtual_time
async def test_too_many_at_once_are_sent_away() -> None:
    wire = ScriptedModem(on_pdu=lambda _: None)
    async with Desk(wire).ready() as modem:
        sending = [asyncio.create_task(send(modem)) for _ in range(12)]
        await asyncio.sleep(1)
        done = [task.result() for task in sending if task.done()]
        assert done == [Refused("busy", Retry.LATER)] * 3
        for task in sending:
            task.cancel()
        wire.hang_up()
        await asyncio.gather(*sending, return_exceptions=True)


@pytest.mark.parametrize("pdu", ["0011\r\nAT+CFUN=0\r", "00zz", "0011\x1a"])
@in_virtual_time
async def test_what_is_no_pdu_never_reaches_the_wire(pdu: str) -> None:
    wire = ScriptedModem()
    async with Desk(wire).ready() as modem:
        assert await modem.send(Sms("id", (pdu,), now() + 60), more=False) == Refused("invalid-pdu", Retry.NEVER)
        assert wire.pdus == []
        assert not [line for line in wire.lines if "CFUN=" in line or "CMGS" in line]
        assert modem.ready


@in_virtual_time
async def test_a_refusal_that_tells_of_the_sim_makes_the_sim_be_looked_at() -> None:
    wire = ScriptedModem(on_pdu=lambda _: "+CMS ERROR: 310")
    desk = Desk(wire)
    async with desk.ready() as modem:
        wire.answers["AT+CPIN?"] = "+CME ERROR: 10"
        assert await send(modem) == Refused("cms-310", Retry.ELSEWHERE)
        assert not modem.ready
        await desk.until(lambda: modem.status.state is ModemState.BLOCKED)
