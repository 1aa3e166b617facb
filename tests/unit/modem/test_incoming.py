"""What comes in through a modem: told of or found, read, acknowledged, kept by the core, deleted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from memory_modem import SENT_AT, Core, MemoryModem, report, texts
from modem_desk import Desk, send

from otpbroker.modem.habits import REPORT_TIME
from otpbroker.modem.incoming import FIRST_LOOK
from otpbroker.modem.mailbox import PART_LIFE
from otpbroker.modem.modem import Modem
from otpbroker.modem.session import HEARTBEAT
from otpbroker.sms.deliver import encode_deliver
from otpbroker.sms.reassemble import Message
from otpbroker.sms.submission import Sent, Sms
from otpbroker.sms.submit import encode_submit
from virtual_run import in_virtual_time, now

LONG = "Kode Anda 123456, jangan diberikan kepada siapa pun. " * 6

DRAFT = "0011000C912618214365870000A705E8329BFD06"


@asynccontextmanager
async def ready(wire: MemoryModem, core: Core) -> AsyncIterator[Modem]:
    """A modem that has read what lay in its memory at the start."""
    async with Desk(wire, inbound=core).ready() as modem:
        await asyncio.sleep(FIRST_LOOK + 0.1)
        yield modem


def deleted(wire: MemoryModem) -> int:
    return sum(line.startswith("AT+CMGD=") for line in wire.lines)


@in_virtual_time
async def test_a_message_is_told_of_read_kept_and_deleted() -> None:
    wire, core = MemoryModem(), Core()
    async with ready(wire, core):
        wire.deliver(*texts("Hello"))
        await asyncio.sleep(0.1)
    assert core.texts == ["Hello"]
    assert wire.stored == 0


@in_virtual_time
async def test_what_lies_there_at_the_start_is_read_from_every_memory_after_the_modem_is_ready() -> None:
    wire, core = MemoryModem(), Core()
    wire.put(*texts("in the SIM"), status=1)
    wire.put(*texts("in the modem"), memory="ME")
    wire.put(report(5), memory="SR")
    async with Desk(wire, inbound=core).ready():
        assert "AT+CMGL=4" not in wire.lines
        await asyncio.sleep(FIRST_LOOK + 0.1)
    assert core.texts == ["in the SIM", "in the modem"]
    assert [each.reference for each in core.reports] == [5]
    assert wire.stored == 0


@in_virtual_time
async def test_a_modem_that_miscounts_is_not_listed_over_and_over() -> None:
    """As gammu issue 156 shows: seven are used, none is there."""
    wire = MemoryModem({"AT+CPMS?": '+CPMS: "SM",7,100,"SM",7,100,"SM",7,100\r\nOK'})
    wire.answers['AT+CPMS="SM"'] = "+CPMS: 7,100,7,100,7,100\r\nOK"
    async with ready(wire, Core()):
        await asyncio.sleep(10 * HEARTBEAT)
    assert wire.lists == 1


@in_virtual_time
async def test_an_empty_memory_is_not_listed() -> None:
    wire = MemoryModem()
    async with ready(wire, Core()):
        assert wire.lists == 0


@in_virtual_time
async def test_nothing_is_deleted_before_it_is_kept() -> None:
    wire, core = MemoryModem(), Core()
    core.full = True
    async with ready(wire, core):
        wire.deliver(*texts("Hello"))
        await asyncio.sleep(1)
        assert (core.offered, deleted(wire), wire.stored) == (1, 0, 1)
        core.full = False
        await asyncio.sleep(2 * HEARTBEAT)
        assert (core.texts, core.offered, wire.stored) == (["Hello"], 2, 0)


@in_virtual_time
async def test_a_core_that_hangs_is_given_up_and_asked_again() -> None:
    class Hanging(Core):
        async def received(self, modem_id: str, message: Message) -> bool:
            await asyncio.sleep(0 if self.offered else 3600)
            return await super().received(modem_id, message)

    wire, core = MemoryModem(), Hanging()
    async with ready(wire, core) as modem:
        wire.deliver(*texts("Hello"))
        await asyncio.sleep(1)
        began = now()
        assert await send(modem) == Sent((1,))
        assert now() - began < 0.1, "messages go out meanwhile"
        await asyncio.sleep(15)
        assert (core.offered, wire.stored) == (0, 1)
        core.offered = 1  # from now on it answers
        await asyncio.sleep(3 * HEARTBEAT)
        assert (core.texts, wire.stored) == (["Hello"], 0)


@in_virtual_time
async def test_a_defect_of_the_core_costs_neither_the_modem_nor_the_message(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(Core):
        async def received(self, modem_id: str, message: Message) -> bool:
            if self.full:
                raise ValueError(message.text)
            return await super().received(modem_id, message)

    wire, core = MemoryModem(), Broken()
    core.full = True
    desk = Desk(wire, inbound=core)
    async with desk.ready():
        wire.deliver(*texts("canary"))
        await asyncio.sleep(5)
        assert (wire.stored, len(desk.opened)) == (1, 1)
        core.full = False
        await asyncio.sleep(2 * HEARTBEAT)
        assert core.texts == ["canary"]
    assert "canary" not in caplog.text


@in_virtual_time
async def test_a_long_message_stays_until_its_last_part_is_there() -> None:
    wire, core = MemoryModem(), Core()
    first, second, third = texts(LONG)
    async with ready(wire, core):
        wire.deliver(third, first)
        await asyncio.sleep(10 * HEARTBEAT)
        assert (core.texts, deleted(wire), wire.stored) == ([], 0, 2)
        wire.deliver(second)
        await asyncio.sleep(0.1)
        assert (core.texts, wire.stored) == ([LONG], 0)


@in_virtual_time
async def test_the_parts_found_after_a_restart_are_joined_with_the_later_ones() -> None:
    wire, core = MemoryModem(), Core()
    first, second, third = texts(LONG)
    async with ready(wire, core):
        wire.deliver(first, second)
        await asyncio.sleep(1)
    async with ready(wire, core):
        wire.deliver(third)
        await asyncio.sleep(0.1)
    assert (core.texts, wire.stored) == ([LONG], 0)


@in_virtual_time
async def test_what_a_crash_left_of_a_long_message_that_is_kept_is_no_message() -> None:
    wire, core = MemoryModem(), Core()
    first, second, third = texts(LONG)
    async with ready(wire, core):
        wire.deliver(first, second, third)
        await asyncio.sleep(1)
    wire.put(third)  # of three deletions only two were done
    async with ready(wire, core):
        assert wire.stored == 0
        await asyncio.sleep(2 * PART_LIFE)
    assert core.texts == [LONG]


@in_virtual_time
async def test_parts_whose_others_never_come_are_kept_with_a_gap() -> None:
    wire, core = MemoryModem(), Core()
    async with ready(wire, core):
        wire.deliver(texts(LONG)[1])
        await asyncio.sleep(PART_LIFE - 60)
        assert core.messages == []
        await asyncio.sleep(3 * HEARTBEAT)
        (message,) = core.messages
        assert (message.parts, message.total, message.complete) == (1, 3, False)
        assert wire.stored == 0


@in_virtual_time
async def test_an_old_part_is_given_time_to_be_found_by_the_others_but_no_more() -> None:
    wire, core = MemoryModem(), Core()
    long_ago = SENT_AT - timedelta(days=3)
    wire.put(encode_deliver("BANK", LONG, sent_at=long_ago)[0])
    async with ready(wire, core):
        await asyncio.sleep(240)
        assert core.messages == []
        await asyncio.sleep(240)
        assert len(core.messages) == 1


@in_virtual_time
async def test_what_a_terminal_wrote_is_left_alone() -> None:
    wire, core = MemoryModem(), Core()
    wire.put(DRAFT, status=3)
    wire.put(*texts("Hello"))
    async with ready(wire, core):
        await asyncio.sleep(5 * HEARTBEAT)
    assert (core.texts, wire.stored) == (["Hello"], 1)
    assert wire.lists <= 3, "it is not read over and over"


@in_virtual_time
async def test_a_report_that_comes_directly_needs_no_word_to_the_modem() -> None:
    wire, core = MemoryModem(), Core()
    async with ready(wire, core):
        before = len(wire.lines)
        wire.send(report(17))
        assert [each.reference for each in core.reports] == [17]
        await asyncio.sleep(1)
        assert wire.lines[before:] == []


@pytest.mark.parametrize("as_if", ["SR", "SM"], ids=["as it is", "as Quectel tells it"])
@in_virtual_time
async def test_a_stored_report_is_read_and_deleted(as_if: str) -> None:
    wire, core = MemoryModem(), Core()
    async with ready(wire, core):
        wire.deliver(report(17), memory="SR", tell="+CDSI", as_if=as_if)
        await asyncio.sleep(0.1)
    assert [each.reference for each in core.reports] == [17]
    assert wire.stored == 0


@in_virtual_time
async def test_a_pdu_without_its_service_centre_field_is_understood() -> None:
    wire, core = MemoryModem(), Core()
    async with ready(wire, core):
        pdu = report(17)
        wire.say(f"\r\n+CDS: {len(pdu) // 2 - 1}\r\n{pdu[2:].lower()}\r\n")
    assert [each.reference for each in core.reports] == [17]


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


@in_virtual_time
async def test_a_modem_that_stopped_telling_is_noticed_by_a_look_and_what_it_hid_is_found() -> None:
    wire, core = MemoryModem(), Core()
    async with ready(wire, core):
        wire.notify = "2,0,0,0,0"
        wire.put(*texts("hidden"))
        await asyncio.sleep(2 * HEARTBEAT)
        assert wire.notify == "2,1,0,1,0"
        assert (core.texts, wire.stored) == (["hidden"], 0)


@in_virtual_time
async def test_a_modem_that_restarted_is_asked_again_and_read_again() -> None:
    wire, core = MemoryModem(), Core()
    async with ready(wire, core):
        wire.notify = ""
        wire.put(*texts("while it started"))
        wire.say("\r\nRDY\r\n")
        await asyncio.sleep(FIRST_LOOK + 0.1)
    assert wire.notify == "2,1,0,1,0"
    assert core.texts == ["while it started"]


@in_virtual_time
async def test_reading_takes_turns_with_messages() -> None:
    wire, core = MemoryModem(), Core()
    wire.put(*(pdu for number in range(15) for pdu in texts(f"old {number}")))
    async with Desk(wire, inbound=core).ready() as modem:
        await asyncio.sleep(FIRST_LOOK)
        for number in range(5):
            assert await send(modem) == Sent((number + 1,))
        first, last = wire.lines.index("AT+CMGS=19"), len(wire.lines) - wire.lines[::-1].index("AT+CMGS=19")
        between = [line for line in wire.lines[first:last] if line.startswith(("AT+CMG", "AT+CPMS"))]
        assert len(between) <= 5 + 4 * 3, "a message waits for one look into the memory at most"
        await asyncio.sleep(5)
        assert len(core.texts) == 15


@in_virtual_time
async def test_what_waits_to_be_sent_at_the_start_goes_before_anything_is_read() -> None:
    wire, core = MemoryModem(), Core()
    wire.put(*texts("old"))
    async with Desk(wire, inbound=core).ready() as modem:
        assert await send(modem) == Sent((1,))
        assert not any(line.startswith("AT+CPMS") for line in wire.lines)


@in_virtual_time
async def test_a_message_that_is_told_of_twice_does_not_cost_its_successor() -> None:
    wire, core = MemoryModem(), Core()
    core.full = True
    async with ready(wire, core):
        wire.deliver(*texts("one"))
        await asyncio.sleep(0.1)
        wire.say('\r\n+CMTI: "SM",1\r\n')
        await asyncio.sleep(0.1)
        core.full = False
        await asyncio.sleep(2 * HEARTBEAT)
        assert (core.texts, deleted(wire)) == (["one"], 1)


@in_virtual_time
async def test_a_modem_that_tells_nonsense_without_end_fills_no_memory() -> None:
    wire, core = MemoryModem(), Core()
    async with ready(wire, core) as modem:
        for number in range(5000):
            wire.say(f'\r\n+CMTI: "X{number % 9}",{number}\r\n')
        assert await send(modem) == Sent((1,))
        wire.deliver(*texts("true"))
        await asyncio.sleep(60)
        assert "true" in core.texts


@in_virtual_time
async def test_a_nearly_full_memory_is_told_until_there_is_room() -> None:
    wire, core = MemoryModem(), Core()
    core.full = True
    async with ready(wire, core) as modem:
        wire.deliver(*(pdu for number in range(18) for pdu in texts(f"{number}")))
        await asyncio.sleep(2 * HEARTBEAT)
        assert modem.status.notes == ("store-full",)
        core.full = False
        await asyncio.sleep(2 * HEARTBEAT)
        assert (modem.status.notes, wire.stored, len(core.texts)) == ((), 0, 18)


@in_virtual_time
async def test_halves_and_what_nobody_can_read_give_way_when_there_is_no_room_left() -> None:
    wire, core = MemoryModem(), Core()
    async with ready(wire, core) as modem:
        wire.put(DRAFT, status=2)
        wire.deliver("00FF00FF")
        wire.deliver(*(texts(LONG, reference=number)[0] for number in range(17)))
        await asyncio.sleep(6 * HEARTBEAT)
        assert "00FF00FF" not in wire.places["SM"].values()
        assert DRAFT in wire.places["SM"].values()
        assert wire.stored == 17
        assert [message.complete for message in core.messages] == [False]
        assert modem.status.notes == ()


@in_virtual_time
async def test_a_list_that_gets_no_answer_is_not_asked_for_again_at_every_start() -> None:
    wire, core = MemoryModem(), Core()
    wire.answers["AT+CMGL=4"] = None
    wire.put(*texts("one"), *texts("two"))
    async with ready(wire, core) as modem:
        await asyncio.sleep(60)
        assert modem.ready
        assert (core.texts, wire.stored) == (["one", "two"], 0), "read one by one"
        assert wire.lines.count("AT+CMGL=4") == 1
        wire.say("\r\nRDY\r\n")
        wire.put(*texts("three"))
        await asyncio.sleep(60)
        assert core.texts == ["one", "two", "three"]
        assert wire.lines.count("AT+CMGL=4") == 1


@in_virtual_time
async def test_a_memory_that_does_not_answer_at_all_costs_no_more_than_a_moment() -> None:
    wire, core = MemoryModem(), Core()
    wire.answers |= {"AT+CMGL=4": None} | {f"AT+CMGR={index}": None for index in range(30)}
    wire.put(*texts("one"))
    async with ready(wire, core) as modem:
        await asyncio.sleep(300)
        asked = sum(line.startswith(("AT+CMGR", "AT+CMGL")) for line in wire.lines)
        assert asked == 2
        assert await send(modem) == Sent((1,))


@in_virtual_time
async def test_a_place_that_can_not_be_freed_is_not_tried_for_ever() -> None:
    wire, core = MemoryModem({"AT+CMGD=1": "+CMS ERROR: 313"}), Core()
    async with ready(wire, core):
        wire.deliver(*texts("stuck"))
        await asyncio.sleep(10 * HEARTBEAT)
    assert (core.texts, deleted(wire)) == (["stuck"], 1)


@in_virtual_time
async def test_a_modem_without_memory_commands_is_none_the_worse() -> None:
    unknown = ("AT+CPMS=?", "AT+CPMS?", "AT+CNMI?", "AT+CSMS?", 'AT+CPMS="SM"', 'AT+CPMS="SR"')
    wire, core = MemoryModem(dict.fromkeys(unknown, "ERROR")), Core()
    async with ready(wire, core) as modem:
        wire.send(report(3))
        await asyncio.sleep(10 * HEARTBEAT)
        assert await send(modem) == Sent((1,))
    assert len(core.reports) == 1


@in_virtual_time
async def test_a_modem_whose_reports_never_come_is_noted_until_one_does() -> None:
    wire, core = MemoryModem(), Core()
    (pdu,) = encode_submit("6281234567890", "Kode", reference=0, life=300, status_report=True)
    async with ready(wire, core) as modem:
        for number in range(20):
            assert await modem.send(Sms("id", (pdu,), now() + 60), more=False) == Sent((number + 1,))
        await asyncio.sleep(REPORT_TIME - 120)
        assert modem.status.notes == ()
        await asyncio.sleep(120 + 2 * HEARTBEAT)
        assert modem.status.notes == ("no-reports",)
        wire.send(report())
        assert modem.status.notes == ()


@in_virtual_time
async def test_messages_that_ask_for_no_report_are_not_counted() -> None:
    wire, core = MemoryModem(), Core()
    async with ready(wire, core) as modem:
        for _ in range(25):
            await send(modem)
        await asyncio.sleep(REPORT_TIME + 2 * HEARTBEAT)
        assert modem.status.notes == ()


@in_virtual_time
async def test_no_text_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    wire, core = MemoryModem(), Core()
    core.full = True
    async with ready(wire, core):
        wire.deliver(*texts("canary in the log"), "00FF")
        wire.send(*texts("canary in the log"), code="+CMT: ,")
        wire.say("\r\n+CMTI: canary\r\n\r\n+CDS: 3\r\ncanary\r\n")
        await asyncio.sleep(3 * HEARTBEAT)
    assert "canary" not in caplog.text
    assert texts("canary in the log")[0][30:50] not in caplog.text
