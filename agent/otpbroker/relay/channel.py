"""One channel of the relay: its messages that wait, its consumers, and which of them gets which.

Each message goes to one consumer: two would be two SMS. Pure: nothing here waits.
"""

import itertools
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from otpbroker.messaging.wire.broker_frames import Settlement
from otpbroker.relay.metrics import Metrics

Tell = Callable[[Settlement, str], None]

_ATTENDANT = 4096  # octets that a message takes beside its body


@dataclass(slots=True, eq=False)
class Held:
    """A message; times are seconds of the monotonic clock, `expires_at` is for consumers, in Unix seconds."""

    id: str
    channel: str
    body: bytes = field(repr=False)
    until: float
    expires_at: float
    tell: Tell | None = field(default=None, repr=False)  # its publisher, while it listens
    since: float = 0.0
    attempt: int = 0
    only_for: str = ""  # the user whose connection was lost with it, who may know its end; until `kept_until`
    not_for: str = ""  # the user who could not take it; until `kept_until`
    kept_until: float = 0.0
    doubtful: bool = False  # a consumer was lost with it, which may have sent it
    ended: bool = False  # nothing changes that, whatever a consumer says
    copy: bool = False  # one of those that a broadcast channel's consumers got

    @property
    def cost(self) -> int:
        """Octets of memory, about."""
        return len(self.body) + _ATTENDANT

    def may_go(self, user: str, now: float) -> bool:
        if now >= self.kept_until:
            return True
        return self.only_for in {"", user} and self.not_for != user


class Consumer(Protocol):
    """A consumer's place at a channel; `give` never waits."""

    @property
    def user(self) -> str: ...

    @property
    def room(self) -> int:
        """How many more messages it takes now."""
        ...

    def give(self, held: Held) -> None: ...


class Channel:
    """One channel: who consumes it, and what waits, oldest first."""

    def __init__(self, name: str, metrics: Metrics, *, broadcast: bool) -> None:
        self.name = name
        self.consumers: deque[Consumer] = deque()  # the next one in turn first
        self.waiting: deque[Held] = deque()
        self._metrics = metrics
        self._broadcast = broadcast

    def serve(self, now: float) -> list[Held]:
        """Give what can be given; what every consumer of a broadcast channel got comes back as ended."""
        if self._broadcast:
            return self._serve_all()
        kept: deque[Held] = deque()
        while self.waiting and any(consumer.room > 0 for consumer in self.consumers):
            held = self.waiting.popleft()
            consumer = self._next_for(held, now)
            if consumer is None:
                kept.append(held)
                continue
            held.attempt += 1
            consumer.give(held)
        self.waiting.extendleft(reversed(kept))
        return []

    def _next_for(self, held: Held, now: float) -> Consumer | None:
        for place, consumer in enumerate(self.consumers):
            if consumer.room > 0 and held.may_go(consumer.user, now):
                self.consumers.rotate(-place - 1)
                return consumer
        return None

    def _serve_all(self) -> list[Held]:
        ended: list[Held] = []
        while self.waiting and any(consumer.room > 0 for consumer in self.consumers):
            held = self.waiting.popleft()
            for consumer in self.consumers:
                if consumer.room > 0:
                    consumer.give(replace(held, attempt=1, tell=None, copy=True))
                else:
                    self._metrics.missed += 1
            ended.append(held)
        return ended

    def expired(self, now: float) -> list[Held]:
        """Take out what nobody took in time."""
        late = [held for held in self.waiting if held.until <= now]
        if late:
            self.waiting = deque(held for held in self.waiting if held.until > now)
        return late

    def next_due(self, now: float) -> float:
        """When something changes by itself: the earliest end of a message, or of its being kept; else infinity."""
        ends = (held.until for held in self.waiting)
        keeps = (held.kept_until for held in self.waiting if held.kept_until > now)
        return min(itertools.chain(ends, keeps), default=math.inf)

    @property
    def idle(self) -> bool:
        return not self.waiting and not self.consumers
