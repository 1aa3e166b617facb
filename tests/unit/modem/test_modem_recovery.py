"""Bringing a modem back: each step of the ladder, what it takes, and what is shown of it."""

import asyncio

import pytest
from modem_desk import WALL, Desk, FakeUsbPower, send
from scripted_modem import ScriptedModem

from otpbroker.errors import Unavailable
from otpbroker.events import Fault, ModemState, RecoveryStep
from otpbroker.modem.health import BROWNOUT_PERIOD, BROWNOUTS, INCIDENTS, STEPS
from otpbroker.modem.ladder import GOOD_WHILE, SECONDS
from otpbroker.modem.session import HEARTBEAT
from otpbroker.sms.submission import Refused, Retry, Sent, Unknown
from virtual_run import in_virtual_time, now

RESYNC, RADIO, REOPEN, USB_RESET, PORT_POWER, QUARANTINE = RecoveryStep
DEAF = dict.fromkeys(ScriptedModem().answers, None)


def deaf() -> ScriptedModem:
    return ScriptedModem(dict(DEAF))


@in_virtual_time
async def test_a_dead_modem_is_taken_up_the_whole_ladder_then_left_alone_for_longer_and_longer() -> None:
    bus = FakeUsbPower()
    desk = Desk(deaf(), usb="1-1.2", usb_power=bus)
    began = now()
    async with desk.running() as modem:
        await desk.until(lambda: modem.status.state is ModemState.QUARANTINED, 120)
        assert now() - began < 4 * SECONDS[RESYNC] + 4
        assert bus.asked == [(USB_RESET, "1-1.2"), (PORT_POWER, "1-1.2")]
        health = modem.status.health
        assert (health.step, health.since, health.tries) == (QUARANTINE, WALL, 4)
        assert (health.faults, health.resets) == (1, 2)
        (incident,) = health.incidents
        assert (incident.fault, incident.cured_by, incident.seconds) == (Fault.DEAF, None, None)
        assert [taken.step for taken in incident.steps] == [REOPEN, USB_RESET, PORT_POWER]
        assert all(8 <= taken.seconds <= SECONDS[taken.step] for taken in incident.steps)
        assert (modem.ready, modem.recovering) == (False, False)
        assert "from time to time" in modem.status.detail
        openings = len(desk.opened)
        await asyncio.sleep(3600)
        assert openings + 6 < len(desk.opened) < openings + 30  # rests of half a minute to 15 minutes
        assert len(modem.status.health.incidents[0].steps) <= STEPS
        assert modem.status.health.faults == 1


@pytest.mark.parametrize(("step", "others"), [(USB_RESET, [REOPEN]), (PORT_POWER, [REOPEN, USB_RESET])])
@in_virtual_time
async def test_the_step_that_cures_is_told_with_the_time_it_took(
    step: RecoveryStep, others: list[RecoveryStep]
) -> None:
    bus = FakeUsbPower()
    wire = deaf()
    bus.heals[step] = wire
    desk = Desk(wire, usb="1-1.2", usb_power=bus)
    began = now()
    async with desk.running() as modem:
        await desk.until(lambda: modem.ready, 120)
        health = modem.status.health
        assert (health.step, health.since, health.tries) == (None, None, 0)
        (incident,) = health.incidents
        assert incident.cured_by is step
        assert incident.seconds == pytest.approx(now() - began - 8, abs=0.1)  # 8 s until it was known to be dead
        assert [taken.step for taken in incident.steps] == [*others, step]
        assert sum(taken.seconds for taken in incident.steps) == pytest.approx(incident.seconds)
        assert await send(modem) == Sent((1,))


@pytest.mark.parametrize("socket", [None, "1-1.2"])
@in_virtual_time
async def test_without_the_means_the_steps_of_the_bus_are_left_out(socket: str | None) -> None:
    bus = FakeUsbPower(resets=False, cycles=False)
    desk = Desk(deaf(), usb=socket, usb_power=bus)
    async with desk.running() as modem:
        await desk.until(lambda: modem.status.state is ModemState.QUARANTINED, 120)
        assert len(bus.asked) == (2 if socket else 0)
        health = modem.status.health
        assert ([taken.step for taken in health.incidents[0].steps], health.tries) == ([REOPEN], 2)
        assert health.resets == 0
        await asyncio.sleep(1800)
        assert len(bus.asked) == (2 if socket else 0)  # what can't be is not asked again


