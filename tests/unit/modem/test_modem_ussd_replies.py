"""A USSD session in which the network asks back."""

import asyncio
from contextlib import suppress

import pytest
from modem_desk import Desk
from ussd_wire import BALANCE, CODE, MENU, UssdWire, failure

from otpbroker.errors import Rejected
from otpbroker.events import ModemState
from otpbroker.modem.ussd_dialogue import REPLY_LIMIT, SESSION_LIMIT
from otpbroker.sms.ussd import Writing, write
from virtual_run import in_virtual_time, now

PACKED, UNITS = write(CODE, Writing.PACKED), write(CODE, Writing.UCS2)


class TestReplies:
    @in_virtual_time
    async def test_a_menu_is_walked_through(self) -> None:
        wire = UssdWire({"*123#": MENU, "1": f'+CUSD: 1,"{BALANCE}\n9. Kembali",15', "9": '+CUSD: 0,"Selesai",15'})
        async with Desk(wire).ready() as modem:
            menu = await modem.ussd.run("*123#")
            assert menu.text == "1. Cek pulsa\n2. Paket"
            assert menu.expires_in == REPLY_LIMIT
            assert modem.status.state is ModemState.BUSY
            assert (modem.ready, modem.recovering) == (False, True)
            assert modem.ussd.waits
            deeper = await modem.ussd.reply("1")
            assert deeper.replyable
            last = await modem.ussd.reply("9")
            assert (last.text, last.replyable) == ("Selesai", False)
            await asyncio.sleep(0)
            assert modem.status.state is ModemState.READY
            assert wire.released == 0

    @in_virtual_time
    async def test_a_menu_can_be_left(self) -> None:
        wire = UssdWire({"*123#": MENU})
        async with Desk(wire).ready() as modem:
            await modem.ussd.run("*123#")
            await modem.ussd.end()
            assert wire.released == 1
            assert modem.ready
            assert (await failure(modem.ussd.reply("1"))).code == "ussd-no-session"
            await modem.ussd.end()

    @in_virtual_time
    async def test_a_menu_that_nobody_answers_ends_by_itself(self) -> None:
        wire = UssdWire({"*123#": MENU})
        desk = Desk(wire)
        async with desk.ready() as modem:
            await modem.ussd.run("*123#")
            began = now()
            await asyncio.sleep(REPLY_LIMIT - 5)
            assert modem.recovering  # messages may still wait for it
            await desk.until(lambda: modem.ready, seconds=300)
            assert now() - began == pytest.approx(REPLY_LIMIT, abs=0.1)
            assert wire.released == 1

    @in_virtual_time
    async def test_no_session_lasts_for_ever(self) -> None:
        wire = UssdWire({"*123#": MENU, "1": MENU})
        desk = Desk(wire)
        async with desk.ready() as modem:
            began = now()
            answer = await modem.ussd.run("*123#")
            while answer.replyable:
                await asyncio.sleep(min(30.0, answer.expires_in or 0))
                with suppress(Rejected):
                    answer = await modem.ussd.reply("1")
                    continue
                break
            await desk.until(lambda: modem.ready)
            assert now() - began < SESSION_LIMIT + 5
            assert wire.released == 1

    @in_virtual_time
    async def test_a_caller_who_is_gone_before_the_answer_leaves_no_session_open(self) -> None:
        wire = UssdWire({"*123#": MENU})
        async with Desk(wire).ready() as modem:
            caller = asyncio.create_task(modem.ussd.run("*123#"))
            await asyncio.sleep(1)
            caller.cancel()
            await asyncio.sleep(1.5)
            assert wire.released == 1
            assert modem.ready

    @in_virtual_time
    async def test_a_network_that_waits_no_longer_ends_the_session(self) -> None:
        wire = UssdWire({"*123#": MENU})
        desk = Desk(wire)
        async with desk.ready() as modem:
            await modem.ussd.run("*123#")
            wire.tell("+CUSD: 2")
            await desk.until(lambda: modem.ready, seconds=1)
            assert (await failure(modem.ussd.reply("1"))).code == "ussd-no-session"
            assert wire.released == 0

    @in_virtual_time
    async def test_one_session_at_a_time_and_one_word_at_a_time(self) -> None:
        wire = UssdWire({"*123#": MENU})
        async with Desk(wire).ready() as modem:
            first = asyncio.create_task(modem.ussd.run("*123#"))
            await asyncio.sleep(1)
            assert (await failure(modem.ussd.run(CODE))).code == "ussd-busy"
            assert (await failure(modem.ussd.reply("1"))).code == "ussd-busy"
            assert (await first).replyable

    @in_virtual_time
    async def test_a_refused_reply_releases_the_network(self) -> None:
        wire = UssdWire({"*123#": MENU}, refuses=lambda string: "+CME ERROR: 3" if string == "1" else None)
        async with Desk(wire).ready() as modem:
            await modem.ussd.run("*123#")
            assert (await failure(modem.ussd.reply("1"))).code == "cme-3"
            await asyncio.sleep(0.1)
            assert wire.released == 1
