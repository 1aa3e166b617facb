"""The simulated USB: what is listed, how nodes are numbered, and who answers on them."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from otpbroker.errors import Unavailable
from otpbroker.modem.simulator import Phone, SimulatedBus, SimulatedModem, Unplugged, identity_of
from otpbroker.modem.usb import PortSource, UsbDevice
from pty_terminal import Terminal


@pytest.fixture
def modems() -> tuple[SimulatedModem, SimulatedModem]:
    phone = Phone()
    return SimulatedModem(identity_of(1), phone), SimulatedModem(identity_of(2), phone)


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[SimulatedBus]:
    bus = SimulatedBus(tmp_path)
    yield bus
    bus.close()


Modems = tuple[SimulatedModem, SimulatedModem]


def numbers(device: UsbDevice) -> list[int]:
    return [int(tty.path.rpartition("ttyUSB")[2]) for tty in device.ttys]


def sockets(devices: tuple[UsbDevice, ...]) -> list[str]:
    return [device.socket for device in devices]


class Heard:
    """What a watcher is told."""

    def __init__(self) -> None:
        self.sockets: list[list[str]] = []
        self.news = asyncio.Event()

    def changed(self, devices: tuple[UsbDevice, ...]) -> None:
        self.sockets.append(sockets(devices))
        self.news.set()


@contextmanager
def watching(source: PortSource) -> Iterator[Heard]:
    heard = Heard()
    task = asyncio.create_task(source.watch(heard.changed))
    yield heard
    task.cancel()


async def test_only_the_at_interface_answers(bus: SimulatedBus, modems: Modems) -> None:
    bus.plug(modems[0], "1-1.2", vendor="12d1", product="1506", at_interface=1, interfaces=3, serial="0123")
    (device,) = bus.devices

    assert (device.socket, device.vendor, device.product, device.serial) == ("1-1.2", "12d1", "1506", "0123")
    assert [tty.interface for tty in device.ttys] == [0, 1, 2]
    assert modems[0].path == device.ttys[1].path
    with Terminal(device.ttys[1].path) as answering, Terminal(device.ttys[0].path) as silent:
        silent.type(b"AT\r")
        assert (await answering.ask("AT"))[-1] == "OK"
        assert silent.pieces == []


async def test_nodes_take_the_lowest_free_numbers(bus: SimulatedBus, modems: Modems) -> None:
    first, second = modems
    bus.plug(first, "1-1", interfaces=3)
    bus.plug(second, "1-2")
    assert [numbers(device) for device in bus.devices] == [[0, 1, 2], [3, 4, 5, 6]]
    bus.unplug("1-1")
    bus.unplug("1-2")
    bus.plug(second, "1-2")
    bus.plug(first, "1-1", interfaces=3)

    assert [numbers(device) for device in bus.devices] == [[4, 5, 6], [0, 1, 2, 3]]


async def test_plugged_in_again_in_another_order_the_numbers_are_others(bus: SimulatedBus, modems: Modems) -> None:
    for modem, socket in zip(modems, ("1-1", "1-2"), strict=True):
        bus.plug(modem, socket)
    bus.renumber(("1-2", "1-1"))

    assert [numbers(device)[0] for device in bus.devices] == [4, 0]
    assert [bus.socket_of(modem) for modem in modems] == ["1-1", "1-2"]


async def test_a_moved_modem_is_in_its_new_socket_with_its_ports(bus: SimulatedBus, modems: Modems) -> None:
    bus.plug(modems[0], "1-1", vendor="1e0e", at_interface=0, interfaces=1)
    bus.move("1-1", "1-1.4")

    (device,) = bus.devices
    assert (device.socket, device.vendor, len(device.ttys)) == ("1-1.4", "1e0e", 1)
    with pytest.raises(KeyError):
        bus.move("1-1", "1-2")
    bus.plug(modems[1], "1-1")
    with pytest.raises(ValueError, match="taken"):
        bus.move("1-1", "1-1.4")
    with pytest.raises(ValueError, match="plugged in"):
        bus.plug(modems[1], "1-3")


async def test_swapped_sims_are_in_the_other_stick(bus: SimulatedBus, modems: Modems) -> None:
    first, second = modems
    bus.plug(first, "1-1")
    bus.plug(second, "1-2")
    bus.swap_sims(first, second)

    assert (first.identity.imsi, second.identity.imsi) == (identity_of(2).imsi, identity_of(1).imsi)
    assert (first.path, second.path) == (bus.devices[0].ttys[2].path, bus.devices[1].ttys[2].path)


async def test_every_change_is_told_from_now_on(bus: SimulatedBus, modems: Modems) -> None:
    bus.plug(modems[0], "1-1")
    with watching(bus) as heard:
        await heard.news.wait()
        bus.plug(modems[1], "1-2")
        bus.unplug("1-1")
        bus.move("1-2", "1-3")
    await asyncio.sleep(0)
    bus.unplug("1-3")

    assert heard.sockets == [["1-1"], ["1-1", "1-2"], ["1-2"], [], ["1-3"]]


async def test_changes_may_be_told_late(tmp_path: Path, modems: Modems) -> None:
    bus = SimulatedBus(tmp_path, lag=0.01)
    with watching(bus) as heard:
        await heard.news.wait()
        heard.news.clear()
        bus.plug(modems[0], "1-1")
        assert heard.sockets == [[]]
        await asyncio.wait_for(heard.news.wait(), 5)
    bus.close()

    assert heard.sockets == [[], ["1-1"]]


async def test_a_modem_that_unplugs_itself_is_gone(bus: SimulatedBus, modems: Modems, tmp_path: Path) -> None:
    bus.plug(modems[0], "1-1")
    modems[0].change(next_sends=["unplug"])
    assert modems[0].path is not None
    with Terminal(modems[0].path) as terminal:
        await terminal.ask("ATE0")
        await terminal.submit("0011000C912618214365870000A705E8329BFD06")
        await terminal.hang_up()

    assert bus.devices == ()
    assert list(tmp_path.iterdir()) == []


async def test_a_hung_modem_works_again_when_its_device_is_reset(bus: SimulatedBus, modems: Modems) -> None:
    bus.plug(modems[0], "1-1")
    modems[0].change(silent=True)
    with watching(bus) as heard:
        await heard.news.wait()
        assert await bus.reset("1-1")
        with pytest.raises(Unavailable):
            await bus.reset("1-2")
        assert not await bus.cycle("1-1")
    assert heard.sockets == [["1-1"], [], ["1-1"]]
    assert modems[0].path is not None
    with Terminal(modems[0].path) as terminal:
        assert (await terminal.ask("AT"))[-1] == "OK"


async def test_a_broken_port_hangs_up_and_stays_listed_without_opening(bus: SimulatedBus, modems: Modems) -> None:
    bus.plug(modems[0], "1-1")
    node = modems[0].path
    assert node is not None
    with Terminal(node) as terminal:
        modems[0].fail()
        await terminal.hang_up()
    with pytest.raises(OSError) as refused:  # noqa: PT011 # the number is what matters
        os.open(node, os.O_RDWR | os.O_NOCTTY)
    assert refused.value.errno == errno.EIO
    assert sockets(bus.devices) == ["1-1"]
    with pytest.raises(Unplugged):
        modems[0].reset()

    bus.renumber(["1-1"])
    with Terminal(node) as terminal:
        assert (await terminal.ask("AT"))[-1] == "OK"
    bus.unplug("1-1")
    assert not Path(node).is_symlink()
