"""What the network has for one modem: shown or stored as `+CNMI` wants it, else held back and brought again."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from otpbroker.modem.simulator.equipment import Equipment
from otpbroker.modem.simulator.message_store import REPORTS
from otpbroker.modem.simulator.timers import Timers
from otpbroker.sms.submission import Sms

Announce = Callable[..., None]  # takes the lines of one block

_HELD = 1000  # messages; the oldest gives way


@dataclass(frozen=True, slots=True, eq=False)
class _Delivery:
    report: bool
    pdu: str = field(repr=False)


class Deliveries:
    """The service centre's side: it outlives resets and unplugging, and forgets nothing that was not taken.

    Under `+CSMS=1` what is shown directly has to be acknowledged; when it is not, the modem stops to show anything
    (3GPP TS 27.005 section 3.4.4).
    """

    def __init__(self, equipment: Equipment) -> None:
        self._equipment = equipment
        self._announce: Announce | None = None
        self._held: deque[_Delivery] = deque(maxlen=_HELD)
        self._due: _Delivery | None = None  # shown, and not acknowledged yet
        self._timers: Timers | None = None

    def attach(self, announce: Announce) -> None:
        """The modem is switched on."""
        self._announce = announce
        self.bring_again()

    def detach(self) -> None:
        """It is off, or boots: whatever it was shown and did not acknowledge it gets again."""
        self._announce = None
        self._equipment.acknowledgement_due = False
        if self._due is not None:
            self._held.append(self._due)
            self._due = None

    def after(self, seconds: float, pdu: str, *, report: bool) -> None:
        """Bring something later, whatever becomes of the modem meanwhile."""
        if self._timers is None:
            self._timers = Timers()
        self._timers.after(seconds, lambda: self.bring(pdu, report=report))

    def bring(self, pdu: str, *, report: bool) -> None:
        self._equipment.counters.incoming += 1
        self._place(_Delivery(report, pdu))

    def bring_again(self) -> None:
        """Try what is held once more: there is room, or time has passed."""
        held = list(self._held)
        self._held.clear()
        for delivery in held:
            self._place(delivery)

    def acknowledged(self, *, kept: bool) -> None:
        """`+CNMA`."""
        delivery, self._due = self._due, None
        self._equipment.acknowledgement_due = False
        if delivery is not None and not kept:
            self._hold(delivery)
        else:
            self.bring_again()

    def _place(self, delivery: _Delivery) -> None:
        if self._announce is None:
            self._held.append(delivery)
            return
        equipment = self._equipment
        mode = equipment.settings.cnmi[3 if delivery.report else 1]
        if mode in ((1,) if delivery.report else (2, 3)):
            self._show(delivery)
            return
        if delivery.report and not mode:
            return  # no report is wanted
        memory = REPORTS if delivery.report else equipment.settings.memories[2]
        index = equipment.store.put(memory, delivery.pdu, equipment.behaviour.store_capacity)
        if index is None:
            equipment.counters.incoming_held += 1
            self._held.append(delivery)
        elif mode:
            self._announce(f'{"+CDSI" if delivery.report else "+CMTI"}: "{memory}",{index}')

    def _show(self, delivery: _Delivery) -> None:
        if self._due is not None:
            self._held.append(delivery)
            return
        if self._equipment.message_service:
            self._due = delivery
            self._equipment.acknowledgement_due = True
            self._later(self._equipment.behaviour.acknowledge_within, lambda: self._give_up(delivery))
        if self._announce is not None:
            code = "+CDS: " if delivery.report else "+CMT: ,"
            self._announce(f"{code}{Sms.tpdu_length(delivery.pdu)}", delivery.pdu)

    def _give_up(self, delivery: _Delivery) -> None:
        if self._due is not delivery:
            return
        self._due = None
        self._equipment.acknowledgement_due = False
        mode, _, broadcast, _, buffer = self._equipment.settings.cnmi
        self._equipment.settings.cnmi = mode, 0, broadcast, 0, buffer
        self._equipment.counters.unacknowledged += 1
        self._hold(delivery)

    def _hold(self, delivery: _Delivery) -> None:
        self._held.append(delivery)
        self._later(self._equipment.behaviour.redelivery, self.bring_again)

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        if self._timers is None:
            self._timers = Timers()
        self._timers.after(seconds, act)
