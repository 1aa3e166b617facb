"""Modems are found again wherever they are plugged in: by SIM, by stick, by socket, never by ttyUSBn."""

import asyncio
import random

import pytest
from modem_desk import message
from usb_house import Stick, UsbHouse, iccid, imsi, section

from otpbroker.events import ModemState
from otpbroker.sms.submission import Sent
from virtual_run import in_virtual_time


@pytest.mark.parametrize("identity", ["iccid", "imsi", "imei", "usb"])
@in_virtual_time
async def test_a_modem_is_found_by_whatever_it_is_configured_by(identity: str) -> None:
    house = UsbHouse()
    port = house.plug("1-1.2", Stick(1))
    named = {"iccid": iccid(1), "imsi": imsi(1), "imei": Stick(1).imei, "usb": "1-1.2"}[identity]
    async with house.running(section("a", **{identity: named})):
        await house.ready("a")
        status = house["a"].status
        assert (status.port, status.usb, status.notes) == (port, "1-1.2", ())
        assert house.fleet.found == ()
    assert set(house.opened) == {port}, "diagnostics, GPS and the second port are left alone"


@in_virtual_time
async def test_replugged_it_sends_again_within_moments_whatever_its_number_is_now() -> None:
    house = UsbHouse()
    first = house.plug("1-1.2", Stick(1))
    other = Stick(2)
    async with house.running(section("a", iccid=iccid(1))):
        await house.ready("a")
        for _ in range(5):
            stick = house.wires[house["a"].status.port]
            house.unplug("1-1.2")
            await house.until(lambda: not house["a"].ready)
            await asyncio.sleep(1)
            house.plug("1-1.4", other)  # takes its numbers
            await asyncio.sleep(1)
            port = house.plug("1-1.2", stick)
            assert port != first
            assert await house.ready("a") < 1
            assert house["a"].status.port == port
            assert isinstance(await house["a"].send(message(), more=False), Sent)
            house.unplug("1-1.4")


@in_virtual_time
async def test_in_another_socket_it_is_the_same_modem() -> None:
    house = UsbHouse()
    house.plug("1-1.2", Stick(1))
    async with house.running(section("a", imei=Stick(1).imei, usb="1-1.2")):
        await house.ready("a")
        port = house.move("1-1.2", to="1-1.4")
        await house.until(lambda: house["a"].status.usb == "1-1.4")
        await house.ready("a")
        assert (house["a"].status.port, house["a"].status.notes) == (port, ())


@in_virtual_time
async def test_two_sticks_of_one_model_without_serial_keep_apart() -> None:
    house = UsbHouse()
    house.plug("1-1.2", Stick(1))
    house.plug("1-1.3", Stick(2))
    async with house.running(section("a", imei=Stick(1).imei), section("b", imei=Stick(2).imei)):
        await house.ready("a", "b")
        assert (house["a"].status.usb, house["b"].status.usb) == ("1-1.2", "1-1.3")
        first, second = house.wires[house["a"].status.port], house.wires[house["b"].status.port]
        house.unplug("1-1.2")
        house.unplug("1-1.3")
        await house.until(lambda: not house["a"].ready and not house["b"].ready)
        house.plug("1-1.2", second)
        house.plug("1-1.3", first)
        await house.ready("a", "b")
        assert (house["a"].status.usb, house["b"].status.usb) == ("1-1.3", "1-1.2")


@in_virtual_time
async def test_sticks_with_one_and_the_same_imei_are_told_apart_by_their_sockets() -> None:
    house = UsbHouse()
    twin = Stick(1).imei
    house.plug("1-1.3", Stick(1, sim=3))
    async with house.running(section("a", imei=twin, usb="1-1.2"), section("b", imei=twin, usb="1-1.3")):
        await house.ready("b")
        house.plug("1-1.2", Stick(1, sim=2))
        await house.ready("a", "b")
        assert (house["a"].status.iccid, house["b"].status.iccid) == (iccid(2), iccid(3))


@in_virtual_time
async def test_another_modem_in_the_right_socket_is_not_the_one() -> None:
    house = UsbHouse()
    stick = Stick(2)
    house.plug("1-1.2", stick)
    async with house.running(section("a", usb="1-1.2", imei=Stick(1).imei)):
        await house.absent("a")
        assert house["a"].status.detail.startswith(f"USB socket 1-1.2 has another modem, IMEI ...{stick.imei[-4:]}")


