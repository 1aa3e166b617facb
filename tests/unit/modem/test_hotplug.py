"""How events of udev become lists of devices: bursts, what is none of our business, what was lost."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from otpbroker.modem.hotplug import SETTLE, SETTLE_MOST, UdevPorts
from otpbroker.modem.usb import UsbDevice
from virtual_run import in_virtual_time, now


class Udev:
    """What is plugged in, and the line by which it is told; `tell` is one event."""

    def __init__(self) -> None:
        self.devices: tuple[UsbDevice, ...] = ()
        self.opened = 0
        self.reads = 0
        self._ours, self._theirs = os.pipe()
        os.set_blocking(self._ours, False)

    def tell(self, kind: bytes = b"+") -> None:
        os.write(self._theirs, kind)

    def open(self) -> "Udev":
        self.opened += 1
        with suppress(BlockingIOError):
            os.read(self._ours, 4096)
        return self

    def fileno(self) -> int:
        return self._ours

    def drain(self) -> bool:
        events = os.read(self._ours, 4096)
        if b"!" in events:
            raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))
        return b"+" in events

    def read(self) -> tuple[UsbDevice, ...]:
        self.reads += 1
        return self.devices

    def close(self) -> None:
        os.close(self._ours)
        os.close(self._theirs)


def stick(socket: str) -> UsbDevice:
    return UsbDevice(socket, "2c7c", "0125", "", "", "", (), ())


@asynccontextmanager
async def watched(udev: Udev) -> AsyncIterator[list[tuple[float, tuple[str, ...]]]]:
    """What is told, with the time."""
    told: list[tuple[float, tuple[str, ...]]] = []
    ports = UdevPorts(udev.open, udev.read, control=Path(__file__))
    task = asyncio.create_task(
        ports.watch(lambda devices: told.append((now(), tuple(device.socket for device in devices))))
    )
    await asyncio.sleep(0.01)
    try:
        yield told
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        udev.close()


@in_virtual_time
async def test_what_is_plugged_in_already_is_told_at_once() -> None:
    udev = Udev()
    udev.devices = (stick("1-1.2"),)
    async with watched(udev) as told:
        assert [sockets for _, sockets in told] == [("1-1.2",)]


@in_virtual_time
async def test_a_burst_of_events_is_one_look_when_it_is_over() -> None:
    udev = Udev()
    async with watched(udev) as told:
        began = now()
        for _ in range(8):
            udev.tell()
            await asyncio.sleep(SETTLE / 3)
        udev.devices = (stick("1-1.2"),)
        udev.tell()
        await asyncio.sleep(2 * SETTLE)
        assert udev.reads == 2
        at, sockets = told[-1]
        assert sockets == ("1-1.2",)
        assert at - began == pytest.approx(8 * SETTLE / 3 + SETTLE, abs=0.02)


@in_virtual_time
async def test_events_without_end_do_not_put_the_look_off_for_ever() -> None:
    udev = Udev()
    async with watched(udev) as told:
        udev.devices = (stick("1-1.2"),)
        began = now()
        while len(told) < 2:
            udev.tell()
            await asyncio.sleep(SETTLE / 2)
            assert now() - began < SETTLE_MOST + SETTLE


@in_virtual_time
async def test_what_changes_nothing_is_not_told() -> None:
    udev = Udev()
    async with watched(udev) as told:
        udev.tell()
        await asyncio.sleep(1)
        assert (udev.reads, len(told)) == (2, 1)
        udev.tell(b"-")  # a driver that took a device, or something off the bus
        await asyncio.sleep(1)
        assert udev.reads == 2


@in_virtual_time
async def test_an_event_during_a_look_leads_to_another_one() -> None:
    udev = Udev()

    def read() -> tuple[UsbDevice, ...]:
        if udev.reads == 0:
            udev.tell()
            udev.devices = (stick("1-1.2"),)
            udev.reads += 1
            return ()
        return udev.devices

    udev.read = read  # type: ignore[method-assign] # a device that comes while the first look is under way
    async with watched(udev) as told:
        await asyncio.sleep(1)
        assert [sockets for _, sockets in told] == [(), ("1-1.2",)]


@in_virtual_time
async def test_after_lost_events_everything_is_read_anew(caplog: pytest.LogCaptureFixture) -> None:
    udev = Udev()
    async with watched(udev) as told:
        udev.devices = (stick("1-1.2"), stick("1-1.3"))
        udev.tell(b"!")
        await asyncio.sleep(1)
        assert told[-1][1] == ("1-1.2", "1-1.3")
        assert udev.opened == 2
        udev.devices = ()
        udev.tell()
        await asyncio.sleep(1)
        assert told[-1][1] == ()
    assert len([record for record in caplog.records if "is not heard" in record.message]) == 1


@in_virtual_time
async def test_a_line_that_can_not_be_opened_is_tried_again_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    udev = Udev()
    udev.devices = (stick("1-1.2"),)
    tries = iter([OSError("Could not create udev monitor")] * 5)

    def opened() -> Udev:
        if refusal := next(tries, None):
            raise refusal
        return udev.open()

    told: list[tuple[UsbDevice, ...]] = []
    watching = asyncio.create_task(UdevPorts(opened, udev.read, control=Path(__file__)).watch(told.append))
    await asyncio.sleep(60)
    assert told == [udev.devices]
    assert len(caplog.records) == 1
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    udev.close()


@in_virtual_time
async def test_events_lost_again_and_again_cost_no_storm_of_looks() -> None:
    udev = Udev()
    async with watched(udev):
        for _ in range(600):
            udev.tell(b"!")
            await asyncio.sleep(0.1)
        assert udev.reads < 15


def missing_library() -> Udev:
    raise ImportError("No library named udev")


@pytest.mark.parametrize("control", ["absent", "."])
@in_virtual_time
async def test_without_udev_nothing_is_there_and_it_is_said_once(
    control: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    told: list[tuple[UsbDevice, ...]] = []
    ports = UdevPorts(missing_library, control=tmp_path / control)
    watching = asyncio.create_task(ports.watch(told.append))
    await asyncio.sleep(3600)
    assert told == [()]
    assert len(caplog.records) == 1
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
