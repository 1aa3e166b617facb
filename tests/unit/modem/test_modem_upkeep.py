"""Looking after a modem: lost networks, dead modems, missing ports, stopping."""

import asyncio
import itertools

import pytest
from modem_desk import Desk, send
from scripted_modem import ScriptedModem

from otpbroker.errors import Misconfigured, Unavailable
from otpbroker.events import ModemChanged, ModemState
from otpbroker.modem.modem import STOP_LIMIT
from otpbroker.modem.session import HEARTBEAT
from otpbroker.sms.submission import Refused, Retry, Sent, Unknown
from virtual_run import in_virtual_time, now


@in_virtual_time
async def test_a_modem_that_dies_in_idleness_is_noticed_by_the_heartbeat() -> None:
    dead, fresh = ScriptedModem(), ScriptedModem()
    desk = Desk(dead, fresh)
    async with desk.ready() as modem:
        dead.answers = dict.fromkeys(dead.answers, None)
        await asyncio.sleep(HEARTBEAT + 30)
        assert dead.closed
        await desk.until(lambda: modem.ready)


@in_virtual_time
async def test_the_heartbeat_keeps_the_signal_fresh() -> None:
    wire = ScriptedModem()
    async with Desk(wire).ready() as modem:
        wire.answers["AT+CSQ"] = "+CSQ: 10,99\r\nOK"
        await asyncio.sleep(HEARTBEAT + 1)
        assert modem.status.signal_dbm == -93


@in_virtual_time
async def test_a_modem_that_calls_all_the_time_is_looked_after_all_the_same() -> None:
    wire = ScriptedModem()
    async with Desk(wire).ready() as modem:
        wire.answers["AT+CSQ"] = "+CSQ: 10,99\r\nOK"
        for _ in range(5):
            wire.say('\r\n+CDSI: "SM",1\r\n')
            await asyncio.sleep(HEARTBEAT / 4)
        assert modem.status.signal_dbm == -93


@in_virtual_time
async def test_unsolicited_signal_reports_show() -> None:
    wire = ScriptedModem()
    async with Desk(wire).ready() as modem:
        wire.say("\r\n^RSSI: 31\r\n")
        assert modem.status.signal_dbm == -51
        wire.say("\r\n+CSQ: 99,99\r\n")
        assert modem.status.signal_dbm is None


@in_virtual_time
async def test_nothing_is_published_when_nothing_changed() -> None:
    wire = ScriptedModem()
    desk = Desk(wire)
    async with desk.ready():
        with desk.bus.subscribe() as events:
            for _ in range(5):
                wire.say('\r\n+CREG: 1\r\n\r\n^RSSI: 20\r\n\r\n+CMTI: "SM",1\r\n')
            await asyncio.sleep(3 * HEARTBEAT)
            desk.bus.close()
            assert [event async for event in events if isinstance(event, ModemChanged)] == []


@in_virtual_time
async def test_a_modem_that_restarted_gets_its_settings_again() -> None:
    wire = ScriptedModem()
    desk = Desk(wire)
    async with desk.ready() as modem:
        wire.say("\r\nRDY\r\n")
        assert not modem.ready
        await desk.until(lambda: modem.ready)
        assert wire.lines.count("AT+CMGF=0") == 2
    assert len(desk.opened) == 1


@in_virtual_time
async def test_an_absent_port_is_tried_with_growing_waits_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(Unavailable("port-absent", "/dev/ttyUSB0 is not there"))
    async with desk.running() as modem:
        await asyncio.sleep(120)
        assert modem.status.state is ModemState.ABSENT
        assert "not there" in modem.status.detail
        times = [at for at, _ in desk.opened]
        waits = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert 0.4 <= waits[0] <= 0.6
        assert all(4 <= wait <= 6 for wait in waits[4:])
        assert len([record for record in caplog.records if "not there" in record.getMessage()]) == 1
        desk.plugged.append(ScriptedModem())
        desk.plugged.pop(0)
        await desk.until(lambda: modem.ready)


@in_virtual_time
async def test_a_pulled_modem_is_expected_back_for_moments() -> None:
    wire = ScriptedModem()
    desk = Desk(wire, Unavailable("port-absent", "gone"))
    async with desk.ready() as modem:
        wire.hang_up()
        await asyncio.sleep(1)
        assert (modem.status.state, modem.recovering) == (ModemState.RECOVERING, True)
        await asyncio.sleep(30)
        assert (modem.status.state, modem.recovering) == (ModemState.ABSENT, False)


@in_virtual_time
async def test_wrong_port_settings_block_with_their_remedy() -> None:
    desk = Desk(Misconfigured("port-settings", "no such rate", remedy="check baud_rate"))
    async with desk.running() as modem:
        await asyncio.sleep(1)
        assert modem.status.state is ModemState.BLOCKED
        assert "check baud_rate" in modem.status.detail


@in_virtual_time
async def test_stopping_lets_the_message_in_the_air_end() -> None:
    wire = ScriptedModem(on_pdu=lambda _: None)
    desk = Desk(wire)
    async with desk.ready() as modem:
        running = next(task for task in asyncio.all_tasks() if "Modem.run" in repr(task.get_coro()))
        sending, waiting = asyncio.create_task(send(modem)), asyncio.create_task(send(modem))
        await asyncio.sleep(1)
        running.cancel()
        await asyncio.sleep(1)
        assert not modem.ready
        assert not wire.closed
        wire.say("+CMGS: 5\r\nOK\r\n")
        assert await sending == Sent((5,))
        assert await waiting == Refused("not-ready", Retry.LATER)
        await asyncio.sleep(1)
        assert wire.closed
        assert modem.status.state is ModemState.ABSENT


@in_virtual_time
async def test_stopping_waits_no_longer_than_its_limit() -> None:
    wire = ScriptedModem(on_pdu=lambda _: None)
    desk = Desk(wire)
    async with desk.ready() as modem:
        sending = asyncio.create_task(send(modem))
        await asyncio.sleep(1)
        began = now()
    assert now() - began == pytest.approx(STOP_LIMIT)
    assert await sending == Unknown("link-lost")
