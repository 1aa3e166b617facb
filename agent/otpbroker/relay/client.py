"""One client of the relay: a publisher or a consumer, of a historic generation or one of ours."""

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from otpbroker.clock import Clock
from otpbroker.errors import Rejected
from otpbroker.messaging.wire import broker_frames as frames
from otpbroker.messaging.wire.broker_frames import Settlement
from otpbroker.rate import TokenBuckets
from otpbroker.relay.channel import Held, Tell
from otpbroker.relay.exchange import Exchange
from otpbroker.relay.settings import Limits, is_channel
from otpbroker.relay.users import RelayUser

_log = logging.getLogger(__name__)

HISTORIC_ROOM = 4  # messages on their way to a consumer that can't acknowledge
WRITE_WITHIN = 20.0  # seconds; a consumer that does not read for so long is hung up on
PING_EVERY = 10.0  # seconds; of clients of ours alone, others may not know how to answer
PONG_WITHIN = 10.0
_MOST_SEATS = 16  # channels that one connection consumes
_MOST_UNHEARD = 256  # answers that wait for a publisher of ours to read them; then it is not read
_MOST_ANSWERS = 2000  # frames that wait for a publisher of ours to read them; then the news are dropped


class Kind(StrEnum):
    CHANNEL = "channel"  # the first generation
    TOPIC = "topic"  # the third, and the bare client
    ACKNOWLEDGED = "acknowledged"  # ours


class Ended(Exception):
    """The connection is open no longer."""