@pytest.mark.parametrize("step", [USB_RESET, PORT_POWER])
@in_virtual_time
async def test_a_step_of_the_bus_that_cannot_be_now_is_tried_in_the_next_round(step: RecoveryStep) -> None:
    bus = FakeUsbPower()
    bus.refusals = 2
    wire = deaf()
    bus.heals[step] = wire
    desk = Desk(wire, usb="1-1.2", usb_power=bus)
    async with desk.running() as modem:
        await desk.until(lambda: modem.status.state is ModemState.QUARANTINED, 120)
        health = modem.status.health
        assert ([taken.step for taken in health.incidents[0].steps], health.tries) == ([REOPEN], 2)
        assert health.resets == 0
        await desk.until(lambda: modem.ready, 240)
        assert modem.status.health.incidents[0].cured_by is step


@in_virtual_time
async def test_a_device_that_does_not_come_back_is_given_the_next_step() -> None:
    bus = FakeUsbPower()
    desk = Desk(deaf(), deaf(), Unavailable("port-absent", "gone"), usb="1-1.2", usb_power=bus)
    async with desk.running() as modem:
        await desk.until(lambda: len(bus.asked) == 2, 120)
        assert modem.status.health.step is PORT_POWER
        assert modem.status.health.incidents[0].steps[-1].step is USB_RESET
        assert modem.status.health.incidents[0].steps[-1].seconds == pytest.approx(SECONDS[USB_RESET], abs=6)
        await desk.until(lambda: modem.status.state is ModemState.QUARANTINED, 120)
        await desk.until(lambda: modem.status.state is ModemState.ABSENT, 120)
        assert modem.status.health.step is None


@in_virtual_time
async def test_an_answer_that_is_owed_moves_with_the_modem_to_its_new_port() -> None:
    """A device that was taken from its drivers has not been without power."""
    bus = FakeUsbPower()
    wire = ScriptedModem({"AT+CFUN=4": "ERROR"}, on_pdu=lambda _: None)
    desk = Desk(wire, usb="1-1.2", usb_power=bus, port="/dev/ttyUSB0")
    async with desk.ready() as modem:
        sent_at = now()
        sending = asyncio.create_task(send(modem))
        await asyncio.sleep(1)
        wire.answers = dict(DEAF)
        assert await sending == Unknown("no-answer")
        await desk.until(lambda: bool(bus.asked), 60)
        desk.ports.port = "/dev/ttyUSB7"
        wire.answers = ScriptedModem({"AT+CFUN=4": "ERROR"}).answers
        await desk.until(lambda: modem.ready, 60)
        assert now() - sent_at == pytest.approx(60, abs=0.5)
        assert desk.opened[-1][1] == "/dev/ttyUSB7"


@in_virtual_time
async def test_a_modem_that_fails_again_soon_climbs_and_one_that_worked_for_long_does_not() -> None:
    silence: list[str | None] = []

    def answer(_pdu: str) -> str | None:
        return silence.pop() if silence else ScriptedModem.accept(wire, _pdu)

    wire = ScriptedModem(on_pdu=answer)
    desk = Desk(wire)
    async with desk.ready() as modem:

        async def hang() -> tuple[RecoveryStep | None, int]:
            silence.append(None)
            assert await send(modem) == Unknown("no-answer")
            await desk.until(lambda: modem.ready)
            return modem.status.health.incidents[0].cured_by, len(desk.opened)

        assert await hang() == (RADIO, 1)  # for the answer that may still come
        assert await hang() == (REOPEN, 2)
        assert isinstance(await send(modem), Sent)
        await asyncio.sleep(GOOD_WHILE)
        assert await hang() == (RADIO, 2)
        assert [incident.fault for incident in modem.status.health.incidents] == [Fault.SILENT] * 3
        assert modem.status.health.faults == 3


