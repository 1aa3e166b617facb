"""What is plugged into the USB, as udev tells it, now and from then on. The one place that knows pyudev."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, Protocol, Self

import pyudev  # type: ignore[import-untyped]

from otpbroker.modem.backoff import Backoff
from otpbroker.modem.usb import UsbDevice, devices_of

log = logging.getLogger(__name__)

_SUBSYSTEMS = ("usb", "tty", "net", "block")
# A stick brings some ten devices within as many milliseconds: looked at once, when it has been quiet for so long...
SETTLE = 0.1
# ... or at the latest after so long, in seconds.
SETTLE_MOST = 0.5
# Octets for events that wait; without the right to more, the system's maximum is taken.
_BUFFER = 1 << 20
_RESTART_LEAST, _RESTART_MOST = 0.2, 30.0
_GOOD_RUN = 60.0  # seconds after which the next loss is a new trouble


class Events(Protocol):
    """An open line to udev."""

    def fileno(self) -> int: ...

    def drain(self) -> bool:
        """Take what waits, without blocking; whether any of it may concern us. Raises `OSError` for lost ones."""
        ...


class UdevEvents:
    """Events that udev sends when it has finished with a device."""

    def __init__(self, monitor: pyudev.Monitor) -> None:
        self._monitor = monitor

    @classmethod
    def open(cls) -> Self:
        """Blocks. From the return on nothing is missed. Raises `OSError` or, without libudev, `ImportError`."""
        monitor = pyudev.Monitor.from_netlink(pyudev.Context(), "udev")
        for subsystem in _SUBSYSTEMS:
            monitor.filter_by(subsystem)
        with suppress(OSError):
            monitor.set_receive_buffer_size(_BUFFER)
        monitor.start()
        return cls(monitor)

    def fileno(self) -> int:
        number: int = self._monitor.fileno()
        return number

    def drain(self) -> bool:
        concerns = False
        while (device := self._monitor.poll(0)) is not None:
            # A driver that takes a device or leaves it: its ports have events of their own.
            concerns |= device.action not in {"bind", "unbind"} and "/usb" in device.device_path
        return concerns


def read_devices() -> tuple[UsbDevice, ...]:
    """All USB devices that there are now. Blocks while it reads /sys and udev's records of some hundred devices."""
    return devices_of(_properties(pyudev.Context()))


def _properties(context: pyudev.Context) -> Iterable[Mapping[str, str]]:
    for subsystem in _SUBSYSTEMS:
        for device in context.list_devices(subsystem=subsystem):
            if "/usb" not in device.device_path:
                continue
            try:
                yield dict(device.properties)
            except (OSError, KeyError):
                log.debug("%s left while it was read", device.device_path)


class UdevPorts:
    """Fits `usb.PortSource`."""

    def __init__(
        self,
        open_events: Callable[[], Events] = UdevEvents.open,
        read: Callable[[], tuple[UsbDevice, ...]] = read_devices,
        control: Path = Path("/run/udev/control"),
    ) -> None:
        """`control` is there where udev runs. `open_events` and `read` may block."""
        self._open = open_events
        self._read = read
        self._control = control

    async def watch(self, changed: Callable[[tuple[UsbDevice, ...]], None]) -> None:
        """Where udev does not run or libudev is missing, as in a container, no device is told, for ever."""
        if not await asyncio.to_thread(self._control.exists):
            await _do_without("udev does not run here", changed)
        backoff = Backoff(_RESTART_LEAST, _RESTART_MOST)
        loop = asyncio.get_running_loop()
        complaint = ""
        while True:
            began = loop.time()
            try:
                await self._follow(await asyncio.to_thread(self._open), changed)
            except ImportError as error:
                await _do_without(str(error), changed)
            except OSError as error:  # ENOBUFS: too many at once
                if complaint != str(error):
                    complaint = str(error)
                    log.warning("udev is not heard, what is plugged in is read anew: %s", complaint)
            if loop.time() - began > _GOOD_RUN:
                backoff.reset()
                complaint = ""
            await asyncio.sleep(backoff.next())

    async def _follow(self, events: Events, changed: Callable[[tuple[UsbDevice, ...]], None]) -> None:
        """Everything now, and again after each burst of events. Raises `OSError` when some were lost."""
        loop = asyncio.get_running_loop()
        news: asyncio.Queue[OSError | None] = asyncio.Queue(1)

        def readable() -> None:
            lost = None
            try:
                if not events.drain():
                    return
            except OSError as error:
                loop.remove_reader(events.fileno())  # it would stay readable for ever
                lost = error
                while not news.empty():
                    news.get_nowait()
            if news.empty():
                news.put_nowait(lost)

        loop.add_reader(events.fileno(), readable)
        try:
            told: tuple[UsbDevice, ...] | None = None
            while True:
                devices = await asyncio.to_thread(self._read)
                if devices != told:
                    told = devices
                    changed(devices)
                await _raise_lost(news)
                end = loop.time() + SETTLE_MOST
                with suppress(TimeoutError):
                    while True:
                        async with asyncio.timeout(min(SETTLE, end - loop.time())):
                            await _raise_lost(news)
        finally:
            loop.remove_reader(events.fileno())


async def _do_without(reason: str, changed: Callable[[tuple[UsbDevice, ...]], None]) -> NoReturn:
    log.warning("%s: modems are found by their configured port only", reason)
    changed(())
    await asyncio.Event().wait()
    raise AssertionError("waited for nothing")


async def _raise_lost(news: asyncio.Queue[OSError | None]) -> None:
    """Wait for the next news; raises when events were lost."""
    lost = await news.get()
    if lost is not None:
        raise lost
