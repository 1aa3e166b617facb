"""What comes directly, without lying in a memory: acknowledged where the network waits for that."""

import asyncio

from memory_modem import LONG, Core, MemoryModem, ready, report, texts
from modem_desk import Desk, send

from otpbroker.modem.incoming import FIRST_LOOK
from otpbroker.modem.mailbox import PART_LIFE
from otpbroker.modem.session import HEARTBEAT
from otpbroker.sms.reassemble import Message
from otpbroker.sms.submission import Sent
from virtual_run import in_virtual_time

DRAFT = "0011000C912618214365870000A705E8329BFD06"


@in_virtual_time
async def test_a_report_that_comes_directly_needs_no_word_to_the_modem() -> None:
    wire, core = MemoryModem(), Core()
    async with ready(wire, core):
        before = len(wire.lines)
        wire.send(report(17))
        assert [each.reference for each in core.reports] == [17]
        await asyncio.sleep(1)
        assert wire.lines[before:] == []


def stubborn() -> MemoryModem:
    """One that does not leave phase 2+."""
    return MemoryModem({"AT+CSMS=0": "+CMS ERROR: 303", "AT+CSMS?": "+CSMS: 1,1,1,1\r\nOK"})


@in_virtual_time
async def test_phase_2_is_asked_for_and_nothing_is_acknowledged() -> None:
    wire, core = MemoryModem(), Core()
    async with ready(wire, core):
        wire.send(report())
        wire.send(*texts("direct"), code="+CMT: ,")
        await asyncio.sleep(1)
    assert "AT+CSMS=0" in wire.lines
    assert core.texts == ["direct"]
    assert not any("CNMA" in line for line in wire.lines)


@in_virtual_time
async def test_where_phase_2_plus_stays_reports_and_messages_are_acknowledged_at_once() -> None:
    wire, core = stubborn(), Core()
    async with ready(wire, core):
        wire.send(report())
        await asyncio.sleep(0.1)
        assert wire.lines[-1] == "AT+CNMA"
        wire.send(*texts("direct"), code="+CMT: ,")
        await asyncio.sleep(0.1)
        assert (core.texts, wire.lines.count("AT+CNMA")) == (["direct"], 2)


@in_virtual_time
async def test_a_message_that_is_not_kept_is_refused_and_not_forgotten_by_the_network() -> None:
    wire, core = stubborn(), Core()
    core.full = True
    async with ready(wire, core):
        wire.send(*texts("direct"), code="+CMT: ,")
        await asyncio.sleep(0.1)
        assert wire.lines[-1] == "AT+CNMA=2"
        core.full = False
        await asyncio.sleep(3 * HEARTBEAT)
        assert core.texts == [], "the network sends it again"


@in_virtual_time
async def test_every_part_of_a_direct_long_message_is_acknowledged() -> None:
    wire, core = stubborn(), Core()
    async with ready(wire, core):
        for pdu in texts(LONG):
            wire.send(pdu, code="+CMT: ,")
            await asyncio.sleep(0.1)
        assert (core.texts, wire.lines.count("AT+CNMA")) == ([LONG], 3)


async def begin_anew(wire: MemoryModem, unanswered: str) -> None:
    """The modem leaves one question of the heartbeat open, so the session starts it again."""
    answer = wire.answers.get(unanswered)
    wire.answers[unanswered] = None
    await asyncio.sleep(HEARTBEAT + 2)
    wire.answers[unanswered] = answer
    await asyncio.sleep(30)


@in_virtual_time
async def test_parts_that_were_acknowledged_wait_for_the_others_over_a_new_start() -> None:
    wire, core = stubborn(), Core()
    async with ready(wire, core) as modem:
        first, *others = texts(LONG)
        wire.send(first, code="+CMT: ,")
        await asyncio.sleep(0.1)
        starts = wire.lines.count("AT+CSMS=0")
        await begin_anew(wire, "AT+CSQ")
        assert modem.ready
        assert wire.lines.count("AT+CSMS=0") > starts
        for pdu in others:
            wire.send(pdu, code="+CMT: ,")
            await asyncio.sleep(0.1)
    assert core.texts == [LONG]


@in_virtual_time
async def test_parts_that_were_acknowledged_wait_for_the_others_over_a_new_opening_of_the_port() -> None:
    wire, core = stubborn(), Core()
    async with ready(wire, core) as modem:
        first, *others = texts(LONG)
        wire.send(first, code="+CMT: ,")
        await asyncio.sleep(0.1)
        wire.hang_up()
        await asyncio.sleep(60)
        assert modem.ready
        for pdu in others:
            wire.send(pdu, code="+CMT: ,")
            await asyncio.sleep(0.1)
    assert core.texts == [LONG]


