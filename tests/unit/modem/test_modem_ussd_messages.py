"""USSD and messages on one modem: neither is in the other's way."""

import asyncio

import pytest
from modem_desk import Desk, send
from ussd_wire import BALANCE, CODE, MENU, SAID, UssdWire, failure

from otpbroker.events import ModemState
from otpbroker.modem.modem import Modem
from otpbroker.modem.session import HEARTBEAT
from otpbroker.modem.ussd import TURN_LIMIT
from otpbroker.sms.submission import Refused, Sent
from otpbroker.sms.ussd import Writing, write
from virtual_run import in_virtual_time, now

PACKED, UNITS = write(CODE, Writing.PACKED), write(CODE, Writing.UCS2)


class TestMessages:
    @in_virtual_time
    async def test_a_code_waits_for_the_message_in_the_air(self) -> None:
        wire = UssdWire({CODE: SAID})
        desk = Desk(wire)
        async with desk.ready() as modem:
            wire.on_pdu = lambda _: None
            sending = asyncio.create_task(send(modem))
            await asyncio.sleep(1)
            asking = asyncio.create_task(modem.ussd.run(CODE))
            await asyncio.sleep(4)
            assert wire.asked == []
            wire.say("\r\n+CMGS: 7\r\n\r\nOK\r\n")
            assert isinstance(await sending, Sent)
            assert modem.status.state is ModemState.BUSY  # no other message gets in between
            assert isinstance(await send(modem), Refused)
            assert (await asking).text == BALANCE
            assert isinstance(await modem_ready_send(desk, wire), Sent)
            assert wire.clashes == 0

    @in_virtual_time
    async def test_who_just_sent_a_message_is_not_offered_the_modem_while_a_code_waits_for_it(self) -> None:
        wire = UssdWire({CODE: SAID})
        async with Desk(wire).ready() as modem:
            wire.on_pdu = lambda _: None
            sending = asyncio.create_task(sent_and_ready(modem))
            await asyncio.sleep(1)
            asking = asyncio.create_task(modem.ussd.run(CODE))
            await asyncio.sleep(1)
            wire.say("\r\n+CMGS: 7\r\n\r\nOK\r\n")
            assert await sending == (Sent((7,)), False)
            assert (await asking).text == BALANCE

    @in_virtual_time
    async def test_a_message_does_not_queue_up_behind_a_code_that_waits_for_the_heartbeat(self) -> None:
        wire = UssdWire({CODE: SAID}, delay=20.0)
        desk = Desk(wire)
        async with desk.ready() as modem:
            wire.answers["AT+CSQ"] = None
            await asyncio.sleep(HEARTBEAT + 1)  # it waits for that answer
            asking = asyncio.create_task(modem.ussd.run(CODE))
            await asyncio.sleep(0.5)
            assert modem.ready
            began = now()
            assert isinstance(await send(modem), Refused)
            assert now() - began < 0.1
            wire.say("\r\n+CSQ: 20,99\r\n\r\nOK\r\n")
            assert (await asking).text == BALANCE

    @in_virtual_time
    async def test_a_message_that_hangs_does_not_make_the_caller_wait_for_ever(self) -> None:
        wire = UssdWire({CODE: SAID})
        async with Desk(wire).ready() as modem:
            wire.on_pdu = lambda _: None
            sending = asyncio.create_task(send(modem))
            await asyncio.sleep(1)
            began = now()
            error = await failure(modem.ussd.run(CODE))
            assert (error.code, now() - began) == ("modem-busy", pytest.approx(TURN_LIMIT, abs=0.1))
            assert modem.status.state is ModemState.SENDING
            wire.say("\r\n+CMGS: 7\r\n\r\nOK\r\n")
            assert isinstance(await sending, Sent)
            assert modem.status.state is ModemState.READY

    @in_virtual_time
    async def test_no_message_is_sent_while_a_session_is_open_and_the_next_one_is_afterwards(self) -> None:
        wire = UssdWire({"*123#": MENU, "1": SAID})
        async with Desk(wire).ready() as modem:
            await modem.ussd.run("*123#")
            assert isinstance(await send(modem), Refused)
            await modem.ussd.reply("1")
            await asyncio.sleep(0)
            assert isinstance(await send(modem), Sent)
            assert wire.clashes == 0

    @in_virtual_time
    async def test_the_heartbeat_does_not_break_into_a_session(self) -> None:
        wire = UssdWire({"*123#": MENU, "1": MENU, "2": SAID})
        async with Desk(wire).ready() as modem:
            await asyncio.sleep(30)
            await modem.ussd.run("*123#")
            asked_signal = wire.lines.count("AT+CSQ")
            await asyncio.sleep(40)  # over the time of the heartbeat
            await modem.ussd.reply("2")
            assert wire.lines.count("AT+CSQ") == asked_signal
            await asyncio.sleep(1)
            assert wire.lines.count("AT+CSQ") == asked_signal + 1


async def sent_and_ready(modem: Modem) -> tuple[object, bool]:
    """A message's result, and whether the modem is ready at the same moment."""
    return await send(modem), modem.ready


async def modem_ready_send(desk: Desk, wire: UssdWire) -> object:
    wire.on_pdu = wire.accept
    await desk.until(lambda: desk.modem.ready)
    return await send(desk.modem)
