"""How the gateway finds its modems on the simulated USB: the one place that knows what a fleet wants."""

from collections.abc import Callable

from otpbroker.clock import Clock
from otpbroker.config.model import ModemSection
from otpbroker.events import Bus
from otpbroker.messaging.in_air import InAir
from otpbroker.modem.fleet import Fleet
from otpbroker.modem.simulator import SimulatedBus, SimulatedModem


class Wiring:
    """Each modem is configured by the SIM and the stick that it has when it is added; routing follows the SIM."""

    def __init__(self, usb: SimulatedBus) -> None:
        self._usb = usb
        self._by_iccid: dict[str, str] = {}
        self._numbers: dict[str, str] = {}

    def fleet(self, bus: Bus, clock: Clock, in_air: InAir, on_change: Callable[[], None]) -> Fleet:
        return Fleet(bus, clock.now, in_air, on_change, ports=self._usb)

    def section(self, modem: SimulatedModem, **parameters: object) -> ModemSection:
        """The configuration of this modem; `parameters` as in config.yaml."""
        who = modem.identity
        self._by_iccid[who.iccid] = modem.name
        self._numbers[modem.name] = who.msisdn
        return ModemSection.model_validate({"id": modem.name, "iccid": who.iccid, "imei": who.imei, **parameters})

    def section_of(self, modem: SimulatedModem) -> str:
        """The id of the configured modem that this stick is, with the SIM that is in it now."""
        return self._by_iccid[modem.identity.iccid]

    def number_of(self, section_id: str) -> str:
        """From which number a configured modem sends, wherever its SIM is."""
        return self._numbers[section_id]
