"""The USB devices of the system as udev tells of them, and the ports that belong together: pure, no I/O."""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

# `1-1.2` is a device in a socket, `1-1.2:1.0` its interface 0 in configuration 1 (decimal); root hubs are `usb1`.
_SOCKET = re.compile(r"\d+-\d+(?:\.\d+)*")
_INTERFACE = re.compile(r"(\d+-\d+(?:\.\d+)*):\d+\.(\d+)")
_ESCAPED = re.compile(r"\\x([0-9a-fA-F]{2})")
_OTHER = ("net", "block")


@dataclass(frozen=True, slots=True)
class Tty:
    """A serial port; class, subclass and protocol are its USB interface's, as numbers."""

    path: str  # device node: /dev/ttyUSB2
    interface: int | None  # bInterfaceNumber; None: no USB interface (UART)
    interface_class: int | None
    interface_subclass: int | None
    interface_protocol: int | None
    driver: str  # option, qmi, cdc_acm, ftdi_sio, ...
    links: tuple[str, ...] = ()  # its other names: /dev/serial/by-path/..., ...


@dataclass(frozen=True, slots=True)
class UsbDevice:
    """What is in one socket; the strings are those of its descriptor, "" if it has none."""

    socket: str  # as in /sys/bus/usb/devices: 1-1.2
    vendor: str  # four lower-case hex digits, as product
    product: str
    maker: str
    model: str
    serial: str
    ttys: tuple[Tty, ...]  # in the order of their interface numbers
    other: tuple[str, ...]  # other subsystems of its interfaces: net, block, ... (HiLink, mass storage)

    def tty(self, path: str) -> Tty | None:
        """The port with this path or link."""
        return next((tty for tty in self.ttys if path == tty.path or path in tty.links), None)


class PortSource(Protocol):
    """Who knows which devices there are."""

    async def watch(self, changed: Callable[[tuple[UsbDevice, ...]], None]) -> None:
        """Tell all devices there are, now and after every change, until cancelled."""
        ...


class NoPorts:
    """A `PortSource` for where nothing is to be found: modems have their configured paths only."""

    async def watch(self, changed: Callable[[tuple[UsbDevice, ...]], None]) -> None:
        changed(())
        await asyncio.Event().wait()


@dataclass(slots=True)
class _Gathered:
    """A device while its parts are put together."""

    properties: Mapping[str, str]
    interfaces: dict[int, Mapping[str, str]] = field(default_factory=dict)
    ttys: list[tuple[int, Mapping[str, str]]] = field(default_factory=list)
    other: set[str] = field(default_factory=set)


def devices_of(properties: Iterable[Mapping[str, str]]) -> tuple[UsbDevice, ...]:
    """The devices in the order of their sockets, without hubs, from udev's properties of each device of the
    subsystems usb, tty, net and block in any order. What udev has not finished with has no `USEC_INITIALIZED` and
    is left out.
    """
    all_properties = [each for each in properties if "USEC_INITIALIZED" in each and "DEVPATH" in each]
    gathered = {
        each["DEVPATH"].rpartition("/")[2]: _Gathered(each)
        for each in all_properties
        if each.get("DEVTYPE") == "usb_device"
    }
    for each in all_properties:
        place = _place(each["DEVPATH"])
        if place is None or place[0] not in gathered:
            continue
        device, number = gathered[place[0]], place[1]
        subsystem = each.get("SUBSYSTEM", "")
        if each.get("DEVTYPE") == "usb_interface":
            device.interfaces[number] = each
        elif subsystem == "tty" and each.get("DEVNAME"):
            device.ttys.append((number, each))
        elif subsystem in _OTHER:
            device.other.add(subsystem)
    return tuple(
        _device(socket, gathered[socket])
        for socket in sorted(filter(_SOCKET.fullmatch, gathered), key=_natural)
        if not gathered[socket].properties.get("TYPE", "").startswith("9/")
    )


def _place(path: str) -> tuple[str, int] | None:
    """Socket and interface number in a device's path, by the innermost interface."""
    for segment in reversed(path.split("/")):
        if found := _INTERFACE.fullmatch(segment):
            return found[1], int(found[2])
    return None


def _device(socket: str, parts: _Gathered) -> UsbDevice:
    properties = parts.properties
    vendor, product, *_ = (*properties.get("PRODUCT", "").split("/"), "", "")
    ttys = (_tty(number, each, parts.interfaces.get(number, {})) for number, each in parts.ttys)
    return UsbDevice(
        socket=socket,
        vendor=vendor.lower().zfill(4),
        product=product.lower().zfill(4),
        maker=_text(properties, "ID_VENDOR"),
        model=_text(properties, "ID_MODEL"),
        serial=properties.get("ID_SERIAL_SHORT", ""),
        ttys=tuple(sorted(ttys, key=lambda tty: (tty.interface or 0, _natural(tty.path)))),
        other=tuple(sorted(parts.other)),
    )


def _tty(number: int, properties: Mapping[str, str], interface: Mapping[str, str]) -> Tty:
    kinds = [int(kind) if kind.isdecimal() else None for kind in interface.get("INTERFACE", "//").split("/")]
    return Tty(
        path=properties["DEVNAME"],
        interface=number,
        interface_class=kinds[0],
        interface_subclass=kinds[1],
        interface_protocol=kinds[2],
        driver=interface.get("DRIVER") or properties.get("ID_USB_DRIVER", ""),
        links=tuple(sorted(properties.get("DEVLINKS", "").split())),
    )


def _text(properties: Mapping[str, str], name: str) -> str:
    """A string of the descriptor: udev writes it with escapes, and once more without what is unusual in it.

    Where the descriptor has no string udev puts the number itself.
    """
    encoded = properties.get(f"{name}_ENC", "")
    text = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), encoded) or properties.get(name, "").replace("_", " ")
    text = "".join(sign for sign in text if sign.isprintable()).strip()
    return "" if text == properties.get(f"{name}_ID") else text


def _natural(text: str) -> tuple[int | str, ...]:
    """Sorts 1-1.10 behind 1-1.9. Texts compared with each other alternate between words and numbers alike."""
    return tuple(int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", text))