@in_virtual_time
async def test_the_last_incidents_are_remembered_newest_first() -> None:
    wire = ScriptedModem()
    desk = Desk(wire)
    async with desk.ready() as modem:
        for number in range(INCIDENTS + 3):
            await asyncio.sleep(30)
            wire.say("\r\nRDY\r\n")
            await desk.until(lambda: modem.ready)
            assert await send(modem) == Sent((number + 1,))
        health = modem.status.health
        assert (len(health.incidents), health.faults) == (INCIDENTS, INCIDENTS + 3)
        assert {incident.fault for incident in health.incidents} == {Fault.RESTARTED}


@in_virtual_time
async def test_what_is_pulled_out_is_not_ill() -> None:
    wire = ScriptedModem()
    desk = Desk(wire, Unavailable("port-absent", "gone"))
    async with desk.ready() as modem:
        wire.hang_up()
        await asyncio.sleep(3600)
        assert modem.status.state is ModemState.ABSENT
        assert (modem.status.health.faults, modem.status.health.step) == (0, None)


@in_virtual_time
async def test_what_is_pulled_out_while_it_is_brought_back_begins_anew() -> None:
    bus = FakeUsbPower()
    wire = deaf()
    desk = Desk(wire, usb="1-1.2", usb_power=bus)
    async with desk.running() as modem:
        await desk.until(lambda: modem.status.health.step is REOPEN)
        desk.plugged[:] = [Unavailable("port-absent", "gone")]
        wire.hang_up()
        await desk.until(lambda: modem.status.state is ModemState.ABSENT)
        assert modem.status.health.step is None
        assert (modem.status.health.incidents[0].cured_by, bus.asked) == (None, [])


@in_virtual_time
async def test_a_modem_that_is_plugged_in_again_is_not_kept_in_quarantine() -> None:
    desk = Desk(deaf())
    async with desk.running() as modem:
        await desk.until(lambda: modem.status.state is ModemState.QUARANTINED, 120)
        desk.plugged[:] = [ScriptedModem()]
        began = now()
        desk.ports.plugged.set()
        await desk.until(lambda: modem.ready)
        assert now() - began < 0.1


@in_virtual_time
async def test_its_own_reset_is_not_taken_for_a_new_modem() -> None:
    bus = FakeUsbPower()
    desk = Desk(deaf(), usb="1-1.2", usb_power=bus)
    async with desk.running() as modem:
        await desk.until(lambda: bool(bus.asked), 60)
        desk.ports.missing = Unavailable("modem-absent", "gone for a moment")
        await desk.until(lambda: modem.status.state is ModemState.QUARANTINED, 120)
        assert [step for step, _ in bus.asked] == [USB_RESET, PORT_POWER]


@in_virtual_time
async def test_a_port_that_hangs_up_again_and_again_is_opened_with_pauses_and_its_device_reset() -> None:
    bus = FakeUsbPower()

    class Loose(ScriptedModem):
        def write(self, _data: bytes) -> None:
            asyncio.get_running_loop().call_soon(self.hang_up)

    loose = Loose()
    desk = Desk(loose, usb="1-1.2", usb_power=bus)
    async with desk.running() as modem:
        await asyncio.sleep(600)
        assert 200 < len(desk.opened) < 600
        assert bus.asked[:2] == [(USB_RESET, "1-1.2"), (PORT_POWER, "1-1.2")]
        assert modem.status.health.incidents[0].fault is Fault.HANGS_UP
        desk.plugged[:] = [ScriptedModem()]
        await desk.until(lambda: modem.ready, 5)


@in_virtual_time
async def test_a_port_that_is_there_and_does_not_open_is_a_fault_and_one_that_is_busy_is_not() -> None:
    bus = FakeUsbPower()
    dead, busy = Unavailable("port-dead", "does not open"), Unavailable("port-busy", "in use")
    desk = Desk(busy, usb="1-1.2", usb_power=bus)
    async with desk.running() as modem:
        await asyncio.sleep(300)
        assert (modem.status.state, modem.status.health.faults, bus.asked) == (ModemState.ABSENT, 0, [])
        desk.plugged[:] = [dead]
        await desk.until(lambda: modem.status.health.faults == 1, 30)
        await desk.until(lambda: len(bus.asked) == 2, 30)