@in_virtual_time
async def test_a_path_is_opened_as_soon_as_it_is_there() -> None:
    house = UsbHouse()
    async with house.running(section("a", port="/dev/ttyUSB2")):
        await house.absent("a")
        await asyncio.sleep(100)
        house.plug("1-1.2", Stick(1))
        assert await house.ready("a") < 1


@in_virtual_time
async def test_a_configured_path_with_another_sim_sends_nothing() -> None:
    house = UsbHouse()
    stick = Stick(1, sim=9)
    port = house.plug("1-1.2", stick)
    async with house.running(section("a", port=port, iccid=iccid(1))):
        await house.absent("a")
        assert house["a"].status.detail.startswith(f"{port} has another modem or SIM than the configured one")
        await asyncio.sleep(100)
        assert not house["a"].ready
        stick.put_in(1)
        await house.ready("a")


@in_virtual_time
async def test_a_lost_modem_that_is_still_there_is_opened_again() -> None:
    house = UsbHouse()
    port = house.plug("1-1.2", Stick(1))
    async with house.running(section("a", imei=Stick(1).imei)):
        await house.ready("a")
        stick = house.wires[port]
        assert stick is not None
        stick.hang_up()
        await house.until(lambda: not house["a"].ready)
        assert 0.05 < await house.ready("a") < 2


@in_virtual_time
async def test_an_unplugged_modem_is_hoped_for_a_while_and_then_absent() -> None:
    house = UsbHouse()
    house.plug("1-1.2", Stick(1))
    async with house.running(section("a", imei=Stick(1).imei)):
        await house.ready("a")
        house.unplug("1-1.2")
        await house.until(lambda: not house["a"].ready)
        await asyncio.sleep(1)
        assert house["a"].recovering
        await asyncio.sleep(30)
        status = house["a"].status
        assert (status.state, status.usb, status.port) == (ModemState.ABSENT, "", "")
        assert not house["a"].recovering


@pytest.mark.parametrize("seed", range(8))
@in_virtual_time
async def test_after_any_plugging_each_message_leaves_by_the_sim_that_its_modem_names(seed: int) -> None:
    """Sticks come, go, move and exchange their SIMs at any moment; PINs and hidden numbers among them."""
    dice = random.Random(seed)
    house = UsbHouse()
    sticks = [Stick(number) for number in range(1, 7)]
    sections = [
        section("a", iccid=iccid(1), imei=sticks[0].imei),
        section("b", iccid=iccid(2)),
        section("c", imsi=imsi(3), usb="1-1.3"),
        section("d", iccid=iccid(4), imsi=imsi(4), imei=sticks[3].imei, usb="1-1.4"),
    ]
    sockets = [f"1-1.{number}" for number in range(1, 7)]
    sims = {stick: number for number, stick in enumerate(sticks, 1)}
    where: dict[Stick, str] = {}
    async with house.running(*sections):
        for _ in range(200):
            stick = dice.choice(sticks)
            if stick in where:
                house.unplug(where.pop(stick))
                if dice.random() < 0.3:
                    other = dice.choice([each for each in sticks if each not in where])
                    sims[stick], sims[other] = sims[other], sims[stick]
                    for each in (stick, other):
                        each.put_in(sims[each])
            else:
                where[stick] = dice.choice([socket for socket in sockets if socket not in where.values()])
                house.plug(where[stick], stick)
            await asyncio.sleep(dice.choice([0.0, 0.01, 0.1, 0.5, 2.0, 8.0]))
            for number, sender in enumerate(house.fleet.senders, 1):
                if sender.ready:
                    before = {each: len(each.sent_by) for each in sticks}
                    await sender.send(message(), more=False)
                    assert {sim for each in sticks for sim in each.sent_by[before[each] :]} <= {number}
        await asyncio.sleep(30)
        for number, wanted in enumerate(sections, 1):
            (holder,) = [stick for stick in sticks if sims[stick] == number]
            assert house[wanted.id].ready == (holder in where), house[wanted.id].status
            if holder in where:
                assert house[wanted.id].status.usb == where[holder]
        configured = {where[stick] for stick in where if sims[stick] <= len(sections)}
        assert house.found.keys() == set(where.values()) - configured
    assert sum(len(stick.sent_by) for stick in sticks) > 50
