"""What devices that share a queue tell each other by a stream of the same broker: what was begun, how it ended.

A device writes that it begins with a message, and waits for the broker to confirm that, before a modem gets it. So
a message that comes a second time was begun if, and only if, the stream says so. How it ended is written too; after
a crash, as soon as the device is back. Records hold a hash of the message and our id, neither number nor text.
"""

import asyncio
import hashlib
import json
import math
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from otpbroker.errors import Denied, Misconfigured, OtpBrokerError, Unavailable
from otpbroker.feeder.amqp import Broker, Channel, Properties, Received
from otpbroker.messaging.outcome import Outcome, State

# Records that a device remembers, of about 300 octets each; older ones are forgotten.
REMEMBERED = 20_000
BARRIER_LIMIT = 15.0  # seconds to read what was written before
_PREFETCH = 500
_ACKED_TOGETHER = 100  # a stream forgets nothing by it, it only goes on

# How `otpbroker rabbitmq setup` makes the stream. Whole segments alone are dropped when they are too old.
ARGUMENTS = {"x-queue-type": "stream", "x-max-age": "1D", "x-stream-max-segment-size-bytes": 1_000_000}

_BEGUN, _FREE = "begun", "free"
_STATES = frozenset({_BEGUN, _FREE, State.SENT.value, State.UNKNOWN.value})
_REMEDY = "make it with otpbroker rabbitmq setup, or remove the setting claims"


# What is known of a message by our id after so many seconds; None: nothing.
Ask = Callable[[str, float], Awaitable[Outcome | None]]


@dataclass(frozen=True, slots=True)
class Me:
    """`device` is for people; `memory` is the same as long as this device knows what it did, and no other's."""

    device: str
    memory: str


@dataclass(slots=True)
class Known:
    """What was read of the stream so far; outlives connections."""

    records: OrderedDict[str, dict[str, Any]] = field(default_factory=OrderedDict)
    next_offset: int | None = None

    def take(self, record: dict[str, Any]) -> None:
        """Raises `ValueError`, `KeyError` or `TypeError` for what is no record of ours."""
        digest, state = str(record["k"]), record["s"]
        if state not in _STATES or not all(isinstance(reference, int) for reference in record.get("r", [])):
            raise ValueError
        if state == _FREE:
            if self.records.get(digest, {}).get("id") == record.get("id"):  # else it was begun again since
                self.records.pop(digest, None)
            return
        self.records[digest] = record
        self.records.move_to_end(digest)
        if len(self.records) > REMEMBERED:
            self.records.popitem(last=False)


