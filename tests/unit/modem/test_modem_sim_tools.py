"""PIN, PUK and service centre by hand: never a last try, and no try lost whenever the process dies."""

import asyncio
import copy
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import pytest
from card_wire import CardWire
from modem_desk import Desk, send
from scripted_modem import ScriptedModem

from otpbroker.config.model import Config, ModemSection
from otpbroker.errors import Misconfigured, OtpBrokerError, Rejected, Unavailable, UnknownOutcome
from otpbroker.events import ModemState
from otpbroker.modem.sim import PinMemory
from otpbroker.modem.sim_tools import TURN_LIMIT, SimTools, SimView
from otpbroker.modem.simulator.sim_card import SimCard
from otpbroker.sms.submission import Sent
from virtual_run import in_virtual_time, now

PUK = "12345678"


class FakeStore:
    """In memory; `broken` is raised instead of writing."""

    def __init__(self, section: ModemSection) -> None:
        self.config = Config(modems=(section,))
        self.changed_by: list[str] = []
        self.broken: OtpBrokerError | None = None

    async def update(self, change: Callable[[Config], Config], *, by: str) -> Config:
        if self.broken is not None:
            raise self.broken
        new = Config.model_validate(change(self.config).model_dump())
        await asyncio.sleep(0)
        if new != self.config:
            self.config = new
            self.changed_by.append(by)
        return self.config

    @property
    def pin(self) -> str | None:
        found = self.config.modems[0].pin
        return None if found is None else found.get_secret_value()


class Bench:
    """A modem with a card, and the tools for it."""

    def __init__(
        self, card: SimCard, *, pin: str | None = None, pins: PinMemory | None = None, **wire: object
    ) -> None:
        self.card = card
        self.wire = CardWire(card, **wire)  # type: ignore[arg-type] # passes on what it gets
        self.pins = pins or PinMemory()
        self.desk = Desk(self.wire, pin=pin, pins=self.pins)
        self.store = FakeStore(self.desk.modem.config)
        self.tools = SimTools(lambda: (self.desk.modem,), self.store, self.pins)

    async def blocked(self) -> None:
        await self.desk.until(lambda: self.desk.modem.status.state is ModemState.BLOCKED)

    @property
    def tries(self) -> int:
        return len(self.wire.given)


async def failure(attempt: Awaitable[object]) -> OtpBrokerError:
    with pytest.raises(OtpBrokerError) as caught:
        await attempt
    return caught.value


class TestLooking:
    @in_virtual_time
    async def test_at_an_open_sim(self) -> None:
        bench = Bench(SimCard(locked=True), pin="1234")
        async with bench.desk.ready() as modem:
            assert await bench.tools.look("m1") == SimView("READY", pin_required=True, pin_left=3)
            assert modem.ready

    @in_virtual_time
    async def test_at_a_sim_that_wants_its_puk(self) -> None:
        bench = Bench(SimCard(pin_left=0, puk_left=7))
        async with bench.desk.running():
            await bench.blocked()
            view = await bench.tools.look("m1")
            assert (view.state, view.puk_left) == ("SIM PUK", 7)
            assert bench.tries == 0

    @in_virtual_time
    async def test_a_modem_that_hides_everything(self) -> None:
        bench = Bench(SimCard(), hides_tries=True)
        bench.wire._card_answer = lambda line: "ERROR" if "CLCK" in line or "CPINR" in line else None  # type: ignore[method-assign]
        async with bench.desk.ready():
            assert await bench.tools.look("m1") == SimView("READY")

    @in_virtual_time
    async def test_no_such_modem_and_none_there(self) -> None:
        bench = Bench(SimCard())
        assert (await failure(bench.tools.look("m9"))).code == "modem-unknown"
        assert (await failure(bench.tools.look("m1"))).code == "modem-not-ready"


