"""The USB sockets of modems, for root: reset the device in one, or switch the hub port that it hangs on.

Whoever asks is not trusted with more than that: only a device that is a modem by what the kernel says of it is
touched, and none too often. Sockets are named as in /sys/bus/usb/devices: 1-1.2.
"""

import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from otpbroker.device.usb_hub import switches_ports
from otpbroker.errors import Denied, OtpBrokerError, Rejected, Unavailable

_SOCKET = re.compile(
    r"[1-9][0-9]{0,2}-[1-9][0-9]?(\.[1-9][0-9]?){0,5}"
)  # six tiers of hubs at most (USB 2.0, 4.1.1)
_HUB, _HID, _VIDEO = "09", "03", "0e"
_OFF = 1.0  # seconds without drivers, in which whoever holds the old ports notices
_WITHOUT_POWER = 3.0  # seconds; a stick's capacitors keep it alive for about one
_KNOWN_FOR = 900.0  # seconds that a modem which is not back yet is remembered
LEAST_INTERVAL = {"reset": 15.0, "cycle": 60.0}  # seconds between two of one socket


class UsbSockets:
    """`sysfs` and `mounts` (mountinfo) are the kernel's; `records`, a folder in RAM, outlives the process.

    `switches` tells whether a hub, by its folder in sysfs, switches the power of each port.
    """

    def __init__(
        self,
        records: Path,
        *,
        sysfs: Path = Path("/sys"),
        mounts: Path = Path("/proc/self/mountinfo"),
        switches: Callable[[Path], bool] = switches_ports,
        now: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._devices = sysfs / "bus/usb/devices"
        self._mounts = mounts
        self._hub_switches_ports = switches
        self._records = records
        self._now = now
        self._sleep = sleep

    def reset(self, socket: str) -> None:
        """Take the device from its drivers and give it back. Blocks for a second.

        Raises `Rejected` (no socket's name), `Denied` (no modem, or too often) or `Unavailable` (not there).
        """
        with self._turn("reset", socket):
            authorised = self._device(socket) / "authorized"
            self._require_modem(socket)
            try:
                _write(authorised, "0")
                self._sleep(_OFF)
            finally:
                _write(authorised, "1")

    def cycle(self, socket: str) -> None:
        """The power of its hub port off and on, of a hub that can. Blocks for three seconds.

        Raises as `reset`.
        """
        with self._turn("cycle", socket):
            self._require_modem(socket)
            switches = self._switches(socket)
            try:
                for switch in switches:
                    _write(switch, "1")
                self._sleep(_WITHOUT_POWER)
            finally:
                for switch in switches:
                    _write(switch, "0")

    def _device(self, socket: str) -> Path:
        return self._devices / socket

    def _switches(self, socket: str) -> list[Path]:
        """`disable` of the port (Linux 6.0), and of the port for the faster wires of the same connector.

        Never of a root hub's: a controller that gets stuck over it takes every other device along.
        """
        hub, dot, port = socket.rpartition(".")
        place = self._devices / f"{hub}:1.0" / f"{hub}-port{port}"
        found = [switch for switch in (place / "disable", place / "peer/disable") if switch.exists()]
        if not dot or not found or not self._hub_switches_ports(self._devices / hub):
            raise Unavailable("no-port-power", f"the port of {socket} can't be switched")
        return found

    def _require_modem(self, socket: str) -> None:
        device = self._device(socket)
        if not device.is_dir():
            if self._is_known(socket):
                return
            raise Unavailable("usb-absent", f"there is nothing in {socket}")
        interfaces = [found for found in device.glob(f"{socket}:*") if found.is_dir()]
        classes = {_read(device / "bDeviceClass"), *(_read(each / "bInterfaceClass") for each in interfaces)}
        if classes & {_HUB, _HID, _VIDEO}:
            raise Denied("usb-no-modem", f"what is in {socket} is a hub, a keyboard or a camera")
        if not any(port for each in interfaces for port in (*each.glob("ttyUSB*"), *each.glob("tty/tty*"))):
            raise Denied("usb-no-modem", f"what is in {socket} has no serial port")
        if self._is_mounted(interfaces):
            raise Denied("usb-in-use", f"a file system on what is in {socket} is mounted")

    def _is_mounted(self, interfaces: list[Path]) -> bool:
        disks = [disk for each in interfaces for disk in each.glob("**/block/*")]
        numbers = {_read(found) for disk in disks for found in (disk / "dev", *disk.glob("*/dev"))}
        held = any(any(found.iterdir()) for disk in disks for found in disk.glob("**/holders"))
        mounted = {line.split()[2] for line in self._mounts.read_text().splitlines()}
        return held or bool(numbers & mounted)

    @contextmanager
    def _turn(self, act: str, socket: str) -> Iterator[None]:
        """One act on a socket at a time, and not too often. What succeeds is remembered."""
        if not _SOCKET.fullmatch(socket):
            raise Rejected("usb-socket-invalid", "a USB socket is named as 1-1.2")
        if not self._device(socket).is_dir() and not (self._records / socket).exists():
            raise Unavailable("usb-absent", f"there is nothing in {socket}")
        with (self._records / socket).open("a+") as record:
            try:
                fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Denied("usb-too-often", f"{socket} is being reset already") from None
            last = self._last(socket)
            if self._now() - last.get(act, -LEAST_INTERVAL[act]) < LEAST_INTERVAL[act]:
                raise Denied("usb-too-often", f"{socket} was reset a moment ago")
            yield
            last[act] = self._now()
            record.truncate(0)
            record.write("".join(f"{name} {at}\n" for name, at in last.items()))

    def _is_known(self, socket: str) -> bool:
        """Whether a modem was in it a moment ago."""
        return any(self._now() - at < _KNOWN_FOR for at in self._last(socket).values())

    def _last(self, socket: str) -> dict[str, float]:
        """When each act was done last."""
        lines = (self._records / socket).read_text().split()
        return dict(zip(lines[::2], map(float, lines[1::2]), strict=True))


def answer(sockets: UsbSockets, line: bytes) -> str:
    """Carry out one request, `reset 1-1.2` or `cycle 1-1.2`; `OK`, or `NO`, a stable code, and why."""
    try:
        act, _, socket = line.decode("ascii").removesuffix("\n").partition(" ")
        match act:
            case "reset":
                sockets.reset(socket)
            case "cycle":
                sockets.cycle(socket)
            case _:
                raise Rejected("usb-act-unknown", "ask for: reset SOCKET, or cycle SOCKET")
    except UnicodeDecodeError:
        return "NO usb-act-unknown not ASCII"
    except OtpBrokerError as error:
        return f"NO {error.code} {error.detail}"
    except OSError as error:
        return f"NO usb-failed {os.strerror(error.errno or 0)}"
    return "OK"


def _write(attribute: Path, value: str) -> None:
    with attribute.open("w") as file:
        file.write(value)


def _read(attribute: Path) -> str:
    return attribute.read_text().strip() if attribute.exists() else ""
