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
    BUSY = "busy"  # runs a USSD code or a SIM tool; takes messages again in moments
    RECOVERING = "recovering"  # did not answer, is being brought back
    QUARANTINED = "quarantined"  # nothing brought it back; tried again from time to time
    BLOCKED = "blocked"  # needs hands: PIN wrong or missing, PUK, no SIM


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
    notes: tuple[str, ...] = ()  # stable codes of what an administrator should know though it works


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


Event = ModemChanged | ModemGone | MessageChanged | FeederChanged | PartChanged | Overrun


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