class TestPin:
    @in_virtual_time
    async def test_is_switched_on_and_the_configuration_follows(self) -> None:
        bench = Bench(SimCard(pin="4711"))
        async with bench.desk.ready() as modem:
            await bench.tools.require_pin("m1", "4711", on=True, by="siti")
            assert bench.card.locked
            assert (bench.store.pin, bench.store.changed_by) == ("4711", ["siti"])
            assert modem.ready
            assert isinstance(await send(modem), Sent)

    @in_virtual_time
    async def test_is_switched_off(self) -> None:
        bench = Bench(SimCard(locked=True), pin="1234")
        async with bench.desk.ready():
            await bench.tools.require_pin("m1", "1234", on=False, by="siti")
            assert not bench.card.locked
            assert bench.store.pin == "1234"  # of use when it is switched on again

    @in_virtual_time
    async def test_what_is_so_already_costs_no_try(self) -> None:
        bench = Bench(SimCard())
        async with bench.desk.ready():
            assert (await failure(bench.tools.require_pin("m1", "1234", on=False, by="x"))).code == "pin-already"
            assert (await failure(bench.tools.change_pin("m1", "1234", "4321", by="x"))).code == "pin-off"
            assert (await failure(bench.tools.enter_pin("m1", "1234", by="x"))).code == "sim-state"
            assert (await failure(bench.tools.unblock("m1", PUK, "4321", by="x"))).code == "sim-state"
            assert bench.tries == 0

    @in_virtual_time
    async def test_is_changed_and_the_new_one_opens_the_sim_from_then_on(self) -> None:
        bench = Bench(SimCard(locked=True), pin="1234")
        async with bench.desk.ready():
            await bench.tools.change_pin("m1", "1234", "98765", by="siti")
            assert bench.store.pin == bench.card.pin == "98765"
        again = Bench(bench.card, pin=bench.store.pin, pins=bench.pins)
        async with again.desk.ready():
            assert again.card.pin_left == 3

    @in_virtual_time
    async def test_a_wrong_one_changes_nothing_and_tells_what_is_left(self) -> None:
        bench = Bench(SimCard(locked=True), pin="1234")
        async with bench.desk.ready():
            error = await failure(bench.tools.change_pin("m1", "0000", "98765", by="x"))
            assert isinstance(error, Rejected)
            assert (error.code, error.field) == ("pin-wrong", "pin")
            assert "2 tries left" in error.detail
            assert bench.store.pin == "1234"
        again = Bench(bench.card, pin="1234", pins=bench.pins)
        async with again.desk.ready():  # what is configured is not in doubt
            assert again.card.pin_left == 3

    @in_virtual_time
    async def test_the_last_try_is_never_used(self) -> None:
        bench = Bench(SimCard(locked=True), pin="1234")
        async with bench.desk.ready():
            for expected in ("pin-wrong", "pin-wrong", "sim-last-try", "sim-last-try"):
                error = await failure(bench.tools.require_pin("m1", "0000", on=False, by="x"))
                assert error.code == expected
            assert (await failure(bench.tools.change_pin("m1", "1234", "1111", by="x"))).code == "sim-last-try"
            assert bench.card.pin_left == 1

    @in_virtual_time
    async def test_where_the_tries_are_hidden_one_wrong_pin_is_the_last(self) -> None:
        bench = Bench(SimCard(locked=True), pin="1234", hides_tries=True)
        async with bench.desk.ready():
            assert (await failure(bench.tools.require_pin("m1", "0000", on=False, by="x"))).code == "pin-wrong"
            assert (
                await failure(bench.tools.require_pin("m1", "1234", on=False, by="x"))
            ).code == "pin-tries-hidden"
            assert bench.card.pin_left == 2

    @in_virtual_time
    async def test_a_right_one_makes_up_for_a_wrong_one_where_the_tries_are_hidden(self) -> None:
        bench = Bench(SimCard(locked=True), pin="1234", hides_tries=True)
        async with bench.desk.ready():
            await failure(bench.tools.require_pin("m1", "0000", on=False, by="x"))
        again = Bench(bench.card, pin="1234", pins=bench.pins, hides_tries=True)
        async with again.desk.ready():
            await again.tools.require_pin("m1", "1234", on=False, by="x")
            assert again.card.pin_left == 3

    @in_virtual_time
    async def test_a_refusal_that_tells_nothing_of_the_pin_leaves_no_mark(self) -> None:
        bench = Bench(SimCard(locked=True), pin="1234", answers={'AT+CPWD="SC","1234","9999"': "+CME ERROR: 14"})
        bench.wire._card_answer = (  # type: ignore[method-assign] # a card that is busy
            lambda line: None if "CPWD" in line else CardWire._card_answer(bench.wire, line)
        )
        async with bench.desk.ready():
            error = await failure(bench.tools.change_pin("m1", "1234", "9999", by="x"))
            assert (type(error), error.code) == (Unavailable, "cme-14")
        again = Bench(bench.card, pin="1234", pins=bench.pins)
        async with again.desk.ready():
            pass

    @in_virtual_time
    async def test_can_be_given_to_a_sim_that_asks_for_it(self) -> None:
        bench = Bench(SimCard(locked=True), pin="0000")
        async with bench.desk.running() as modem:
            await bench.blocked()
            assert bench.card.pin_left == 2
            await bench.tools.enter_pin("m1", "1234", by="siti")
            assert bench.store.pin == "1234"
            await bench.desk.until(lambda: modem.ready, 5)
            assert bench.card.pin_left == 3

    @pytest.mark.parametrize("pin", ["", "123", "123456789", "12a4", '1234"', "1234\r", "١٢٣٤", "1234;"])
    @in_virtual_time
    async def test_what_is_no_pin_never_reaches_the_modem(self, pin: str) -> None:
        bench = Bench(SimCard(locked=True), pin="1234")
        async with bench.desk.ready():
            before = len(bench.wire.lines)
            for attempt, field in (
                (bench.tools.enter_pin("m1", pin, by="x"), "pin"),
                (bench.tools.require_pin("m1", pin, on=True, by="x"), "pin"),
                (bench.tools.change_pin("m1", pin, "1234", by="x"), "pin"),
                (bench.tools.change_pin("m1", "1234", pin, by="x"), "new_pin"),
                (bench.tools.unblock("m1", PUK, pin, by="x"), "new_pin"),
                (bench.tools.unblock("m1", f"{pin}1", "1234", by="x"), "puk"),
            ):
                error = await failure(attempt)
                assert (error.field, error.code.endswith("-invalid")) == (field, True)
            assert len(bench.wire.lines) == before


