"""All modems together: only what changed starts or stops, and one modem's trouble is its own."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from modem_desk import Late, message
from scripted_modem import ScriptedModem

from otpbroker.config.model import ModemSection
from otpbroker.errors import Unavailable
from otpbroker.events import Bus, ModemChanged, ModemGone, ModemState
from otpbroker.modem.fleet import Fleet
from otpbroker.modem.modem import Modem
from otpbroker.modem.usb import NoPorts
from otpbroker.sms.submission import Sent
from virtual_run import in_virtual_time


def section(modem_id: str, **parameters: object) -> ModemSection:
    return ModemSection.model_validate({"id": modem_id, "port": f"/dev/{modem_id}", **parameters})


class House:
    """A fleet with scripted modems on its ports."""

    def __init__(self, *ports: str) -> None:
        self.wires = {port: ScriptedModem() for port in ports}
        self.opened: list[str] = []
        self.bus = Bus()
        self.seen: list[tuple[bool, bool]] = []  # ready and recovering of the first modem at each change
        self.fleet = Fleet(
            self.bus,
            lambda: 0.0,
            Late(),
            self._changed,
            ports=NoPorts(),
            connect=self._connect,
        )

    def _changed(self) -> None:
        for sender in self.fleet.senders[:1]:
            self.seen.append((sender.ready, sender.recovering))

    async def _connect(self, port: str, _section: ModemSection) -> ScriptedModem:
        self.opened.append(port)
        if port not in self.wires:
            raise Unavailable("port-absent", f"{port} is not there")
        return self.wires[port]

    def __getitem__(self, modem_id: str) -> Modem:
        return next(sender for sender in self.fleet.senders if sender.config.id == modem_id)

    @asynccontextmanager
    async def running(self, *sections: ModemSection) -> AsyncIterator[None]:
        await self.fleet.apply(sections)
        task = asyncio.create_task(self.fleet.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            with self.bus.subscribe() as events:
                if not true():
                    async for _ in events:
                        if true():
                            return


@in_virtual_time
async def test_every_active_modem_becomes_ready_and_inactive_ones_are_only_shown() -> None:
    house = House("/dev/a", "/dev/b", "/dev/c")
    async with house.running(section("a"), section("b", active=False), section("c")):
        await house.until(lambda: house["a"].ready and house["c"].ready)
        assert [sender.config.id for sender in house.fleet.senders] == ["a", "b", "c"]
        assert house["b"].status.state is ModemState.INACTIVE
        assert sorted(house.opened) == ["/dev/a", "/dev/c"]


@in_virtual_time
async def test_stopping_closes_every_port() -> None:
    house = House("/dev/a", "/dev/b")
    async with house.running(section("a"), section("b")):
        await house.until(lambda: house["a"].ready and house["b"].ready)
    assert all(wire.closed for wire in house.wires.values())
    assert not any(sender.ready or sender.recovering for sender in house.fleet.senders)


@in_virtual_time
async def test_modems_come_and_go_with_the_configuration_and_the_others_do_not_notice() -> None:
    house = House("/dev/a", "/dev/b", "/dev/c")
    async with house.running(section("a"), section("b")):
        await house.until(lambda: house["a"].ready and house["b"].ready)
        with house.bus.subscribe() as events:
            await house.fleet.apply([section("a"), section("c")])
            house.bus.close()
            told = [event async for event in events]
        assert ModemGone("b") in told
        assert any(isinstance(event, ModemChanged) and event.status.id == "c" for event in told)
        assert house.wires["/dev/b"].closed
        await house.until(lambda: house["c"].ready)
        assert [sender.config.id for sender in house.fleet.senders] == ["a", "c"]
    assert house.opened == ["/dev/a", "/dev/b", "/dev/c"]


@in_virtual_time
async def test_a_change_of_routing_needs_no_new_start() -> None:
    house = House("/dev/a")
    async with house.running(section("a")):
        await house.until(lambda: house["a"].ready)
        before = len(house.seen)
        await house.fleet.apply([section("a", prefixes=("62817",), default=True, name="XL", send_from_api=False)])
        assert house["a"].ready
        assert house["a"].config.prefixes == ("62817",)
        status = house["a"].status
        assert (status.prefixes, status.default, status.name, status.send_from_api) == (
            ("62817",),
            True,
            "XL",
            False,
        )
        assert len(house.seen) == before + 1  # routes have to be made anew
    assert house.opened == ["/dev/a"]


@pytest.mark.parametrize("change", [{"limits": {"per_day": 90}}, {"tariff": {"price": 1}}])
@in_virtual_time
async def test_a_change_of_limits_or_prices_needs_none_either(change: dict[str, object]) -> None:
    house = House("/dev/a")
    async with house.running(section("a")):
        await house.until(lambda: house["a"].ready)
        await house.fleet.apply([section("a", **change)])
        assert house["a"].ready
        assert house["a"].config == section("a", **change)
    assert house.opened == ["/dev/a"]


@pytest.mark.parametrize(
    "change", [{"baud_rate": 9600}, {"pin": "1234"}, {"port": "/dev/z"}, {"smsc": "+62816124"}]
)
@in_virtual_time
async def test_a_change_of_the_line_or_the_sim_opens_anew(change: dict[str, object]) -> None:
    house = House("/dev/a", "/dev/z")
    async with house.running(section("a")):
        await house.until(lambda: house["a"].ready)
        await house.fleet.apply([section("a", **change)])
        await house.until(lambda: house["a"].ready)
    assert len(house.opened) == 2


@in_virtual_time
async def test_a_modem_switched_off_is_closed_and_switched_on_again_opened() -> None:
    house = House("/dev/a")
    async with house.running(section("a")):
        await house.until(lambda: house["a"].ready)
        await house.fleet.apply([section("a", active=False)])
        assert house.wires["/dev/a"].closed
        assert house["a"].status.state is ModemState.INACTIVE
        await house.fleet.apply([section("a")])
        await house.until(lambda: house["a"].ready)


@in_virtual_time
async def test_a_message_in_the_air_ends_before_its_modem_leaves() -> None:
    house = House("/dev/a")
    wire = house.wires["/dev/a"]
    wire.on_pdu = lambda _: None
    async with house.running(section("a")):
        await house.until(lambda: house["a"].ready)
        sending = asyncio.create_task(house["a"].send(message(), more=False))
        await asyncio.sleep(1)
        leaving = asyncio.create_task(house.fleet.apply(()))
        await asyncio.sleep(1)
        assert not leaving.done()
        wire.say("+CMGS: 3\r\nOK\r\n")
        assert await sending == Sent((3,))
        await leaving
        assert house.fleet.senders == ()


@in_virtual_time
async def test_one_modems_defect_leaves_the_others_alone_and_is_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    house = House("/dev/a", "/dev/b")
    defects = iter([True, True])

    async def connect(port: str, line: ModemSection) -> ScriptedModem:
        if port == "/dev/b" and next(defects, False):
            raise ZeroDivisionError
        return await house._connect(port, line)

    house.fleet = Fleet(house.bus, lambda: 0.0, Late(), house._changed, ports=NoPorts(), connect=connect)
    async with house.running(section("a"), section("b")):
        await house.until(lambda: house["a"].ready)
        await house.until(lambda: house["b"].ready)
        assert house["a"].ready
    assert house.opened.count("/dev/a") == 1
    assert len([record for record in caplog.records if record.exc_info]) == 2


@in_virtual_time
async def test_on_change_tells_of_readiness_at_the_moment_it_changes() -> None:
    house = House("/dev/a")
    async with house.running(section("a")):
        await house.until(lambda: house["a"].ready)
        house.wires["/dev/a"].say("\r\n+CREG: 0\r\n")
        house.wires["/dev/a"].say("\r\n+CREG: 1\r\n")
    nothing, hope, ready = (False, False), (False, True), (True, False)
    assert house.seen == [nothing, hope, ready, hope, ready, nothing]


@in_virtual_time
async def test_a_wrong_pin_is_remembered_when_the_modem_is_built_anew() -> None:
    house = House("/dev/a")
    wire = house.wires["/dev/a"]
    wire.answers |= {"AT+CPIN?": "+CPIN: SIM PIN\r\nOK", 'AT+CPIN="9999"': "+CME ERROR: 16"}
    async with house.running(section("a", pin="9999")):
        await house.until(lambda: house["a"].status.state is ModemState.BLOCKED)
        await house.fleet.apply([section("a", pin="9999", baud_rate=9600)])
        await house.until(lambda: house["a"].status.state is ModemState.BLOCKED)
        await house.fleet.apply([])
        await house.fleet.apply([section("again", port="/dev/a", pin="9999")])
        await house.until(lambda: house["again"].status.state is ModemState.BLOCKED)
    assert wire.lines.count('AT+CPIN="9999"') == 1
