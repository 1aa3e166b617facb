"""Late binding: messages wait together, idle senders pull. A sender that hangs holds the one message it has.

A message waits for the first tier of its route that has a sender left to try whose caps leave room for it; while a
sender of that tier is idle the message goes to it at once, by turns. When the set of ready senders changes, routes
are made anew; what caps and prices say is asked when a sender takes a message.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from itertools import chain

from otpbroker.clock import Clock
from otpbroker.config.model import Config
from otpbroker.errors import Unavailable
from otpbroker.messaging.limits import Allowances, HeldBack, LimitReached
from otpbroker.messaging.message import Message
from otpbroker.messaging.routes import Kind, Routes
from otpbroker.messaging.routing import Turns
from otpbroker.messaging.sender import Fleet, Sender
from otpbroker.messaging.waker import Waker

# A sender that was not ready yet since the start is waited for this long before its messages go to others:
# the SIM with the right prefix should not lose its backlog to the modem that happened to answer first.
START_GRACE = 5.0


class Pool:
    """The messages that no sender has yet; `expired` is called with each one whose time ran out here, `held_back`
    with the id of a sender that its limits hold back, or do no more.
    """

    def __init__(
        self,
        fleet: Fleet,
        config: Callable[[], Config],
        limits: Allowances,
        clock: Clock,
        expired: Callable[[Message], None],
        held_back: Callable[[str], None],
    ) -> None:
        self._fleet = fleet
        self._config = config
        self._limits = limits
        self._clock = clock
        self._expired = expired
        self._routes = Routes(limits)
        self._waker = Waker(limits, clock, self._woken, held_back)
        self._turns = Turns()
        self._queues: dict[Kind, deque[Message]] = {}
        self._timers: dict[Message, asyncio.TimerHandle] = {}
        self._resumed: set[Message] = set()  # that a former process gave to a sender
        self._resting: dict[Message, asyncio.TimerHandle] = {}  # not before its pause is over
        self._idle: dict[str, asyncio.Future[Message]] = {}
        self._known: dict[str, Sender] = {}
        self._doubted: set[str] = set()
        self._was_ready: set[str] = set()
        self._grace_ends = clock.monotonic() + START_GRACE
        self._grace_timer: asyncio.TimerHandle | None = None
        self._arrivals = 0
        self._arrival: dict[Message, int] = {}

    def __len__(self) -> int:
        return len(self._arrival)

    def waiting_for(self, sender_id: str) -> int:
        """How many messages this sender could take next."""
        return sum(
            len(queue)
            for kind, queue in self._queues.items()
            if sender_id in (self._routes.open_tier(kind) or chain.from_iterable(self._routes.tiers(kind)))
        )

    def has_more(self, sender_id: str) -> bool:
        """Whether it may go on at once after the message that it has."""
        if self._limits.pause(sender_id):
            return False
        return any(sender_id in self._routes.open_tier(kind) for kind in self._queues)

    def held_back(self, sender_id: str) -> HeldBack | None:
        """What keeps a sender that works from taking messages, if its limits do."""
        self._look()
        return self._limits.held_back(sender_id)

    def require_route(self, message: Message) -> None:
        """Raise `Unavailable` when no modem is there that could ever take the message in time."""
        kind = self._routes.kind(message)
        tiers = self._routes.tiers(kind)
        if tiers:
            self._look()
            free = math.inf
            for sender_id in chain.from_iterable(tiers):
                free = min(free, self._limits.earliest(sender_id, kind.parts))
                if free < message.deadline:
                    return
            raise LimitReached(kind.parts, free - self._clock.monotonic())
        if message.only_modem is not None:
            raise Unavailable("modem-not-ready", f"modem {message.only_modem} is not ready", field="modem_id")
        raise Unavailable(
            "no-modem", "No device connected", remedy="connect and activate a modem with a working SIM"
        )

    def open_to(self, message: Message) -> bool:
        """Whether a modem that has not refused it would take it now, but for other messages."""
        return bool(self._routes.open_tier(self._routes.kind(message)))

    def barred(self, message: Message) -> bool:
        """Whether modems are there for it, but only such whose SIM will not carry it."""
        routes = self._routes
        return not routes.tiers(routes.kind(message, message.barred_by)) and bool(
            routes.tiers(routes.kind(message, ()))
        )

    def put(self, message: Message, pause: float = 0.0) -> None:
        """Hand the message to an idle sender, not before `pause` seconds, or let it wait until its deadline."""
        self._look()
        self._arrivals += 1
        self._arrival[message] = self._arrivals
        loop = asyncio.get_running_loop()
        left = max(0.0, message.deadline - self._clock.monotonic())
        self._timers[message] = loop.call_later(left, self._expire, message)
        if pause > 0:
            self._resting[message] = loop.call_later(pause, self._rested, message)
        else:
            self._place(message)

    def withdraw(self, message: Message) -> bool:
        """Forget a message that waits here; False: a sender has it."""
        if message not in self._arrival:
            return False
        self._take_out(message)
        self._leave(message)
        return True

    async def take(self, sender: Sender) -> Message:
        """The oldest message that this sender may carry; waits for one. One taker per sender.

        It counts for the sender's limits from now on, until `settle`.
        """
        self._look()
        if sender.ready and (message := self._oldest_for(sender.config.id)) is not None:
            self._took(sender.config.id)
            return message
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._idle[sender.config.id] = future
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():  # handed over while the taker went away
                self.settle(future.result(), sent=False)
                self.put(future.result())
            raise
        finally:
            if self._idle.get(sender.config.id) is future:  # else the lane of a sender that took its place waits
                del self._idle[sender.config.id]

    def resume(self, message: Message) -> None:
        """A former process gave it to a sender, and what became of it is not known yet."""
        if message.modem_id is not None:
            self._limits.resume(message.modem_id, message.id, len(message.pdus))
            self._resumed.add(message)

    def settle(self, message: Message, *, sent: bool) -> None:
        """It was sent or may have been, or certainly was not: whoever had it, if anybody, has it no more."""
        self._look()
        self._resumed.discard(message)
        sender_id = self._limits.keep(message.id) if sent else self._limits.give_back(message.id)
        if sender_id is not None:
            self._match()  # without what it had, the promo that others wait for may be another one's
            self._waker.watch(sender_id, self._sizes())

    def refresh(self) -> None:
        """The senders, their readiness or the settings changed: route all that waits anew, in order of arrival."""
        now = self._clock.monotonic()
        in_grace = now < self._grace_ends
        self._was_ready.update(sender.config.id for sender in self._fleet.senders if sender.ready)
        self._known = {
            sender.config.id: sender for sender in self._fleet.senders if sender.ready or sender.recovering
        }

        def reliable(sender: Sender) -> bool:
            sender_id = sender.config.id
            if sender.ready:
                return sender_id not in self._doubted
            return in_grace and sender_id not in self._was_ready

        config = self._config()
        self._limits.configure((sender.config for sender in self._fleet.senders), config.sms.max_parts)
        self._limits.look()
        known = self._known.values()
        self._routes.rebuild((sender.config for sender in known), (s.config for s in known if reliable(s)), config)
        for message in self._resumed:
            self._limits.value(message.id, self._routes.for_promo(message.modem_id or "", message))
        if in_grace and self._grace_timer is None:
            loop = asyncio.get_running_loop()
            self._grace_timer = loop.call_later(self._grace_ends - now, self.refresh)
        waiting = sorted(self._arrival, key=self._arrival.__getitem__)
        self._queues.clear()
        for message in waiting:
            if message not in self._resting:
                self._place(message)
        self._waker.watch_all(self._sizes())

    def doubt(self, sender_id: str) -> None:
        """This sender hangs with what it has: what waits goes to others, if there are any."""
        self._doubted.add(sender_id)
        self.refresh()

    def trust(self, sender_id: str) -> None:
        """It has answered."""
        if sender_id in self._doubted:
            self._doubted.discard(sender_id)
            self.refresh()

    def close(self) -> None:
        """Forget everything; the journal keeps what waits."""
        if self._grace_timer is not None:
            self._grace_timer.cancel()
            self._grace_timer = None
        for timer in (*self._timers.values(), *self._resting.values()):
            timer.cancel()
        self._waker.close()
        self._timers.clear()
        self._resting.clear()
        self._arrival.clear()
        self._queues.clear()

    def _place(self, message: Message) -> None:
        kind = self._routes.kind(message)
        if message.refused_by and not self._routes.tiers(kind):
            message.refused_by.clear()  # the one that it waited for has gone: those who refused, then
            kind = self._routes.kind(message)
        tier = self._routes.open_tier(kind)
        for sender_id in self._turns.order(tier) if tier else ():
            future = self._idle.get(sender_id)
            if future is not None and not future.done() and self._may_take(sender_id, kind):
                self._turns.taken(tier, sender_id)
                self._hand_over(message, kind, sender_id)
                future.set_result(message)
                self._took(sender_id)
                return
        new_size = kind.parts not in self._sizes()
        self._queues.setdefault(kind, deque()).append(message)
        if new_size:
            self._waker.watch_all(self._sizes())

    def _may_take(self, sender_id: str, kind: Kind) -> bool:
        return (
            self._known[sender_id].ready
            and not self._limits.pauses(sender_id)
            and self._limits.allows(sender_id, kind.parts)
        )

    def _oldest_for(self, sender_id: str) -> Message | None:
        if self._limits.pauses(sender_id):
            return None
        best = min(
            (
                kind
                for kind in self._queues
                if sender_id in self._routes.open_tier(kind) and self._limits.allows(sender_id, kind.parts)
            ),
            key=lambda kind: self._arrival[self._queues[kind][0]],
            default=None,
        )
        if best is None:
            return None
        tier = self._routes.open_tier(best)
        queue = self._queues[best]
        message = queue.popleft()
        if not queue:
            del self._queues[best]
        self._turns.taken(tier, sender_id)
        self._hand_over(message, best, sender_id)
        return message

    def _hand_over(self, message: Message, kind: Kind, sender_id: str) -> None:
        self._leave(message)
        charge = self._routes.charge(kind, sender_id)
        message.price, message.saved = charge.price, charge.saved
        self._limits.reserve(sender_id, message.id, kind.parts, self._routes.for_promo(sender_id, message))

    def _took(self, sender_id: str) -> None:
        """What this sender has now may close it for others of its messages, or change what it costs."""
        if self._queues and self._limits.metered(sender_id):
            self._match()

    def _match(self) -> None:
        """Give idle senders what they may take now."""
        handed = bool(self._queues)
        while handed:
            handed = False
            for sender_id, future in list(self._idle.items()):
                sender = self._known.get(sender_id)
                if sender is None or not sender.ready or future.done():
                    continue
                if (message := self._oldest_for(sender_id)) is not None:
                    future.set_result(message)
                    handed = bool(self._queues)

    def _look(self) -> None:
        """Follow the clock into another day."""
        if self._limits.look():
            self._match()
            self._waker.watch_all(self._sizes())

    def _woken(self, sender_id: str) -> None:
        self._look()
        self._match()
        self._waker.watch(sender_id, self._sizes())

    def _sizes(self) -> set[int]:
        return {kind.parts for kind in self._queues}

    def _rested(self, message: Message) -> None:
        del self._resting[message]
        self._look()
        self._place(message)

    def _leave(self, message: Message) -> None:
        del self._arrival[message]
        self._timers.pop(message).cancel()

    def _expire(self, message: Message) -> None:
        self._take_out(message)
        self._leave(message)
        self._expired(message)

    def _take_out(self, message: Message) -> None:
        if (pause := self._resting.pop(message, None)) is not None:
            pause.cancel()
            return
        for kind, queue in self._queues.items():
            if message in queue:
                queue.remove(message)
                if not queue:
                    del self._queues[kind]
                return