class TestPuk:
    @in_virtual_time
    async def test_opens_a_blocked_sim_with_a_new_pin(self) -> None:
        bench = Bench(SimCard(locked=True, pin_left=0), pin="1234")
        async with bench.desk.running() as modem:
            await bench.blocked()
            await bench.tools.unblock("m1", PUK, "4321", by="siti")
            assert bench.store.pin == bench.card.pin == "4321"
            await bench.desk.until(lambda: modem.ready, 5)

    @in_virtual_time
    async def test_a_wrong_one_is_never_given_twice_and_tells_what_is_left(self) -> None:
        bench = Bench(SimCard(locked=True, pin_left=0))
        async with bench.desk.running():
            await bench.blocked()
            error = await failure(bench.tools.unblock("m1", "00000000", "4321", by="x"))
            assert (error.code, "9 tries left" in error.detail) == ("puk-wrong", True)
            for _ in range(3):
                error = await failure(bench.tools.unblock("m1", "00000000", "1111", by="x"))
                assert error.code == "puk-refused-before"
            assert bench.card.puk_left == 9
            await bench.tools.unblock("m1", PUK, "4321", by="x")

    @in_virtual_time
    async def test_the_last_try_is_never_used(self) -> None:
        bench = Bench(SimCard(locked=True, pin_left=0, puk_left=1))
        async with bench.desk.running():
            await bench.blocked()
            assert (await failure(bench.tools.unblock("m1", PUK, "4321", by="x"))).code == "sim-last-try"
            assert bench.tries == 0

    @in_virtual_time
    async def test_where_the_tries_are_hidden_there_is_one(self) -> None:
        bench = Bench(SimCard(locked=True, pin_left=0), hides_tries=True)
        async with bench.desk.running():
            await bench.blocked()
            await failure(bench.tools.unblock("m1", "00000000", "4321", by="x"))
            assert (await failure(bench.tools.unblock("m1", PUK, "4321", by="x"))).code == "puk-refused-before"
            assert bench.card.puk_left == 9

    @in_virtual_time
    async def test_none_is_ever_given_by_itself(self) -> None:
        bench = Bench(SimCard(locked=True, pin_left=0), pin="1234")
        async with bench.desk.running():
            await asyncio.sleep(24 * 3600)
        assert bench.tries == 0


