"""What the network brings to a simulated modem, seen from its port."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from otpbroker.modem.simulator import Phone, SimulatedModem, identity_of
from otpbroker.sms.deliver import decode_deliver
from otpbroker.sms.status_report import decode_status_report
from otpbroker.sms.submit import encode_submit
from pty_terminal import RECEIVER, Terminal

SENDER = "+6281100000000"
LONG = "Halo " * 70


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
        await terminal.whole("ATE0")
        yield terminal


async def submit(terminal: Terminal, receiver: str = RECEIVER, *, asks: bool = True) -> None:
    (pdu,) = encode_submit(receiver, "Kode", reference=0, life=300, status_report=asks)
    await terminal.submit(pdu)
    await terminal.until("OK\r\n")


async def shown(terminal: Terminal, code: str) -> str:
    """The PDU behind an unsolicited line."""
    await terminal.until(f"\r\n{code}")
    await terminal.until("\r\n")
    return (await terminal.until("\r\n")).decode().strip()


async def silence(terminal: Terminal) -> None:
    """Nothing waits to be read."""
    assert await terminal.whole("AT") == "\r\nOK\r\n"


async def test_a_full_memory_keeps_what_comes_then_in_the_network(
    terminal: Terminal, modem: SimulatedModem
) -> None:
    modem.change(store_capacity=3)
    await terminal.whole("AT+CNMI=2,1,0,0,0")
    for number in range(5):
        modem.deliver(SENDER, f"Halo {number}")
    await terminal.until('"SM",3\r\n')
    assert (modem.stored, modem.counters.incoming, modem.counters.incoming_held) == (3, 5, 2)
    terminal.type(b"AT+CMGD=2\r")
    await terminal.until('"SM",2\r\n')
    assert modem.stored == 3
    terminal.type(b"AT+CMGD=1,4\r")
    await terminal.until('"SM",1\r\n')
    assert modem.stored == 1


async def test_memories_are_apart_and_where_messages_go_is_chosen(
    terminal: Terminal, modem: SimulatedModem
) -> None:
    await terminal.whole('AT+CNMI=2,1;+CPMS="SM","SM","ME"')
    modem.deliver(SENDER, "Halo")
    await terminal.until('+CMTI: "ME",1\r\n')
    assert await terminal.whole("AT+CMGL=4") == "\r\nOK\r\n"
    assert await terminal.whole('AT+CPMS="ME"') == "\r\n+CPMS: 1,20,0,20,1,20\r\n\r\nOK\r\n"
    assert (await terminal.ask("AT+CMGR=1"))[0] == "+CMGR:"
    assert await terminal.whole('AT+CPMS="MT";+CMGD=256') == "\r\n+CPMS: 1,40,0,20,1,20\r\n\r\nOK\r\n"
    assert modem.stored == 0


async def test_a_long_message_comes_in_parts_all_or_some(terminal: Terminal, modem: SimulatedModem) -> None:
    await terminal.whole("AT+CNMI=2,2")
    modem.deliver(SENDER, LONG)
    whole = [decode_deliver(await shown(terminal, "+CMT:")) for _ in range(3)]
    assert "".join(part.text for part in whole) == LONG
    modem.deliver(SENDER, LONG, parts=[3, 1])
    some = [decode_deliver(await shown(terminal, "+CMT:")).concatenation for _ in range(2)]
    assert [part and (part.index, part.total) for part in some] == [(3, 3), (1, 3)]
    assert whole[0].concatenation != some[1]
    with pytest.raises(ValueError, match="parts"):
        modem.deliver(SENDER, "Halo", parts=[2])


async def test_a_status_report_comes_for_a_message_that_asks(terminal: Terminal, modem: SimulatedModem) -> None:
    modem.change(status_report=0.001)
    await terminal.whole("AT+CNMI=2,1,0,1,0")
    await submit(terminal, asks=False)
    await submit(terminal)
    report = decode_status_report(await shown(terminal, "+CDS:"))
    assert (report.reference, str(report.receiver), report.status) == (1, f"+{RECEIVER}", 0)


async def test_reports_may_be_several_and_differ_by_receiver(terminal: Terminal, modem: SimulatedModem) -> None:
    modem.change(status_report=0.001, report_gap=0.001, report_statuses=[0x30, 0x00])
    modem.change(receiver_statuses={"6281100000001": [0x49], "6281100000002": []})
    await terminal.whole("AT+CNMI=2,1,0,1,0")
    await submit(terminal)
    statuses = [decode_status_report(await shown(terminal, "+CDS:")).status for _ in range(2)]
    assert statuses == [0x30, 0x00]
    await submit(terminal, "6281100000002")
    await submit(terminal, "6281100000001")
    report = decode_status_report(await shown(terminal, "+CDS:"))
    assert (report.reference, report.status) == (2, 0x49)


async def test_a_report_may_be_stored_in_its_own_memory(terminal: Terminal, modem: SimulatedModem) -> None:
    modem.change(status_report=0.001)
    await terminal.whole("AT+CNMI=2,1,0,2,0")
    await submit(terminal)
    await terminal.until('+CDSI: "SR",1\r\n')
    await terminal.whole('AT+CPMS="SR"')
    report = await terminal.ask("AT+CMGR=1")
    assert decode_status_report(report[2]).reference == 0
    await terminal.whole("AT+CMGD=1")
    assert modem.stored == 0


async def test_reports_that_nobody_wants_are_gone(terminal: Terminal, modem: SimulatedModem) -> None:
    modem.change(status_report=0.0)
    await submit(terminal)
    await terminal.whole("AT+CNMI=2,1,0,1,0")
    await silence(terminal)
    assert (modem.stored, modem.counters.incoming) == (0, 1)


async def test_a_report_finds_a_modem_that_was_away(terminal: Terminal, modem: SimulatedModem) -> None:
    modem.change(status_report=0.02)
    await submit(terminal)
    modem.unplug()
    await asyncio.sleep(0.04)
    with Terminal(modem.plug()) as again:
        await again.whole("ATE0;+CNMI=2,1,0,1,0")
        await silence(again)  # it came while nothing was set
    assert modem.counters.incoming == 1


async def test_what_is_shown_under_phase_2_plus_wants_its_acknowledgement_one_at_a_time(
    terminal: Terminal, modem: SimulatedModem
) -> None:
    await terminal.whole("AT+CSMS=1;+CNMI=2,2,0,1,0")
    modem.deliver(SENDER, "one")
    modem.deliver(SENDER, "two")
    assert decode_deliver(await shown(terminal, "+CMT:")).text == "one"
    await silence(terminal)
    terminal.type(b"AT+CNMA\r")
    assert decode_deliver(await shown(terminal, "+CMT:")).text == "two"
    await terminal.whole("AT+CNMA=1")
    assert await terminal.whole("AT+CNMA") == "\r\n+CMS ERROR: 340\r\n"
    assert (modem.counters.acknowledged, modem.counters.unacknowledged) == (2, 0)


async def test_without_acknowledgement_the_modem_falls_silent_and_the_network_tries_again(
    terminal: Terminal, modem: SimulatedModem
) -> None:
    modem.change(acknowledge_within=0.02, redelivery=0.02)
    await terminal.whole("AT+CSMS=1;+CNMI=2,2,0,1,0")
    modem.deliver(SENDER, "one")
    await shown(terminal, "+CMT:")
    await asyncio.sleep(0.03)
    assert "+CNMI: 2,0,0,0,0" in await terminal.whole("AT+CNMI?")
    assert modem.counters.unacknowledged == 1
    await asyncio.sleep(0.03)
    assert modem.stored == 1  # stored, for nothing is shown any more


async def test_what_is_refused_comes_again(terminal: Terminal, modem: SimulatedModem) -> None:
    modem.change(redelivery=0.02, phase_2_plus=True)
    assert await terminal.whole("AT+CSMS=0") == "\r\n+CMS ERROR: 303\r\n"
    assert "+CSMS: 1,1,1,1" in await terminal.whole("AT+CSMS?")
    await terminal.whole("AT+CNMI=2,2,0,1,0")
    modem.deliver(SENDER, "one")
    await shown(terminal, "+CMT:")
    await terminal.whole("AT+CNMA=2")
    assert decode_deliver(await shown(terminal, "+CMT:")).text == "one"
    await terminal.whole("AT+CNMA")


async def test_what_was_shown_before_a_reset_comes_again(terminal: Terminal, modem: SimulatedModem) -> None:
    modem.change(phase_2_plus=True, boot=0.0)
    await terminal.whole("AT+CNMI=2,2,0,1,0")
    modem.deliver(SENDER, "one")
    await shown(terminal, "+CMT:")
    modem.reset()
    assert modem.stored == 1
