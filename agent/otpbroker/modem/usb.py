"""USB devices with serial ports, as the system lists them; pure data and who tells of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Tty:
    """One serial port of a device, or one that is on no USB."""

    path: str  # device node: /dev/ttyUSB2
    interface: int | None  # bInterfaceNumber; None: no USB interface (UART)
    interface_class: int | None
    interface_subclass: int | None
    interface_protocol: int | None
    driver: str  # option, qmi, cdc_acm, ftdi_sio, ...


@dataclass(frozen=True, slots=True)
class UsbDevice:
    """One device in its socket."""

    socket: str  # as in /sys/bus/usb/devices: 1-1.2
    vendor: str  # four lower-case hex digits, as is the product
    product: str
    maker: str  # strings of the descriptor, "" if none
    model: str
    serial: str
    ttys: tuple[Tty, ...]  # in the order of their interface numbers
    other: tuple[str, ...]  # other subsystems of its interfaces: net, block, ... (HiLink, mass storage)


class PortSource(Protocol):
    """Whoever knows the devices."""

    async def watch(self, changed: Callable[[tuple[UsbDevice, ...]], None]) -> None:
        """Tell all devices there are, now and after every change, until cancelled."""
