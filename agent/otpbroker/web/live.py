"""What the pages show of the running agent, and the stream that keeps them fresh (server-sent events)."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

from otpbroker.events import (
    Bus,
    DeliveryChanged,
    Event,
    FeederChanged,
    FoundChanged,
    MessageChanged,
    ModemChanged,
    ModemGone,
    Overrun,
    PartChanged,
)

# Rows of the list of latest messages.
MESSAGES = 25
# Open live pages at once; each costs a socket and a task.
WATCHES = 64


@dataclass(frozen=True, slots=True)
class Changes:
    """What is not as it was: the modems by id, those found, the messages, the agent's parts; or everything."""

    modems: frozenset[str] = frozenset()
    found: bool = False
    messages: bool = False
    feeders: bool = False
    parts: bool = False
    everything: bool = False

    def __bool__(self) -> bool:
        whole = self.messages or self.feeders or self.parts or self.everything
        return bool(self.modems) or self.found or whole


@dataclass(slots=True, eq=False)
class Watch:
    """One live page's share of the changes. They add up while the page is busy, so nothing here can overflow."""

    _modems: set[str] = field(default_factory=set)
    _found: bool = False
    _messages: bool = False
    _feeders: bool = False
    _parts: bool = False
    _everything: bool = True  # who begins to watch has seen nothing yet
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, event: Event) -> None:
        match event:
            case ModemChanged(status):
                self._modems.add(status.id)
            case ModemGone(modem_id):
                self._modems.add(modem_id)
            case FoundChanged():
                self._found = True
            case MessageChanged() | DeliveryChanged():
                self._messages = True
            case FeederChanged():
                self._feeders = True
            case PartChanged():
                self._parts = True
            case Overrun():
                self._everything = True
            case _:
                return
        self._wake.set()

    def wake(self) -> None:
        """End the current wait, changed or not."""
        self._wake.set()

    async def changes(self, within: float) -> Changes:
        """What changed since the last call, waiting at most `within` seconds for it; else nothing."""
        if not self._everything:
            with suppress(TimeoutError):
                async with asyncio.timeout(within):
                    await self._wake.wait()
        self._wake.clear()
        changes = Changes(
            modems=frozenset(self._modems),
            found=self._found,
            messages=self._messages,
            feeders=self._feeders,
            parts=self._parts,
            everything=self._everything,
        )
        self._modems.clear()
        self._found = self._messages = self._feeders = self._parts = self._everything = False
        return changes


class Monitor:
    """Follows the bus for all pages: remembers the latest messages and what is unhealthy, wakes the watches."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._messages: OrderedDict[str, MessageChanged] = OrderedDict()
        self._unhealthy: dict[str, PartChanged] = {}
        self._watches: set[Watch] = set()

    @property
    def messages(self) -> tuple[MessageChanged, ...]:
        """The latest state of the latest messages, newest message first."""
        return tuple(reversed(self._messages.values()))

    @property
    def unhealthy(self) -> tuple[PartChanged, ...]:
        """The parts of the agent that do not run now."""
        return tuple(self._unhealthy.values())

    async def run(self) -> None:
        """Follow the bus until it closes."""
        with self._bus.subscribe(limit=1024) as subscription:
            async for event in subscription:
                match event:
                    case MessageChanged():
                        self._messages[event.id] = event
                        if len(self._messages) > MESSAGES:
                            self._messages.popitem(last=False)
                    case DeliveryChanged() if event.id in self._messages:
                        self._messages[event.id] = replace(self._messages[event.id], arrival=event.arrival)
                    case PartChanged(name, healthy=True):
                        self._unhealthy.pop(name, None)
                    case PartChanged():
                        self._unhealthy[event.name] = event
                for watch in self._watches:
                    watch.add(event)

    @property
    def crowded(self) -> bool:
        """Whether as many live pages are open as there may be."""
        return len(self._watches) >= WATCHES

    @contextmanager
    def watch(self) -> Iterator[Watch]:
        """Begin to watch; the first changes are everything."""
        watch = Watch()
        self._watches.add(watch)
        try:
            yield watch
        finally:
            self._watches.discard(watch)