@in_virtual_time
async def test_a_modem_that_refuses_what_it_has_to_do_is_sent_off_the_network_and_back_before_it_is_closed() -> (
    None
):
    wire = ScriptedModem({"AT+CMGF=0": "+CME ERROR: 100"})
    desk = Desk(wire, ScriptedModem())
    async with desk.running() as modem:
        await desk.until(lambda: modem.ready, 60)
        assert wire.lines.count("AT+CFUN=4") == wire.lines.count("AT+CFUN=1") == 1
        assert modem.status.health.incidents[0].fault is Fault.UNWILLING
        assert modem.status.health.incidents[0].cured_by is REOPEN


@in_virtual_time
async def test_a_message_that_meets_a_silent_heartbeat_waits_no_longer_than_for_one_answer() -> None:
    wire = ScriptedModem()
    desk = Desk(wire, ScriptedModem())
    async with desk.ready() as modem:
        wire.answers = dict(DEAF)
        await asyncio.sleep(HEARTBEAT + 0.1)
        began = now()
        assert await send(modem) == Refused("not-ready", Retry.LATER)
        assert now() - began <= 5
        assert modem.status.state is ModemState.RECOVERING
        await desk.until(lambda: modem.ready)


@in_virtual_time
async def test_a_modem_that_leaves_the_bus_whenever_it_sends_is_left_alone_and_its_power_doubted() -> None:
    wire = ScriptedModem()
    wire.on_pdu = lambda _: asyncio.get_running_loop().call_soon(wire.hang_up) and None
    desk = Desk(wire)
    async with desk.ready() as modem:
        for _ in range(3):
            assert await send(modem) == Unknown("link-lost")
            await asyncio.sleep(21)
        assert modem.status.state is ModemState.QUARANTINED
        assert modem.status.health.incidents[0].fault is Fault.DROPS_OUT
        assert modem.status.notes == ("brownout",)
        desk.ports.plugged.set()  # no news of this modem
        await asyncio.sleep(1)
        assert modem.status.state is ModemState.QUARANTINED
        await desk.until(lambda: modem.ready, 60)
        wire.on_pdu = wire.accept
        assert isinstance(await send(modem), Sent)


@in_virtual_time
async def test_one_that_is_pulled_out_now_and_then_while_it_sends_is_not_suspected() -> None:
    wire = ScriptedModem()
    desk = Desk(wire)
    async with desk.ready() as modem:
        for _ in range(6):
            wire.on_pdu = lambda _: asyncio.get_running_loop().call_soon(wire.hang_up) and None
            assert await send(modem) == Unknown("link-lost")
            await desk.until(lambda: modem.ready)
            wire.on_pdu = wire.accept
            assert isinstance(await send(modem), Sent)
        assert modem.status.health.faults == 0


@pytest.mark.parametrize(
    ("question", "answer", "state"),
    [("AT+CPIN?", "+CME ERROR: 10", ModemState.BLOCKED), ("AT+CREG?", "+CREG: 1,2\r\nOK", ModemState.STARTING)],
)
@in_virtual_time
async def test_what_needs_hands_or_a_network_is_no_step_of_ours(
    question: str, answer: str, state: ModemState
) -> None:
    wire = ScriptedModem()
    desk = Desk(wire)
    async with desk.ready() as modem:
        await asyncio.sleep(30)
        wire.answers[question] = answer
        wire.say("\r\nRDY\r\n")
        await asyncio.sleep(10)
        health = modem.status.health
        assert (modem.status.state, health.step) == (state, None)
        assert health.incidents[0].cured_by is RESYNC


@in_virtual_time
async def test_signs_of_weak_power_are_counted_once_each_and_noted_for_a_day() -> None:
    wire = ScriptedModem({"AT+CGMI": "SIMCOM_Ltd\r\nOK", "AT+CGMM": "SIM800C\r\nOK"})
    desk = Desk(wire)
    async with desk.ready() as modem:
        for number in range(1, BROWNOUTS + 1):
            assert modem.status.notes == ()
            await asyncio.sleep(60)
            for _ in range(5):
                wire.say("\r\nUNDER-VOLTAGE WARNNING\r\n")
                await asyncio.sleep(2)
            assert modem.status.health.brownouts == number
            assert modem.ready
        assert modem.status.notes == ("brownout",)
        await asyncio.sleep(BROWNOUT_PERIOD - 300)
        assert modem.status.notes == ("brownout",)
        await asyncio.sleep(600)
        assert modem.status.notes == ()