class Socket(Protocol):
    """An open connection; methods but `abort` raise `Ended`."""

    async def receive(self) -> bytes: ...

    async def send(self, text: str) -> None: ...

    async def ping(self) -> None: ...

    async def close(self, code: int) -> None: ...

    def abort(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Hall:
    """What all clients share."""

    exchange: Exchange
    limits: Limits
    rates: TokenBuckets
    complaints: TokenBuckets
    clock: Clock


class Seat:
    """A consumer's place at a channel."""

    def __init__(self, user: str, credit: int, send: Callable[[Held], None]) -> None:
        self.user = user
        self.credit = credit
        self.open: dict[str, Held] = {}  # given and not ended
        self._send = send

    @property
    def room(self) -> int:
        return self.credit - len(self.open)

    def give(self, held: Held) -> None:
        self.open[held.id] = held
        self._send(held)


class Client:
    """`channel` is the name in the address of topic clients and ours."""

    def __init__(self, socket: Socket, user: RelayUser, kind: Kind, channel: str, hall: Hall) -> None:
        self.user = user
        self.kind = kind
        self._socket = socket
        self._channel = channel
        self._hall = hall
        self._seats: dict[str, Seat] = {}
        self._out: asyncio.Queue[Held | str] = asyncio.Queue()
        self._written = asyncio.Event()
        self._mute = False  # nothing is written any more
        self._held_back = False  # not read from, now
        self._was_held_back = False  # since the last ping

    async def converse(self) -> None:
        """Until the connection ends."""
        tasks = [asyncio.create_task(self._write())]
        if self.kind is Kind.ACKNOWLEDGED:
            tasks.append(asyncio.create_task(self._keep_alive()))
        try:
            with suppress(Ended):
                await self._read()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for name, seat in self._seats.items():
                self._hall.exchange.detach(name, seat, list(seat.open.values()))
            while not self._out.empty():  # messages that are held know this client until they end
                self._out.get_nowait()

    async def _read(self) -> None:
        if self.kind is Kind.CHANNEL:
            await self._socket.send(frames.greeting(self._hall.clock.now(), accepted=True))
        elif self.kind is Kind.TOPIC and self.user.may_consume(self._channel):
            await self._sit(self._channel, HISTORIC_ROOM)
        while True:
            octets = await self._socket.receive()
            match self.kind:
                case Kind.CHANNEL:
                    await self._channel_message(octets)
                case Kind.TOPIC:
                    await self._publish_unanswered(self._channel, octets)
                case Kind.ACKNOWLEDGED:
                    await self._frame(octets)

    async def _channel_message(self, octets: bytes) -> None:
        request = frames.peek(octets) or {}
        named = request.get("channel")
        name = named if isinstance(named, str) and is_channel(named) else ""
        match request.get("command"):
            case "receive-message" if name and self.user.may_consume(name):
                await self._sit(name, HISTORIC_ROOM)
            case frames.ENVELOPE if name:
                await self._publish_unanswered(name, octets)
            case "ping":
                await self._socket.send(frames.greeting(self._hall.clock.now(), accepted=True))
            case _:
                self._complain("not-understood")

    async def _frame(self, octets: bytes) -> None:
        try:
            frame = frames.load(octets)
        except Rejected:
            self._complain("not-understood")
            return
        match frame:
            case frames.Consume(credit=credit) if self.user.may_consume(self._channel):
                await self._sit(self._channel, credit)
            case frames.Settle(id=message_id, verdict=verdict, reason=reason):
                self._settle(message_id, verdict, reason)
            case frames.Publish():
                await self._publish_answered(frame)
            case _:
                self._complain("not-understood")

    async def _sit(self, name: str, credit: int) -> None:
        """Take a place, or change the credit of the one that is there."""
        seat = self._seats.get(name)
        if seat is not None:
            seat.credit = credit
            self._hall.exchange.room_changed(name)
            return
        if len(self._seats) >= _MOST_SEATS:
            self._complain("too-many-channels")
            await self._socket.close(1008)  # else it would wait at this channel for ever
            raise Ended
        seat = self._seats[name] = Seat(self.user.username, credit, self._out.put_nowait)
        self._hall.exchange.attach(name, seat)

    def _settle(self, message_id: str, verdict: Settlement, reason: str) -> None:
        seat = self._seats.get(self._channel)
        held = seat.open.pop(message_id, None) if seat is not None else None
        if held is not None:
            self._hall.exchange.settle(self._channel, self.user.username, held, verdict, reason)

    async def _publish_unanswered(self, name: str, octets: bytes) -> None:
        problem = await self._publish(name, octets, secrets.token_urlsafe(16))
        if problem:
            self._complain(problem)

    async def _publish_answered(self, frame: frames.Publish) -> None:
        name = frame.id  # alone: what is held must not hold the frame with its body too

        def settled(verdict: Settlement, reason: str) -> None:
            if self._out.qsize() < _MOST_ANSWERS:
                self._answer(frames.Settled(id=name, verdict=verdict, reason=reason))

        def tell(verdict: Settlement, reason: str) -> None:
            # What ends while it is published is told after `accepted`.
            asyncio.get_running_loop().call_soon(settled, verdict, reason)

        body = frame.body.encode()
        message_id = self._message_id(name, body)
        problem = await self._publish(self._channel, body, message_id, frame.expires_at, tell)
        self._answer(frames.Declined(id=name, reason=problem) if problem else frames.Accepted(id=name))
        while self._out.qsize() >= _MOST_UNHEARD and not self._mute:
            self._written.clear()
            with self._holding_back():
                await self._written.wait()

    def _answer(self, frame: frames.Frame) -> None:
        if not self._mute:
            self._out.put_nowait(frames.dump(frame))

    @contextmanager
    def _holding_back(self) -> Iterator[None]:
        """Its pong lies behind what is not read: no ping that is under way meanwhile tells that it is dead."""
        self._held_back = True
        try:
            yield
        finally:
            self._held_back = False
            self._was_held_back = True

    def _message_id(self, name: str, body: bytes) -> str:
        """The same one, also after a restart, for who says it again because it did not hear of it; another one for
        another body. The user's password hash keeps it from telling the body to who tries all that are likely."""
        known = (self.user.username, self.user.password, self._channel, name, hashlib.blake2b(body).hexdigest())
        return hashlib.blake2b("\0".join(known).encode(), digest_size=16).hexdigest()

    async def _publish(
        self, name: str, body: bytes, message_id: str, expires_at: float | None = None, tell: Tell | None = None
    ) -> str:
        """ "" when it is held now, else why not."""
        hall = self._hall
        while wait := hall.rates.take(self.user.username):
            with self._holding_back():
                await asyncio.sleep(wait)  # tokens come by time alone
        if not self.user.may_publish(name):
            return hall.exchange.decline("no-right")
        if len(body) > hall.limits.message:
            return hall.exchange.decline("too-large")
        try:
            body.decode()
        except UnicodeDecodeError:
            return hall.exchange.decline("not-text")
        now = hall.clock.now()
        life = hall.limits.life if expires_at is None else min(expires_at - now, 7 * 86400.0)
        until = hall.clock.monotonic() + life
        return hall.exchange.publish(Held(message_id, name, body, until, now + life, tell))

    async def _write(self) -> None:
        """Bring out what is for this client; one that does not read is hung up on."""
        try:
            while True:
                given = await self._out.get()
                async with asyncio.timeout(WRITE_WITHIN):
                    await (self._socket.send(given) if isinstance(given, str) else self._deliver(given))
                self._written.set()
        except (TimeoutError, Ended):
            self._socket.abort()
        finally:
            self._mute = True
            self._written.set()

    async def _deliver(self, held: Held) -> None:
        if held.ended:  # this client reads so slowly that its time is over
            seat = self._seats[held.channel]
            if seat.open.get(held.id) is held:
                del seat.open[held.id]
            self._hall.exchange.room_changed(held.channel)
            return
        if self.kind is Kind.ACKNOWLEDGED:
            frame = frames.Deliver(
                id=held.id, body=held.body.decode(), attempt=held.attempt, expires_at=held.expires_at
            )
            await self._socket.send(frames.dump(frame))
            return
        texts, written = self._historic_texts(held), 0
        try:
            for text in texts:
                await self._socket.send(text)
                written += 1
        finally:
            if 0 < written < len(texts):  # others get the rest alone
                self._hall.exchange.shorten(held, frames.without_first(held.body, written))
        del self._seats[held.channel].open[held.id]
        # Written is all that can be known of it.
        self._hall.exchange.settle(held.channel, self.user.username, held, Settlement.UNKNOWN, "not-acknowledged")

    def _historic_texts(self, held: Held) -> list[str]:
        """As this generation writes it; what comes from a publisher of the same one is not touched."""
        if self.kind is Kind.CHANNEL:
            return [frames.enveloped(held.body, held.channel)]
        return [item.decode() for item in frames.items(held.body, frames.peek(held.body))]

    async def _keep_alive(self) -> None:
        try:
            while True:
                await asyncio.sleep(PING_EVERY)
                self._was_held_back = self._held_back
                try:
                    async with asyncio.timeout(PONG_WITHIN):
                        await self._socket.ping()
                except TimeoutError:
                    if not self._was_held_back:
                        raise
        except (TimeoutError, Ended):
            self._socket.abort()

    def _complain(self, reason: str) -> None:
        """Say in the log that something of this client was not taken; the same not more than once a minute."""
        if not self._hall.complaints.take(f"{self.user.username} {reason}"):
            _log.warning("something of %s (%s client) was not taken: %s", self.user.shown, self.kind, reason)
