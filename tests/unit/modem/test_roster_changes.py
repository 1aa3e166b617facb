"""What udev tells of a device after it was plugged in: it is the same one as long as its port is."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from usb_house import Stick, UsbHouse, iccid, section

from otpbroker.modem.usb import Tty, UsbDevice
from virtual_run import in_virtual_time

SOCKET, PORT = "1-1.2", "/dev/ttyUSB2"

Change = Callable[[UsbDevice], dict[str, object]]


def links(device: UsbDevice) -> dict[str, object]:
    return {"ttys": tuple(replace(tty, links=(f"/dev/serial/by-path/{tty.interface}",)) for tty in device.ttys)}


def driver(device: UsbDevice) -> dict[str, object]:
    return {"ttys": tuple(replace(tty, driver="qcserial") for tty in device.ttys)}


def another_port(device: UsbDevice) -> dict[str, object]:
    return {"ttys": (*device.ttys, Tty("/dev/ttyUSB9", 4, 255, 0, 0, "option"))}


def one_port_less(device: UsbDevice) -> dict[str, object]:
    return {"ttys": device.ttys[:3]}


def network_card(_device: UsbDevice) -> dict[str, object]:
    return {"other": ("net",)}


CHANGES = (links, driver, another_port, one_port_less, network_card)


@pytest.mark.parametrize("change", CHANGES)
@in_virtual_time
async def test_a_modem_that_runs_is_left_alone_whatever_else_changes(change: Change) -> None:
    house = UsbHouse()
    stick = Stick(1)
    house.plug(SOCKET, stick)
    async with house.running(section("a", iccid=iccid(1))):
        await house.ready("a")
        opened = len(house.opened)
        house.tell(SOCKET, **change(house.plugged[SOCKET]))
        await asyncio.sleep(600)
        assert house["a"].ready
        assert (house.opened[opened:], house.found) == ([], {})
        stick.say("\r\nRDY\r\n")  # and is known for who it is when it has to be started anew
        await house.until(lambda: not house["a"].ready)
        assert await house.ready("a") < 0.5


@in_virtual_time
async def test_a_modem_that_was_found_is_not_asked_again() -> None:
    house = UsbHouse()
    house.plug(SOCKET, Stick(1))
    async with house.running():
        await house.until(lambda: SOCKET in house.found and bool(house.found[SOCKET].operator))
        await asyncio.sleep(1)
        opened = len(house.opened)
        for change in CHANGES:
            house.tell(SOCKET, **change(house.plugged[SOCKET]))
            await asyncio.sleep(60)
        assert house.opened[opened:] == []
        assert house.found[SOCKET].port == PORT


@in_virtual_time
async def test_a_port_that_comes_later_may_be_the_one_that_answers() -> None:
    house = UsbHouse()
    house.plug(SOCKET, Stick(1))
    ttys = house.plugged[SOCKET].ttys
    house.tell(SOCKET, ttys=ttys[:2])
    async with house.running(section("a", iccid=iccid(1))):
        await asyncio.sleep(30)
        assert not house["a"].ready
        house.tell(SOCKET, ttys=ttys)
        assert await house.ready("a") < 5


@in_virtual_time
async def test_a_modem_by_its_path_keeps_its_place_when_another_port_comes() -> None:
    house = UsbHouse()
    house.plug(SOCKET, Stick(1))
    async with house.running(section("a", port=PORT)):
        await house.ready("a")
        assert house["a"].status.usb == SOCKET
        opened = len(house.opened)
        house.tell(SOCKET, **another_port(house.plugged[SOCKET]))
        await asyncio.sleep(600)
        assert (house["a"].ready, house["a"].status.usb, house.opened[opened:]) == (True, SOCKET, [])


@pytest.mark.parametrize("changes", [{"product": "0296"}, {"serial": "B"}, {"ttys": ()}])
@in_virtual_time
async def test_another_device_in_the_socket_is_another_one(changes: dict[str, object]) -> None:
    house = UsbHouse()
    house.plug(SOCKET, Stick(1))
    async with house.running():
        await house.until(lambda: SOCKET in house.found and bool(house.found[SOCKET].operator))
        assert house.found[SOCKET].imei
        house.tell(SOCKET, **changes)
        assert SOCKET not in house.found or not house.found[SOCKET].imei
