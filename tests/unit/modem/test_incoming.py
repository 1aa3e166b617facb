"""What comes in through a modem: told of or found, read, acknowledged, kept by the core, deleted."""

import asyncio
from datetime import timedelta

import pytest
from memory_modem import LONG, SENT_AT, Core, MemoryModem, deleted, ready, report, texts
from modem_desk import Desk, send

from otpbroker.modem.habits import REPORT_TIME
from otpbroker.modem.incoming import FIRST_LOOK
from otpbroker.modem.mailbox import PART_LIFE
from otpbroker.modem.session import HEARTBEAT
from otpbroker.sms.deliver import encode_deliver
from otpbroker.sms.reassemble import Message
from otpbroker.sms.submission import Sent, Sms
from otpbroker.sms.submit import encode_submit
from virtual_run import in_virtual_time, now

DRAFT = "0011000C912618214365870000A705E8329BFD06"


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
