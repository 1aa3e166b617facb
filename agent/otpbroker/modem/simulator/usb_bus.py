"""A USB with simulated modems in its sockets: device nodes come, go and change their numbers as the kernel's do."""

import asyncio
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from otpbroker.errors import Unavailable
from otpbroker.modem.simulator.modem import SimulatedModem
from otpbroker.modem.simulator.port import PtyPort
from otpbroker.modem.usb import Tty, UsbDevice

_VENDOR_SPECIFIC = 0xFF  # bInterfaceClass of ports that no standard describes

Changed = Callable[[tuple[UsbDevice, ...]], None]


@dataclass(slots=True)
class _Plugged:
    """What is in one socket; `silent`: the ports on which nobody answers."""

    modem: SimulatedModem
    silent: tuple[PtyPort, ...]
    device: UsbDevice
    again: Callable[[str], None]  # plugs the modem into a socket, described as it is now


class SimulatedBus:
    """Fits `usb.PortSource` and `shared.UsbPower`. Device nodes are links below `folder`.

    They are called `ttyUSB<n>` and take the lowest free numbers, so that what is plugged in again may be numbered
    anew. `lag`: seconds until a change is told, as udev's rules take theirs.
    """

    def __init__(self, folder: Path, *, lag: float = 0.0) -> None:
        self._folder = folder
        self._lag = lag
        self._sockets: dict[str, _Plugged] = {}
        self._watchers: list[Changed] = []

    @property
    def devices(self) -> tuple[UsbDevice, ...]:
        return tuple(self._sockets[socket].device for socket in sorted(self._sockets))

    async def watch(self, changed: Changed) -> None:
        """Tell all devices there are, now and after every change, until cancelled."""
        self._watchers.append(changed)
        try:
            changed(self.devices)
            await asyncio.Event().wait()
        finally:
            self._watchers.remove(changed)

    def plug(
        self,
        modem: SimulatedModem,
        socket: str,
        *,
        vendor: str = "2c7c",
        product: str = "0125",
        at_interface: int = 2,
        interfaces: int = 4,
        serial: str = "",
    ) -> None:
        """Put a modem into a free socket. Its interfaces 0, 1, ... are ports, of which one answers.

        Raises `ValueError` if the socket is taken, or the modem is in another.
        """
        if socket in self._sockets or self.socket_of(modem) is not None:
            raise ValueError(f"{socket} is taken, or {modem.name} is plugged in")

        again = partial(
            self.plug,
            modem,
            vendor=vendor,
            product=product,
            at_interface=at_interface,
            interfaces=interfaces,
            serial=serial,
        )
        nodes = tuple(self._folder / f"ttyUSB{number}" for number in itertools.islice(self._free(), interfaces))
        silent = []
        for interface, node in enumerate(nodes):
            if interface == at_interface:
                modem.plug(node, on_unplug=lambda: self._gone(socket))
            else:
                silent.append(PtyPort(lambda _octets: None, node))
        ttys = tuple(
            Tty(str(node), interface, _VENDOR_SPECIFIC, 0, 0, "option") for interface, node in enumerate(nodes)
        )
        maker, model = modem.identity.manufacturer, modem.identity.model
        device = UsbDevice(socket, vendor, product, maker, model, serial, ttys, ())
        self._sockets[socket] = _Plugged(modem, tuple(silent), device, again)
        self._tell()

    def unplug(self, socket: str) -> None:
        """Pull out what is in the socket; raises `KeyError` if nothing is."""
        self._sockets[socket].modem.unplug()

    def move(self, socket: str, to: str) -> None:
        """Pull a modem out and put it into another, free socket."""
        if to in self._sockets and to != socket:
            raise ValueError(f"{to} is taken")
        plugged = self._sockets[socket]
        self.unplug(socket)
        plugged.again(to)

    def renumber(self, sockets: Iterable[str]) -> None:
        """Pull all of these out, then put them back in this order: device nodes are numbered by it."""
        plugged = [(socket, self._sockets[socket]) for socket in sockets]
        for socket, _ in plugged:
            self.unplug(socket)
        for socket, each in plugged:
            each.again(socket)

    def swap_sims(self, first: SimulatedModem, second: SimulatedModem) -> None:
        """Pull both out, exchange their SIM cards, put both back."""
        plugged = [(socket, self._sockets[socket]) for socket in map(self.socket_of, (first, second)) if socket]
        for socket, _ in plugged:
            self.unplug(socket)
        first.swap_cards(second)
        for socket, each in plugged:
            each.again(socket)

    async def reset(self, socket: str) -> bool:
        """The device leaves and comes back, and if its firmware hung it works again.

        Raises `Unavailable` if there is none.
        """
        if socket not in self._sockets:
            raise Unavailable("usb-absent", f"there is nothing in {socket}")
        self._sockets[socket].modem.change(silent=False, mute=False)
        self.renumber([socket])
        return True

    async def cycle(self, socket: str) -> bool:  # noqa: ARG002 # as the protocol has it
        """Power off and on, where a hub can do that: this one can't."""
        return False

    def socket_of(self, modem: SimulatedModem) -> str | None:
        return next((socket for socket, plugged in self._sockets.items() if plugged.modem is modem), None)

    def close(self) -> None:
        """Pull everything out, telling nobody."""
        self._watchers.clear()
        for socket in list(self._sockets):
            self.unplug(socket)

    def _gone(self, socket: str) -> None:
        for port in self._sockets.pop(socket).silent:
            port.close()
        self._tell()

    def _free(self) -> Iterator[int]:
        taken = {tty.path for device in self.devices for tty in device.ttys}
        return (number for number in itertools.count() if str(self._folder / f"ttyUSB{number}") not in taken)

    def _tell(self) -> None:
        devices = self.devices
        if self._lag:
            asyncio.get_running_loop().call_later(self._lag, self._call, devices)
        else:
            self._call(devices)

    def _call(self, devices: tuple[UsbDevice, ...]) -> None:
        for changed in tuple(self._watchers):
            changed(devices)
