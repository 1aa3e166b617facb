"""What the modems of one fleet have in common: who is told, what outlives a modem's life."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from otpbroker.config.model import ModemSection
from otpbroker.events import Bus
from otpbroker.modem.habits import Habits
from otpbroker.modem.identity import Identity
from otpbroker.modem.owed import OwedAnswers
from otpbroker.modem.parts import Arrivals
from otpbroker.modem.sim import PinMemory
from otpbroker.sms.deliver import Deliver
from otpbroker.sms.reassemble import Message
from otpbroker.sms.status_report import StatusReport

LATE_WINDOW = 0.8  # seconds of listening for a predecessor's answer before the first own octet


class LateAnswers(Protocol):
    """Who wants to hear the answer to a message that was in the air when the process died."""

    def expected(self, modem_id: str) -> bool: ...

    def arrived(self, modem_id: str, reference: int, imei: str) -> None:
        """A `+CMGS: <reference>` came, before this process sent anything, from the modem with this IMEI."""
        ...

    def over(self, modem_id: str) -> None:
        """The modem is awake: no more will come. Told only if one was expected."""
        ...


class Inbound(Protocol):
    """What becomes of what comes in."""

    def reported(self, modem_id: str, report: StatusReport) -> None:
        """The network tells what became of a part that this modem sent."""
        ...

    async def received(self, modem_id: str, message: Message) -> bool:
        """A message from the network. True once it is kept durably: then it may leave the SIM."""
        ...

    def holds(self, modem_id: str, part: Deliver) -> bool:
        """Whether a message with this part is kept: the others were deleted when the process died."""
        ...


class Nobody:
    """Fits `Inbound`: what comes in stays where it is."""

    def reported(self, modem_id: str, report: StatusReport) -> None:
        del modem_id, report

    async def received(self, modem_id: str, message: Message) -> bool:
        del modem_id, message
        return False

    def holds(self, modem_id: str, part: Deliver) -> bool:
        del modem_id, part
        return False


Confirm = Callable[[ModemSection, Identity], None]
"""What a modem says of itself while it starts: raises `Unavailable` when it is not the one that its section names.

Asked before a PIN is given and before the first message is sent.
"""


def anybody(_section: ModemSection, _identity: Identity) -> None:
    """Every modem is the right one."""


class UsbPower(Protocol):
    """What can be done to a modem's USB device from outside; sockets are named as in /sys/bus/usb/devices.

    False: it can't be done here. Both raise `Unavailable` for what can't be done now.
    """

    async def reset(self, socket: str) -> bool:
        """Take the device in this socket from its drivers and give it back to them."""
        ...

    async def cycle(self, socket: str) -> bool:
        """Power of its hub port off and on, where the hub can."""
        ...


class NoUsbPower:
    """Where there is no helper for it."""

    async def reset(self, socket: str) -> bool:  # noqa: ARG002 # as the protocol has it
        return False

    async def cycle(self, socket: str) -> bool:  # noqa: ARG002 # as the protocol has it
        return False


@dataclass(frozen=True, slots=True)
class Shared:
    """`clock` gives Unix seconds; `on_change` is called, synchronously, when a modem's `ready` or `recovering`
    changes.
    """

    bus: Bus
    clock: Callable[[], float]
    late: LateAnswers
    on_change: Callable[[], None]
    pins: PinMemory
    owed: OwedAnswers
    late_window: float = LATE_WINDOW
    inbound: Inbound = field(default_factory=Nobody)
    habits: Habits = field(default_factory=Habits)
    arrivals: defaultdict[str, Arrivals] = field(default_factory=lambda: defaultdict(Arrivals))  # by the modem's id
    confirm: Confirm = anybody
    usb_power: UsbPower = field(default_factory=NoUsbPower)
