"""Late binding: messages wait together, idle senders pull. A sender that hangs holds the one message it has.

A message waits for the first tier of its route that has a sender left to try; while a sender of that tier is
idle the message goes to it at once, by turns. When the set of ready senders changes, routes are made anew.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator

from otpbroker.clock import Clock
from otpbroker.errors import Unavailable
from otpbroker.messaging.message import Message
from otpbroker.messaging.routing import RoutingTable, Tier, Turns
from otpbroker.messaging.sender import Fleet, Sender

# A sender that was not ready yet since the start is waited for this long before its messages go to others:
# the SIM with the right prefix should not lose its backlog to the modem that happened to answer first.
START_GRACE = 5.0


class Pool:
    """The messages that no sender has yet; `expired` is called with each one whose time ran out here."""

    def __init__(
        self,
        fleet: Fleet,
        country_code: Callable[[], str],
        clock: Clock,
        expired: Callable[[Message], None],
    ) -> None:
        self._fleet = fleet
        self._country_code = country_code
        self._clock = clock
        self._expired = expired
        self._turns = Turns()
        self._queues: dict[Tier, deque[Message]] = {}
        self._homeless: deque[Message] = deque()  # no sender to try now
        self._timers: dict[Message, asyncio.TimerHandle] = {}
        self._resting: dict[Message, asyncio.TimerHandle] = {}  # not before its pause is over
        self._idle: dict[str, asyncio.Future[Message]] = {}
        self._known: dict[str, Sender] = {}
        self._table = RoutingTable((), "")  # of the senders that can be relied on
        self._last_resort = RoutingTable((), "")  # of those too that hang, or come back in moments
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
        return sum(len(queue) for tier, queue in self._queues.items() if sender_id in tier)

    def has_more(self, sender_id: str) -> bool:
        return any(sender_id in tier for tier in self._queues)

    def require_route(self, message: Message) -> None:
        """Raise `Unavailable` when no modem is there that could ever take the message now."""
        if next(self._tiers(message), None) is not None:
            return
        if message.only_modem is not None:
            raise Unavailable("modem-not-ready", f"modem {message.only_modem} is not ready", field="modem_id")
        raise Unavailable(
            "no-modem", "No device connected", remedy="connect and activate a modem with a working SIM"
        )

    def barred(self, message: Message) -> bool:
        """Whether modems are there for it, but only such whose SIM will not carry it."""
        return next(self._tiers(message), None) is None and any(self._route(message))

    def put(self, message: Message, pause: float = 0.0) -> None:
        """Hand the message to an idle sender, not before `pause` seconds, or let it wait until its deadline."""
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
        """The oldest message that this sender may carry; waits for one. One taker per sender."""
        if sender.ready and (message := self._oldest_for(sender.config.id)) is not None:
            return message
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._idle[sender.config.id] = future
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.put(future.result())  # handed over while the taker went away
            raise
        finally:
            if self._idle.get(sender.config.id) is future:  # else the lane of a sender that took its place waits
                del self._idle[sender.config.id]

    def refresh(self) -> None:
        """The senders or their readiness changed: route everything that waits anew, in order of arrival."""
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

        country_code = self._country_code()
        self._table = RoutingTable((s.config for s in self._known.values() if reliable(s)), country_code)
        self._last_resort = RoutingTable((sender.config for sender in self._known.values()), country_code)
        if in_grace and self._grace_timer is None:
            loop = asyncio.get_running_loop()
            self._grace_timer = loop.call_later(self._grace_ends - now, self.refresh)
        waiting = sorted(self._arrival, key=self._arrival.__getitem__)
        self._queues.clear()
        self._homeless.clear()
        for message in waiting:
            if message not in self._resting:
                self._place(message)

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
        self._timers.clear()
        self._resting.clear()
        self._arrival.clear()
        self._queues.clear()
        self._homeless.clear()

    def _tiers(self, message: Message) -> Iterator[Tier]:
        """The tiers with a sender that is available and has not refused this message, whole."""
        for tier in self._route(message):
            if not message.refused_by and not message.barred_by:
                yield tier
            elif left := tuple(
                sender_id
                for sender_id in tier
                if sender_id not in message.refused_by and sender_id not in message.barred_by
            ):
                yield left

    def _route(self, message: Message) -> tuple[Tier, ...]:
        """The tiers for its receiver, whoever refused it."""
        if message.only_modem is not None:
            return ((message.only_modem,),) if message.only_modem in self._known else ()
        return self._table.tiers(message.receiver) or self._last_resort.tiers(message.receiver)

    def _place(self, message: Message) -> None:
        tier = next(self._tiers(message), None)
        if tier is None and message.refused_by:  # the one that it waited for has gone: those who refused, then
            message.refused_by.clear()
            tier = next(self._tiers(message), None)
        if tier is None:
            self._homeless.append(message)
            return
        for sender_id in self._turns.order(tier):
            future = self._idle.get(sender_id)
            if future is not None and not future.done() and self._known[sender_id].ready:
                self._turns.taken(tier, sender_id)
                self._leave(message)
                future.set_result(message)
                return
        self._queues.setdefault(tier, deque()).append(message)

    def _oldest_for(self, sender_id: str) -> Message | None:
        tier = min(
            (tier for tier in self._queues if sender_id in tier),
            key=lambda tier: self._arrival[self._queues[tier][0]],
            default=None,
        )
        if tier is None:
            return None
        queue = self._queues[tier]
        message = queue.popleft()
        if not queue:
            del self._queues[tier]
        self._turns.taken(tier, sender_id)
        self._leave(message)
        return message

    def _rested(self, message: Message) -> None:
        del self._resting[message]
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
        for tier, queue in self._queues.items():
            if message in queue:
                queue.remove(message)
                if not queue:
                    del self._queues[tier]
                return
        self._homeless.remove(message)
