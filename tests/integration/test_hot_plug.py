"""From the event of a replugged stick to a message sent by it, in real time on simulated modems."""

import os
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from driven_fleet import PDU, driven

from otpbroker.config.model import ModemSection
from otpbroker.modem.hotplug import UdevPorts
from otpbroker.modem.simulator import Behaviour, Phone, SimulatedModem, identity_of
from otpbroker.modem.usb import Tty, UsbDevice
from otpbroker.sms.submission import Sent

AIR = 0.1  # seconds that a message takes
REPLUGGED_IN = 2.0  # seconds, as promised


class Usb:
    """Sockets for simulated modems; what udev would tell comes by a pipe. Other ports than the third are silent."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._devices: dict[str, UsbDevice] = {}
        self._ours, self._theirs = os.pipe()
        os.set_blocking(self._ours, False)
        self._silent = os.openpty()
        self._numbers = 0

    def plug(self, modem: SimulatedModem, socket: str) -> None:
        """Each time under other numbers."""
        names = [f"ttyUSB{self._numbers + each}" for each in range(4)]
        self._numbers += 4
        paths = [os.ttyname(self._silent[1])] * 4
        paths[2] = modem.plug(self._folder / names[2])
        ttys = tuple(Tty(path, each, 255, 0, 0, "option") for each, path in enumerate(paths))
        self._devices[socket] = UsbDevice(socket, "2c7c", "0125", "", "", "", ttys, ())
        os.write(self._theirs, b"+")

    def unplug(self, modem: SimulatedModem, socket: str) -> None:
        modem.unplug()
        del self._devices[socket]
        os.write(self._theirs, b"+")

    def open(self) -> "Usb":
        return self

    def fileno(self) -> int:
        return self._ours

    def drain(self) -> bool:
        return bool(os.read(self._ours, 4096))

    def read(self) -> tuple[UsbDevice, ...]:
        return tuple(self._devices.values())

    def close(self) -> None:
        for descriptor in (self._ours, self._theirs, *self._silent):
            os.close(descriptor)


@pytest.fixture
def usb(tmp_path: Path) -> Iterator[Usb]:
    usb = Usb(tmp_path)
    yield usb
    usb.close()


async def test_a_replugged_stick_sends_within_two_seconds(usb: Usb) -> None:
    phone = Phone()
    modems = [SimulatedModem(identity_of(number), phone, behaviour=Behaviour(air=AIR)) for number in (1, 2)]
    sections = [
        ModemSection(id=modem.name, iccid=modem.identity.iccid, imei=modem.identity.imei) for modem in modems
    ]
    ports = UdevPorts(usb.open, usb.read, control=Path(__file__))
    taken: list[float] = []
    async with driven(*sections, ports=ports) as fleet:
        for modem, socket in zip(modems, ("1-1.2", "1-1.3"), strict=True):
            usb.plug(modem, socket)
        await fleet.ready("modem-1", "modem-2")
        for here, there in pairwise(("1-1.2", "1-1.4") * 3):
            usb.unplug(modems[0], here)
            await fleet.until(lambda: not fleet["modem-1"].ready)
            began = time.monotonic()
            usb.plug(modems[0], there)
            await fleet.ready("modem-1")
            assert isinstance(await fleet.send("modem-1", PDU), Sent)
            taken.append(time.monotonic() - began)
            assert fleet["modem-1"].status.usb == there
            assert fleet["modem-2"].ready
    print("replug to sent:", " ".join(f"{seconds:.2f}" for seconds in taken), "s")
    assert max(taken) < REPLUGGED_IN
