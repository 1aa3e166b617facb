"""What devices that share a queue tell each other by a stream of the same broker: what was begun, how it ended.

A device writes that it begins with a message, and waits for the broker to confirm that, before a modem gets it. So
a message that comes a second time was begun if, and only if, the stream says so. Records hold a hash of the message
and our id, neither number nor text.
"""

import asyncio
import hashlib
import json
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from otpbroker.errors import Denied, Misconfigured, OtpBrokerError, Unavailable
from otpbroker.feeder.amqp import Broker, Channel, Properties, Received
from otpbroker.messaging.outcome import Outcome, State

# Records that a device remembers, of about 300 octets each; older ones are forgotten.
REMEMBERED = 20_000
BARRIER_LIMIT = 15.0  # seconds to read what was written before
_PREFETCH = 500

# How `otpbroker rabbitmq setup` makes the stream. Whole segments alone are dropped when they are too old.
ARGUMENTS = {"x-queue-type": "stream", "x-max-age": "1D", "x-stream-max-segment-size-bytes": 1_000_000}

_BEGUN, _FREE = "begun", "free"
_STATES = frozenset({_BEGUN, _FREE, State.SENT.value, State.UNKNOWN.value})
_REMEDY = "make it with otpbroker rabbitmq setup, or remove the setting claims"


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
            self.records.pop(digest, None)
            return
        self.records[digest] = record
        self.records.move_to_end(digest)
        if len(self.records) > REMEMBERED:
            self.records.popitem(last=False)


class StreamClaims:
    """Fits `intake.Claims`; lives as long as one connection. See `open`."""

    def __init__(self, writer: Channel, reader: Channel, stream: str, device: str, known: Known) -> None:
        self._writer = writer
        self._reader = reader
        self._stream = stream
        self._device = device
        self._known = known
        self._begun: set[str] = set()
        self._markers: dict[str, asyncio.Future[None]] = {}

    @classmethod
    @asynccontextmanager
    async def open(
        cls, broker: Broker, writer: Channel, stream: str, *, device: str, known: Known
    ) -> AsyncIterator["StreamClaims"]:
        """Read the stream to its end, then follow it. `writer`: the channel that the messages come by.

        When the broker takes that channel for lost and gives its messages to others, no claim comes through it any
        more. Raises `Misconfigured` or `Denied` when there is no such stream.
        """
        await _find_stream(broker, stream)
        async with broker.channel() as reader:
            claims = cls(writer, reader, stream, device, known)
            offset: object = "first" if known.next_offset is None else known.next_offset
            await reader.consume(stream, claims._read, prefetch=_PREFETCH, arguments={"x-stream-offset": offset})
            await claims._catch_up()
            yield claims

    @property
    def closed(self) -> "asyncio.Future[OtpBrokerError]":
        """Done when the stream is not followed any more."""
        return self._reader.closed

    async def earlier(self, key: str, *, certain: bool) -> Outcome | None:
        if certain:
            await self._catch_up()
        record = self._known.records.get(_digest(key))
        return None if record is None else _outcome(record)

    async def claim(self, key: str) -> bool:
        """Write that it is begun; False when that is not certain: then it must not be begun."""
        self._begun.add(key)
        try:
            await self._writer.publish("", self._stream, self._record(key, _BEGUN), _PROPERTIES)
        except OtpBrokerError:
            return False
        return True

    async def settle(self, key: str, outcome: Outcome) -> None:
        """Write how it ended; after this, what its broker is told of it comes later than the record."""
        begun = key in self._begun
        self._begun.discard(key)
        if outcome.state in {State.SENT, State.UNKNOWN}:
            facts = {"id": outcome.id, "m": outcome.modem_id, "r": list(outcome.references)}
            self._writer.send("", self._stream, self._record(key, outcome.state.value, **facts), _PROPERTIES)
        elif begun:
            try:
                await self._writer.publish("", self._stream, self._record(key, _FREE), _PROPERTIES)
            except OtpBrokerError:
                return  # it stays begun: others will take it for unknown

    async def _catch_up(self) -> None:
        """Return when all is read that was written before."""
        marker = secrets.token_hex(8)
        read: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._markers[marker] = read
        try:
            await self._writer.publish("", self._stream, json.dumps({"marker": marker}).encode(), _PROPERTIES)
            waits: set[asyncio.Future[Any]] = {read, self._reader.closed}
            await asyncio.wait(waits, timeout=BARRIER_LIMIT, return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._markers[marker]
        if not read.done():
            raise Unavailable("claims-silent", f"the stream {self._stream} can't be read to its end")

    def _record(self, key: str, state: str, **facts: object) -> bytes:
        return json.dumps({"k": _digest(key), "s": state, "d": self._device, **facts}).encode()

    def _read(self, received: Received) -> None:
        self._reader.ack(received.tag)
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