@dataclass(frozen=True)
class Operation:
    """What is done to which card, by which command, while which PIN is configured."""

    card: SimCard
    pin: str | None
    command: str
    start: Callable[[SimTools], Awaitable[None]]


OPERATIONS = {
    "change": Operation(
        SimCard(locked=True), "1234", "AT+CPWD", lambda tools: tools.change_pin("m1", "1234", "98765", by="x")
    ),
    "on": Operation(
        SimCard(), None, 'AT+CLCK="SC",1', lambda tools: tools.require_pin("m1", "1234", on=True, by="x")
    ),
    "on, another configured": Operation(
        SimCard(), "5555", 'AT+CLCK="SC",1', lambda tools: tools.require_pin("m1", "1234", on=True, by="x")
    ),
    "off": Operation(
        SimCard(locked=True),
        "1234",
        'AT+CLCK="SC",0',
        lambda tools: tools.require_pin("m1", "1234", on=False, by="x"),
    ),
    "puk": Operation(
        SimCard(locked=True, pin_left=0),
        "1234",
        'AT+CPIN="',
        lambda tools: tools.unblock("m1", PUK, "98765", by="x"),
    ),
}


class TestDeath:
    """The process dies at any line that the modem got, and the power goes: no PIN try is lost by the next one."""

    @pytest.mark.parametrize("lost", [False, True], ids=["answered", "answer lost"])
    @pytest.mark.parametrize("name", OPERATIONS)
    @in_virtual_time
    async def test_at_every_line(self, name: str, lost: bool) -> None:
        operation = OPERATIONS[name]
        bench = Bench(copy.deepcopy(operation.card), pin=operation.pin)
        snapshots = []
        async with bench.desk.running() as modem:
            await bench.desk.until(lambda: modem.status.state in {ModemState.READY, ModemState.BLOCKED})
            bench.wire.on_line = lambda _: snapshots.append(
                (copy.deepcopy(bench.card), bench.store.pin, copy.deepcopy(bench.pins))
            )
            bench.wire.lost = operation.command if lost else ""
            with suppress(OtpBrokerError):
                await operation.start(bench.tools)
            await asyncio.sleep(1)
        assert sum(line.startswith(operation.command) for line in bench.wire.given) == 1
        assert len(snapshots) >= 3
        for then, stored, pins in snapshots:
            tries = then.pin_left
            next_process = Bench(then, pin=stored, pins=pins)
            async with next_process.desk.running():
                await asyncio.sleep(120)
            assert then.pin_left in {tries, 3}
            assert then.pin_left in {0, 3}

    @in_virtual_time
    async def test_what_is_in_doubt_says_so_and_a_hand_puts_it_right(self) -> None:
        bench = Bench(SimCard(locked=True), pin="1234")
        async with bench.desk.ready():
            killed = asyncio.Event()
            bench.wire.on_line = lambda line: killed.set() if "CPWD" in line else None
            operation = asyncio.create_task(bench.tools.change_pin("m1", "1234", "98765", by="x"))
            await killed.wait()
            stored, pins = bench.store.pin, copy.deepcopy(bench.pins)
            await operation
        again = Bench(bench.card, pin=stored, pins=pins)
        async with again.desk.running() as modem:
            await again.blocked()
            assert "was being changed" in modem.status.detail
            await again.tools.enter_pin("m1", "98765", by="siti")
            assert again.store.pin == "98765"
            await again.desk.until(lambda: modem.ready, 5)
            assert again.card.pin_left == 3
            again.wire.card.power_up()


@in_virtual_time
async def test_an_answer_that_is_lost_is_told_and_nothing_more_is_tried() -> None:
    bench = Bench(SimCard(locked=True), pin="1234")
    async with bench.desk.ready() as modem:
        bench.wire.lost = "AT+CPWD"
        error = await failure(bench.tools.change_pin("m1", "1234", "98765", by="x"))
        assert isinstance(error, UnknownOutcome)
        assert bench.store.pin == "1234"
        await bench.desk.until(lambda: modem.ready)
        assert sum("CPWD" in line for line in bench.wire.given) == 1


