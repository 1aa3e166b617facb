"""What the relay holds: messages by channel, in memory, until a consumer took them or their time is over.

Pure but for the clock: nothing here waits.
"""

import math
from collections.abc import Callable

from otpbroker.messaging.wire.broker_frames import Settlement
from otpbroker.relay.channel import Channel, Consumer, Held
from otpbroker.relay.ends import Ends
from otpbroker.relay.metrics import Metrics
from otpbroker.relay.settings import Limits

SILENT = 900.0  # seconds past a message's end that a consumer may leave it unsettled


class Exchange:
    """All channels, within the limits; `on_due` is called when the next time to `tick` came nearer."""

    def __init__(
        self, limits: Limits, broadcast: frozenset[str], metrics: Metrics, monotonic: Callable[[], float]
    ) -> None:
        self._limits = limits
        self._broadcast = broadcast
        self._metrics = metrics
        self._monotonic = monotonic
        self._channels: dict[str, Channel] = {}
        self._ids: dict[str, Held] = {}  # waiting or with a consumer
        self._ends = Ends(monotonic)
        self._octets = 0
        self.due: float | None = None
        self.on_due: Callable[[], None] = lambda: None

    @property
    def rows(self) -> list[tuple[str, int, int, float]]:
        """Of each channel: name, messages waiting, consumers, age of the oldest waiting message in seconds."""
        now = self._monotonic()
        return [
            (
                channel.name,
                len(channel.waiting),
                len(channel.consumers),
                max((now - held.since for held in channel.waiting), default=0.0),
            )
            for channel in self._channels.values()
        ]

    @property
    def held(self) -> int:
        """Messages that wait or are with a consumer."""
        return len(self._ids)

    def publish(self, held: Held) -> str:
        """Take a message: "" when it is held now, else the code of why not.

        A repeated id is the same message: who said it last is told its end, at once if it ended of late.
        """
        known = self._ids.get(held.id)
        if known is not None:
            known.tell = held.tell
            return ""
        end = self._ends.of(held.id)
        if end is not None:
            if held.tell is not None:
                held.tell(*end)
            return ""
        limits = self._limits
        channel = self._channels.get(held.channel)
        if channel is None and self._unheard() >= limits.channels:
            return self.decline("too-many-channels")
        if channel is not None and len(channel.waiting) >= limits.waiting:
            return self.decline("channel-full")
        if self._octets + held.cost > limits.octets:
            return self.decline("memory-full")
        if held.until <= self._monotonic():
            return self.decline("expired")
        held.since = self._monotonic()
        self._ids[held.id] = held
        self._octets += held.cost
        self._metrics.published += 1
        self._wake(held.until + SILENT)
        channel = channel or self._open(held.channel)
        channel.waiting.append(held)
        self._serve(channel)
        return ""

    def attach(self, name: str, consumer: Consumer) -> None:
        """Let it consume; no limit of channels keeps it out, for messages that nobody hears could use that up."""
        channel = self._channels.get(name) or self._open(name)
        channel.consumers.append(consumer)
        self._serve(channel)

    def detach(self, name: str, consumer: Consumer, returned: list[Held]) -> None:
        """It is gone; what it had not settled goes to others, first of all to the same user if it comes back soon:
        that one may have sent it and know its end."""
        channel = self._channels[name]
        channel.consumers.remove(consumer)
        now = self._monotonic()
        for held in reversed(returned):
            if held.ended:
                continue
            if held.until <= now or held.copy:
                self._end(held, Settlement.UNKNOWN, "consumer-lost")
                continue
            held.doubtful = True
            held.only_for, held.not_for = consumer.user, ""
            held.kept_until = now + self._limits.grace
            channel.waiting.appendleft(held)
            self._metrics.returned += 1
        self._serve(channel)

    def settle(self, name: str, user: str, held: Held, verdict: Settlement, reason: str) -> None:
        """A consumer said what became of it; of what ended without it that frees its place alone."""
        if held.ended:
            pass
        elif verdict is not Settlement.NOT_NOW or held.copy:
            self._end(held, verdict, reason)
        else:
            held.only_for, held.not_for = "", user
            held.kept_until = self._monotonic() + self._limits.pause
            self._channels[name].waiting.appendleft(held)
            self._metrics.returned += 1
        self._serve(self._channels[name])

    def shorten(self, held: Held, body: bytes) -> None:
        """A consumer has its first commands; `body` is the rest."""
        if not held.copy:
            self._octets += len(body) - len(held.body)
        held.body = body

    def room_changed(self, name: str) -> None:
        self._serve(self._channels[name])

    def tick(self) -> None:
        """End what is late, and what its consumer never settled; give what was kept."""
        now = self._monotonic()
        self.due = None
        for channel in tuple(self._channels.values()):
            for held in channel.expired(now):
                if held.doubtful:
                    self._end(held, Settlement.UNKNOWN, "consumer-lost")
                else:
                    self._end(held, Settlement.EXPIRED, "nobody-came")
            self._serve(channel)
        for held in [held for held in self._ids.values() if held.until + SILENT <= now]:
            self._end(held, Settlement.UNKNOWN, "consumer-silent")
            held.body, held.tell = b"", None  # its consumer's place stays taken: it would leave the next one, too
        self._wake(min((held.until for held in self._ids.values()), default=math.inf) + SILENT)

    def _unheard(self) -> int:
        return sum(not channel.consumers for channel in self._channels.values())

    def _open(self, name: str) -> Channel:
        channel = self._channels[name] = Channel(name, self._metrics, broadcast=name in self._broadcast)
        return channel

    def _serve(self, channel: Channel) -> None:
        now = self._monotonic()
        for held in channel.serve(now):
            self._end(held, Settlement.UNKNOWN, "handed-over")
        if channel.idle:
            self._channels.pop(channel.name, None)
            return
        self._wake(channel.next_due(now))

    def _wake(self, due: float) -> None:
        """Have a tick then at the latest."""
        if due < (math.inf if self.due is None else self.due):
            self.due = due
            self.on_due()

    def _end(self, held: Held, verdict: Settlement, reason: str) -> None:
        if held.copy:
            return
        held.ended = True
        self._ids.pop(held.id, None)
        self._octets -= held.cost
        self._metrics.ended[verdict] += 1
        if held.tell is not None:
            held.tell(verdict, reason)
            if verdict is not Settlement.EXPIRED:  # nobody had it: said again, it may be taken
                self._ends.remember(held.id, verdict, reason)

    def decline(self, reason: str) -> str:
        """Count a message that is not held; the reason comes back."""
        self._metrics.declined[reason] += 1
        return reason
