"""How the gateway finds its modems on the simulated USB: the one place that knows what a fleet wants."""

from collections.abc import Callable
from pathlib import Path

from otpbroker.clock import Clock
from otpbroker.config.model import ModemSection
from otpbroker.events import Bus
from otpbroker.messaging.in_air import InAir
from otpbroker.modem.fleet import Fleet
from otpbroker.modem.simulator import SimulatedBus, SimulatedModem
from otpbroker.modem.usb import UsbDevice


class Wiring:
    """Each modem is configured by a link that follows it, as udev's rules by serial number make them."""

    def __init__(self, usb: SimulatedBus, folder: Path) -> None:
        self._usb = usb
        self._folder = folder
        self._modems: dict[str, SimulatedModem] = {}

    def fleet(self, bus: Bus, clock: Clock, in_air: InAir, on_change: Callable[[], None]) -> Fleet:
        return Fleet(bus, clock.now, in_air, on_change, candidates=tuple)

    def section(self, modem: SimulatedModem, **parameters: object) -> ModemSection:
        """The configuration of this modem; `parameters` as in config.yaml."""
        self._modems[modem.name] = modem
        return ModemSection.model_validate({"id": modem.name, "port": str(self._folder / modem.name), **parameters})

    async def run(self) -> None:
        """Until cancelled."""
        self._folder.mkdir(parents=True)
        await self._usb.watch(self._changed)

    def _changed(self, _devices: tuple[UsbDevice, ...]) -> None:
        for name, modem in self._modems.items():
            link = self._folder / name
            link.unlink(missing_ok=True)
            if modem.path is not None:
                link.symlink_to(modem.path)