@in_virtual_time
async def test_a_configuration_that_cannot_be_written_keeps_the_pin_as_it_is() -> None:
    bench = Bench(SimCard(locked=True), pin="1234")
    async with bench.desk.ready():
        bench.store.broken = Misconfigured("config-has-mistakes", "no")
        assert (await failure(bench.tools.change_pin("m1", "1234", "98765", by="x"))).code == "config-has-mistakes"
        assert bench.card.pin == "1234"


@in_virtual_time
async def test_who_does_not_wait_any_longer_does_not_stop_it_half_way() -> None:
    bench = Bench(SimCard(locked=True), pin="1234")
    async with bench.desk.ready() as modem:
        impatient = asyncio.create_task(bench.tools.change_pin("m1", "1234", "98765", by="x"))
        await asyncio.sleep(0)
        impatient.cancel()
        await asyncio.sleep(5)
        assert bench.store.pin == bench.card.pin == "98765"
        assert modem.ready


@in_virtual_time
async def test_the_message_in_the_air_comes_first() -> None:
    bench = Bench(SimCard(locked=True), pin="1234")
    async with bench.desk.ready() as modem:
        bench.wire.on_pdu = lambda _: None
        sending = asyncio.create_task(send(modem))
        await asyncio.sleep(1)
        began = now()
        error = await failure(bench.tools.change_pin("m1", "1234", "98765", by="x"))
        assert (error.code, now() - began) == ("modem-busy", pytest.approx(TURN_LIMIT, abs=0.1))
        assert bench.card.pin == "1234"
        bench.wire.say("\r\n+CMGS: 7\r\n\r\nOK\r\n")
        assert isinstance(await sending, Sent)


class TestServiceCentre:
    @pytest.mark.parametrize(("number", "kind"), [("+6281100000", 145), ("0811", 129)])
    @in_virtual_time
    async def test_is_written_to_the_sim_and_the_configuration(self, number: str, kind: int) -> None:
        bench = Bench(SimCard())
        async with bench.desk.ready():
            await bench.tools.set_service_centre("m1", number, by="siti")
            assert bench.wire.lines[-1] == f'AT+CSCA="{number}",{kind}'
            assert bench.store.config.modems[0].smsc == number

    @in_virtual_time
    async def test_a_refused_one_is_not_configured(self) -> None:
        bench = Bench(SimCard(), answers={'AT+CSCA="+6281100000",145': "+CMS ERROR: 310"})
        async with bench.desk.ready():
            assert (await failure(bench.tools.set_service_centre("m1", "+6281100000", by="x"))).code == "cms-310"
            assert bench.store.config.modems[0].smsc is None

    @pytest.mark.parametrize("number", ["", "12", '+62"', "+62\r1", "abc", "+62 811"])
    @in_virtual_time
    async def test_what_is_no_number_never_reaches_the_modem(self, number: str) -> None:
        bench = Bench(SimCard())
        async with bench.desk.ready():
            before = len(bench.wire.lines)
            error = await failure(bench.tools.set_service_centre("m1", number, by="x"))
            assert (error.code, error.field) == ("smsc-invalid", "smsc")
            assert len(bench.wire.lines) == before


@in_virtual_time
async def test_no_secret_gets_into_the_log_or_an_error(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    bench = Bench(SimCard(locked=True, pin="7531"), pin="7531")
    async with bench.desk.ready():
        await bench.tools.change_pin("m1", "7531", "86420", by="siti")
        told = str(await failure(bench.tools.change_pin("m1", "97979", "86420", by="siti")))
        bench.wire.lost = "AT+CPWD"
        told += str(await failure(bench.tools.change_pin("m1", "86420", "64646", by="siti")))
    for secret in ("7531", "86420", "97979", "64646"):
        assert secret not in caplog.text + told


@in_virtual_time
async def test_a_modem_on_another_scripts_answers_is_left_alone() -> None:
    desk = Desk(ScriptedModem({"AT+CPIN?": "+CPIN: PH-NET PIN\r\nOK"}))
    tools = SimTools(lambda: (desk.modem,), FakeStore(desk.modem.config), PinMemory())
    async with desk.running():
        await desk.until(lambda: desk.modem.status.state is ModemState.BLOCKED)
        assert await tools.look("m1") == SimView("PH-NET PIN")
