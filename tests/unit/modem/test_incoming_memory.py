"""Memories that are full, miscount, do not answer or can not be freed cost neither messages nor time."""

import asyncio

from memory_modem import LONG, Core, MemoryModem, deleted, ready, report, texts
from modem_desk import send

from otpbroker.modem.session import HEARTBEAT
from otpbroker.sms.submission import Sent
from virtual_run import in_virtual_time

DRAFT = "0011000C912618214365870000A705E8329BFD06"


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
