"""Whether a hub switches the power of each of its ports, as its descriptor says (USB 2.0 section 11.23.2.1).

Most cheap hubs do not. Their ports can be switched off all the same, but when they are switched on again the
kernel is not told that a device is there.
"""

import ctypes
import fcntl
from pathlib import Path

_GET_DESCRIPTOR = 0x06
_FROM_DEVICE_CLASS = 0xA0  # bmRequestType: device to host, class request, to the device
_HUB, _SUPERSPEED_HUB = 0x29, 0x2A  # descriptor types
_LENGTH = 9
_CHARACTERISTICS = 3  # where wHubCharacteristics stands
_POWER_MODE, _INDIVIDUAL = 0b11, 0b01
_PATIENCE = 1000  # milliseconds


class _Transfer(ctypes.Structure):
    """`struct usbdevfs_ctrltransfer` of linux/usbdevice_fs.h."""

    _fields_ = (
        ("request_type", ctypes.c_uint8),
        ("request", ctypes.c_uint8),
        ("value", ctypes.c_uint16),
        ("index", ctypes.c_uint16),
        ("length", ctypes.c_uint16),
        ("timeout", ctypes.c_uint32),
        ("data", ctypes.c_void_p),
    )


# USBDEVFS_CONTROL: _IOWR('U', 0, struct usbdevfs_ctrltransfer)
_CONTROL = 3 << 30 | ctypes.sizeof(_Transfer) << 16 | ord("U") << 8


def switches_ports(hub: Path, nodes: Path = Path("/dev/bus/usb")) -> bool:
    """`hub`: its folder in sysfs, a root hub's too. Raises `OSError` when it can't be asked."""
    bus, device = (int((hub / name).read_text()) for name in ("busnum", "devnum"))
    superspeed = float((hub / "speed").read_text()) >= 5000
    descriptor = ctypes.create_string_buffer(_LENGTH)
    transfer = _Transfer(
        request_type=_FROM_DEVICE_CLASS,
        request=_GET_DESCRIPTOR,
        value=(_SUPERSPEED_HUB if superspeed else _HUB) << 8,
        length=_LENGTH,
        timeout=_PATIENCE,
        data=ctypes.addressof(descriptor),
    )
    with (nodes / f"{bus:03}" / f"{device:03}").open("r+b", buffering=0) as node:
        fcntl.ioctl(node, _CONTROL, transfer)
    return descriptor.raw[_CHARACTERISTICS] & _POWER_MODE == _INDIVIDUAL