class StreamClaims:
    """Fits `repetitions.Claims`; lives as long as one connection. See `open`."""

    def __init__(
        self, writer: Channel, reader: Channel, stream: str, me: Me, known: Known, patience: float
    ) -> None:
        self._patience = patience
        self._writer = writer
        self._reader = reader
        self._stream = stream
        self._me = me
        self._known = known
        self._begun: set[str] = set()
        self._markers: dict[str, asyncio.Future[None]] = {}
        self._awaited: dict[str, asyncio.Event] = {}

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        broker: Broker,
        writer: Channel,
        stream: str,
        *,
        me: Me,
        known: Known,
        outcome: Ask,
        patience: float,
    ) -> AsyncIterator["StreamClaims"]:
        """Read the stream to its end, tell what became of what was begun here before, then follow it.

        `writer`: the channel that the messages come by. Once the broker takes that for lost and gives its messages
        to others, no claim comes through it any more. `patience`: seconds for a device that was lost with a message
        in the air to come back and say how it ended. Raises `Misconfigured` when there is no such stream.
        """
        await _find_stream(broker, stream)
        before = known.next_offset
        async with broker.channel() as reader:
            claims = cls(writer, reader, stream, me, known, patience)
            offset: object = "first" if known.next_offset is None else known.next_offset
            await reader.consume(stream, claims._read, prefetch=_PREFETCH, arguments={"x-stream-offset": offset})
            try:
                await claims._catch_up()
            except Unavailable:
                if (
                    known.next_offset == before and not broker.closed.done()
                ):  # a stream that was made anew does not reach so far
                    known.next_offset = None
                raise
            accounts = await claims._account(outcome)
            try:
                yield claims
            finally:
                for account in accounts:
                    account.cancel()
                await asyncio.gather(*accounts, return_exceptions=True)

    @property
    def closed(self) -> "asyncio.Future[OtpBrokerError]":
        """Done when the stream is not followed any more."""
        return self._reader.closed

    async def earlier(self, key: str, *, certain: bool) -> Outcome | None:
        digest = _digest(key)
        if certain:
            try:
                await self._catch_up()
            except OtpBrokerError as error:  # the message is none the worse for it
                raise Unavailable("claims-silent", error.detail) from error
            await self._end_of(digest)
        record = self._known.records.get(digest)
        return None if record is None else _outcome(record)

    async def claim(self, key: str, message_id: str) -> bool:
        """Write that it is begun; False when that is not certain: then it must not be begun.

        A record in a stream that is not followed any more may be in none that others read.
        """
        self._begun.add(key)
        try:
            await self._write(_digest(key), _BEGUN, id=message_id)
        except OtpBrokerError:
            return False
        return not self.closed.done()

    async def settle(self, key: str, outcome: Outcome) -> None:
        """Write how it ended; after this, what its broker is told of it comes later than the record."""
        begun = key in self._begun
        self._begun.discard(key)
        if begun or outcome.state in {State.SENT, State.UNKNOWN}:
            await self._tell(_digest(key), outcome)

    async def _account(self, outcome: Ask) -> list[asyncio.Task[None]]:
        """Tell what became of what was begun here, on a connection or by a process before this one, and has no end.

        What has ended is told when this returns; the tasks wait for what is in the air.
        """
        mine = [
            (digest, str(record["id"]))
            for digest, record in self._known.records.items()
            if record["s"] == _BEGUN and record.get("j") == self._me.memory and "id" in record
        ]
        in_the_air = []
        for digest, message_id in mine:
            known = await outcome(message_id, 0.0)
            if known is not None and not known.state.final:
                in_the_air.append(asyncio.create_task(self._account_for(digest, message_id, outcome)))
            elif known is not None:
                await self._tell(digest, known)
        if mine:
            await self._catch_up()
        return in_the_air

    async def _account_for(self, digest: str, message_id: str, outcome: Ask) -> None:
        known = await outcome(message_id, math.inf)
        if known is not None and known.state.final:
            await self._tell(digest, known)

    async def _tell(self, digest: str, outcome: Outcome) -> None:
        if outcome.state in {State.SENT, State.UNKNOWN}:
            facts = {"id": outcome.id, "m": outcome.modem_id, "r": list(outcome.references)}
            self._writer.send("", self._stream, self._record(digest, outcome.state.value, **facts), _PROPERTIES)
            return
        try:
            await self._write(digest, _FREE, id=outcome.id)
        except OtpBrokerError:
            return  # it stays begun: others will take it for unknown

    async def _end_of(self, digest: str) -> None:
        """Wait for another device, as long as that makes sense, to say how something ended that it began."""
        record = self._known.records.get(digest)
        if record is None or record["s"] != _BEGUN or record.get("j") == self._me.memory:
            return
        told = self._awaited.setdefault(digest, asyncio.Event())
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience):
                await told.wait()
        self._awaited.pop(digest, None)

    async def _catch_up(self) -> None:
        """Return when all is read that was written before."""
        marker = secrets.token_hex(8)
        read: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._markers[marker] = read
        try:
            await self._publish(json.dumps({"marker": marker}).encode())
            waits: set[asyncio.Future[Any]] = {read, self._reader.closed}
            await asyncio.wait(waits, timeout=BARRIER_LIMIT, return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._markers[marker]
        if not read.done():
            raise Unavailable("claims-silent", f"the stream {self._stream} can't be read to its end")

    async def _write(self, digest: str, state: str, **facts: object) -> None:
        await self._publish(self._record(digest, state, **facts))

    async def _publish(self, body: bytes) -> None:
        # Without `mandatory` a broker confirms also what goes to a stream that was deleted.
        await self._writer.publish("", self._stream, body, _PROPERTIES, mandatory=True)

    def _record(self, digest: str, state: str, **facts: object) -> bytes:
        me = self._me
        return json.dumps({"k": digest, "s": state, "d": me.device, "j": me.memory, **facts}).encode()

    def _read(self, received: Received) -> None:
        if received.tag % _ACKED_TOGETHER == 0:
            self._reader.ack(received.tag, with_earlier=True)
        offset = (received.properties.headers or {}).get("x-stream-offset")
        if isinstance(offset, int):
            self._known.next_offset = int(offset) + 1
        try:
            record = json.loads(received.body)
            if "marker" in record:
                if (read := self._markers.get(record["marker"])) is not None and not read.done():
                    read.set_result(None)
            else:
                self._known.take(record)
                if (told := self._awaited.get(record["k"])) is not None and record["s"] != _BEGUN:
                    told.set()
        except (ValueError, KeyError, TypeError):
            return  # somebody else writes into it


_PROPERTIES = Properties(content_type="application/json", app_id="otpbroker")


async def _find_stream(broker: Broker, stream: str) -> None:
    """Use what is there, else make it. Each try takes a channel: a broker closes it when the answer is no."""
    try:
        async with broker.channel() as channel:
            await channel.declare_queue(stream, passive=True)
    except Misconfigured as error:
        if error.code != "not-found":
            raise
    else:
        return
    try:
        async with broker.channel() as channel:
            await channel.declare_queue(stream, durable=True, arguments=ARGUMENTS)
    except (Denied, Misconfigured) as error:
        raise Misconfigured("no-claims", f"there is no stream {stream}: {error.detail}", remedy=_REMEDY) from error


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def _outcome(record: dict[str, Any]) -> Outcome:
    sent = record["s"] == State.SENT.value
    modem = record.get("m")
    return Outcome(
        id=str(record.get("id", "")),
        state=State.SENT if sent else State.UNKNOWN,
        receiver="",
        source="amqp",
        accepted_at=0.0,
        expires_at=0.0,
        changed_at=0.0,
        modem_id=None if modem is None else f"{record.get('d', '')}/{modem}",
        references=tuple(record.get("r", ())),
        error=None if sent else "begun-before",
        duplicate=True,
    )
