"""What happens in the agent, told to whoever listens: frozen events and the bus that carries them.

The publisher never waits: each subscriber has a bounded queue, and one that does not keep up loses its oldest
events and is told so by `Overrun`. What must not be lost (outcomes, the report) does not travel here.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum


class ModemState(StrEnum):
    """Where a modem is in its life; `READY` alone takes messages."""

    INACTIVE = "inactive"  # switched off by the administrator
    ABSENT = "absent"  # its port is not there
    STARTING = "starting"  # identified, unlocked, registering
    READY = "ready"
    SENDING = "sending"  # a message is in the air
    BUSY = "busy"  # runs a USSD code or a SIM tool, or tells its operator; takes messages again in moments
    RECOVERING = "recovering"  # did not answer, is being brought back
    QUARANTINED = "quarantined"  # nothing brought it back; tried again from time to time
    BLOCKED = "blocked"  # needs hands: PIN wrong or missing, PUK, no SIM


class Fault(StrEnum):
    """What a modem had to be brought back for."""

    SILENT = "silent"  # a command, a message or the heartbeat was not answered, other things were
    DEAF = "deaf"  # does not even answer to AT
    RESTARTED = "restarted"  # came up anew by itself
    REFUSING = "refusing"  # answers, but takes no message, whoever it is for
    UNWILLING = "unwilling"  # answers, but refuses what it can't do without at its start
    DEAD_PORT = "dead-port"  # its port does not open, or did not come back after a step
    HANGS_UP = "hangs-up"  # its port hangs up again and again
    DROPS_OUT = "drops-out"  # its device leaves the bus whenever it sends


class RecoveryStep(StrEnum):
    """The rungs of the ladder by which a modem is brought back, see `modem.ladder`."""

    RESYNC = "resync"  # drain, ESC, AT
    RADIO = "radio"  # off the network and back
    REOPEN = "reopen"  # the port is closed and opened
    USB_RESET = "usb-reset"  # its device is taken from its drivers and given back to them
    PORT_POWER = "port-power"  # the power of its hub port off and on
    QUARANTINE = "quarantine"  # left alone for a while, then tried again


@dataclass(frozen=True, slots=True)
class StepTaken:
    step: RecoveryStep
    seconds: float


@dataclass(frozen=True, slots=True)
class Incident:
    """Once that a modem had to be brought back; `at` in Unix seconds."""

    at: float
    fault: Fault
    steps: tuple[StepTaken, ...] = ()  # those that are over, in their order
    cured_by: RecoveryStep | None = None  # None: not yet, or it was pulled out
    seconds: float | None = None  # until it worked again


@dataclass(frozen=True, slots=True)
class ModemHealth:
    """How a modem is brought back now, and how often it had to be since the agent started."""

    step: RecoveryStep | None = None  # None: nothing is being done
    since: float | None = None  # Unix seconds
    tries: int = 0  # steps of this incident, the present one included
    faults: int = 0  # incidents
    brownouts: int = 0  # signs of weak power: restarts by itself, complaints about its voltage
    resets: int = 0  # of its USB device or its hub port, by us
    incidents: tuple[Incident, ...] = ()  # the last ones, newest first; the first may still be open


@dataclass(frozen=True, slots=True)
class ModemStatus:
    """A snapshot of one modem for pages and API; times are Unix seconds, numbers as the SIM gives them."""

    id: str
    name: str
    state: ModemState
    detail: str = ""  # why it is not ready and what to do, in English
    manufacturer: str = ""
    model: str = ""
    revision: str = ""
    imei: str = ""
    imsi: str = ""
    iccid: str = ""
    msisdn: str = ""
    smsc: str = ""
    operator: str = ""
    registration: str = ""  # home | roaming | searching | denied | none
    signal_dbm: int | None = None  # None: not known
    port: str = ""
    usb: str = ""  # the socket that it is in, as in /sys/bus/usb/devices
    prefixes: tuple[str, ...] = ()
    default: bool = False
    send_from_api: bool = True
    active: bool = True
    sent: int = 0  # messages since the agent started
    failed: int = 0
    unknown: int = 0
    waiting: int = 0  # messages that wait for this modem alone or with others
    last_activity: float | None = None
    balance: str = ""  # what the SIM has left, as a plain number: 12345 or 12.50; "" as long as nobody asked
    balance_at: float | None = None
    held_back_until: float | None = None  # its limits let it send again then
    notes: tuple[str, ...] = ()  # stable codes of what an administrator should know though it works
    health: ModemHealth = ModemHealth()


@dataclass(frozen=True, slots=True)
class FoundModem:
    """A device that no configured modem is; "" is not known. `kind` and `family` are those of `modem.families`.

    `trouble` is why it can't simply be activated: hilink, storage, adapter, unknown, silent, busy, denied,
    sim-absent, sim-locked (asks for its PIN), sim-blocked (asks for its PUK, or is defect); "" when it can.
    """

    socket: str
    kind: str
    trouble: str = ""
    port: str = ""
    family: str = ""
    manufacturer: str = ""
    model: str = ""
    revision: str = ""
    imei: str = ""
    imsi: str = ""
    iccid: str = ""
    msisdn: str = ""
    operator: str = ""
    smsc: str = ""


@dataclass(frozen=True, slots=True)
class FoundChanged:
    """Other devices are there that no configured modem is, or more is known of them."""


@dataclass(frozen=True, slots=True)
class ModemChanged:
    """A modem's snapshot is new."""

    status: ModemStatus