@in_virtual_time
async def test_a_long_message_that_is_being_kept_when_the_modem_is_stopped_is_offered_again() -> None:
    class SlowDisk(Core):
        async def received(self, modem_id: str, message: Message) -> bool:
            await asyncio.sleep(5 if self.full else 0)
            return await super().received(modem_id, message)

    wire, core = stubborn(), SlowDisk()
    core.full = True
    desk = Desk(wire, inbound=core)
    async with desk.ready():
        await asyncio.sleep(FIRST_LOOK + 0.1)
        for pdu in texts(LONG):
            wire.send(pdu, code="+CMT: ,")
            await asyncio.sleep(0.1)
    assert core.offered == 0
    core.full = False
    async with desk.ready():
        await asyncio.sleep(HEARTBEAT)
    assert core.texts == [LONG]


@in_virtual_time
async def test_a_long_message_that_is_not_kept_at_once_is_offered_again() -> None:
    """Refused, its last part alone would be sent again."""
    wire, core = stubborn(), Core()
    core.full = True
    async with ready(wire, core):
        for pdu in texts(LONG):
            wire.send(pdu, code="+CMT: ,")
            await asyncio.sleep(0.1)
        assert "AT+CNMA=2" not in wire.lines
        core.full = False
        await asyncio.sleep(3 * HEARTBEAT)
    assert core.texts == [LONG]


@in_virtual_time
async def test_parts_in_the_memory_and_such_that_came_directly_make_one_message() -> None:
    wire, core = MemoryModem(), Core()
    async with ready(wire, core):
        first, second, third = texts(LONG)
        wire.deliver(first)
        wire.send(second, code="+CMT: ,")
        await asyncio.sleep(1)
        await begin_anew(wire, "AT+CSQ")
        wire.send(third, code="+CMT: ,")
        await asyncio.sleep(1)
    assert (core.texts, wire.stored) == ([LONG], 0)


@in_virtual_time
async def test_a_part_that_is_sent_again_after_a_new_start_begins_no_second_message() -> None:
    wire, core = MemoryModem(), Core()
    async with ready(wire, core):
        for pdu in texts(LONG):
            wire.send(pdu, code="+CMT: ,")
        await asyncio.sleep(1)
        await begin_anew(wire, "AT+CSQ")
        wire.send(pdu, code="+CMT: ,")
        await asyncio.sleep(PART_LIFE + 2 * HEARTBEAT)
    assert core.texts == [LONG]


@in_virtual_time
async def test_a_part_in_the_memory_of_a_message_that_was_not_kept_yet_begins_no_second_one() -> None:
    wire, core = MemoryModem(), Core()
    core.full = True
    async with ready(wire, core):
        first, *others = texts(LONG)
        wire.deliver(first)
        await asyncio.sleep(1)
        for pdu in others:
            wire.send(pdu, code="+CMT: ,")
        await begin_anew(wire, "AT+CSQ")
        assert wire.stored == 1
        core.full = False
        await asyncio.sleep(PART_LIFE + 2 * HEARTBEAT)
    assert (core.texts, wire.stored) == ([LONG], 0)


@in_virtual_time
async def test_an_acknowledgement_waits_for_the_message_in_the_air_and_goes_before_the_next() -> None:
    wire, core = stubborn(), Core()
    wire.on_pdu = lambda _: None
    async with ready(wire, core) as modem:
        in_the_air = asyncio.create_task(send(modem))
        await asyncio.sleep(0.1)
        wire.send(report())
        await asyncio.sleep(1)
        following = asyncio.create_task(send(modem))
        await asyncio.sleep(1)
        assert "AT+CNMA" not in wire.lines
        wire.say("\r\n+CMGS: 1\r\n\r\nOK\r\n")
        await asyncio.sleep(0.1)
        assert wire.lines[-2:] == ["AT+CNMA", "AT+CMGS=19"]
        wire.say("\r\n+CMGS: 2\r\n\r\nOK\r\n")
        assert (await in_the_air, await following) == (Sent((1,)), Sent((2,)))


@in_virtual_time
async def test_after_a_refused_acknowledgement_notifications_are_asked_for_anew() -> None:
    wire, core = stubborn(), Core()
    wire.answers |= {"AT+CNMA": "+CMS ERROR: 340", "AT+CNMA=1": "+CMS ERROR: 340"}
    async with ready(wire, core):
        wire.notify = "2,0,0,0,0"
        wire.send(report())
        await asyncio.sleep(0.1)
        assert wire.notify == "2,1,0,1,0"


@in_virtual_time
async def test_an_acknowledgement_that_came_too_late_is_followed_by_new_notifications() -> None:
    wire, core = stubborn(), Core()
    wire.on_pdu = lambda _: None
    async with ready(wire, core) as modem:
        sending = asyncio.create_task(send(modem))
        await asyncio.sleep(0.1)
        wire.send(report())
        wire.notify = "2,0,0,0,0"
        await asyncio.sleep(20)
        wire.say("\r\n+CMGS: 1\r\n\r\nOK\r\n")
        await sending
        await asyncio.sleep(0.1)
        assert wire.notify == "2,1,0,1,0"