@dataclass(frozen=True, slots=True)
class ModemGone:
    """A modem left the configuration."""

    id: str


@dataclass(frozen=True, slots=True)
class MessageChanged:
    """A message reached a state; the receiver is masked, the text is not here."""

    id: str
    state: str
    source: str  # rest, admin, amqp, ...
    receiver: str  # masked
    modem_id: str | None
    parts: int
    at: float
    error: str | None = None
    arrival: str | None = None  # what delivery reports tell by now; None: none was asked for


@dataclass(frozen=True, slots=True)
class DeliveryChanged:
    """The network reported of a message that was sent: after its final state, perhaps much later."""

    id: str
    arrival: str  # waiting | retrying | delivered | expired | failed
    receiver: str  # masked
    modem_id: str | None
    at: float


@dataclass(frozen=True, slots=True)
class SmsReceived:
    """A message came in and is kept: `GET /api/v1/inbox/{id}`; the sender is masked, the text is not here."""

    id: str
    modem_id: str
    sender: str  # masked
    parts: int  # that came; less than `total`: the text has gaps
    total: int
    at: float


@dataclass(frozen=True, slots=True)
class LowBalance:
    """The credit of a modem's SIM fell below what its configuration warns of."""

    modem_id: str
    balance: str  # a plain number
    limit: float
    at: float


class FeederState(StrEnum):
    """Where a feeder stands with its broker."""

    STOPPED = "stopped"  # by the configuration, or for now
    CONNECTING = "connecting"
    CONNECTED = "connected"
    REFUSED = "refused"  # needs hands: credentials, rights, certificate, queue; tried again from time to time
    FAILED = "failed"  # the broker can't be reached, or was lost; tried again soon


@dataclass(frozen=True, slots=True)
class FeederChanged:
    """A feeder's state or its detail, in English, is new; `at` in Unix seconds."""

    id: str
    kind: str  # rabbitmq | websocket
    state: FeederState
    detail: str
    at: float


@dataclass(frozen=True, slots=True)
class PartChanged:
    """A supervised part of the agent came up, failed, or was started again."""

    name: str
    healthy: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Overrun:
    """This subscriber was too slow: `missed` events were dropped; read the full state anew."""

    missed: int


Event = (
    ModemChanged
    | ModemGone
    | FoundChanged
    | MessageChanged
    | DeliveryChanged
    | SmsReceived
    | LowBalance
    | FeederChanged
    | PartChanged
    | Overrun
)


@dataclass(slots=True, eq=False)
class Subscription:
    """One listener's bounded queue of events; iterate it."""

    limit: int
    _events: list[Event] = field(default_factory=list)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _missed: int = 0
    _closed: bool = False

    def put(self, event: Event) -> None:
        if len(self._events) >= self.limit:
            del self._events[0]
            self._missed += 1
        self._events.append(event)
        self._wake.set()

    def close(self) -> None:
        """End the iteration after what is queued."""
        self._closed = True
        self._wake.set()

    async def __aiter__(self) -> AsyncIterator[Event]:
        while True:
            while self._events or self._missed:
                if self._missed:
                    missed, self._missed = self._missed, 0
                    yield Overrun(missed)
                if self._events:
                    yield self._events.pop(0)
            if self._closed:
                return
            self._wake.clear()
            await self._wake.wait()


class Bus:
    """Delivers every event to every open subscription, on the loop's own thread."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()
        self._closed = False

    def publish(self, event: Event) -> None:
        for subscription in self._subscriptions:
            subscription.put(event)

    @contextmanager
    def subscribe(self, limit: int = 256) -> Iterator[Subscription]:
        subscription = Subscription(limit)
        if self._closed:
            subscription.close()
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def close(self) -> None:
        """End every subscription, later ones too, so that live streams close before their server does."""
        self._closed = True
        for subscription in self._subscriptions:
            subscription.close()
