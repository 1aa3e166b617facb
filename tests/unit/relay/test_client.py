"""One client and the relay's end of its connection, without sockets: what it costs and what it is taken for."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from otpbroker.clock import Clock
from otpbroker.rate import TokenBuckets
from otpbroker.relay import client as module
from otpbroker.relay.channel import Held
from otpbroker.relay.client import Client, Ended, Hall, Kind
from otpbroker.relay.exchange import Exchange
from otpbroker.relay.metrics import Metrics
from otpbroker.relay.settings import Limits
from otpbroker.relay.users import RelayUser

HASH = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"


class Wire:
    """The other end says `said` without a pause, takes `takes` messages and answers no ping."""

    def __init__(self, said: list[str], takes: int) -> None:
        self.said = said
        self.takes = takes
        self.heard: list[str] = []
        self.ended = asyncio.Event()

    async def receive(self) -> bytes:
        if not self.said:
            await self.ended.wait()
        if self.ended.is_set():
            raise Ended
        return self.said.pop(0).encode()

    async def send(self, text: str) -> None:
        if len(self.heard) == self.takes:
            await self.ended.wait()
            raise Ended
        self.heard.append(text)

    async def ping(self) -> None:
        await self.ended.wait()
        raise Ended

    async def close(self, _code: int) -> None:
        self.ended.set()

    def abort(self) -> None:
        self.ended.set()


class SlowWire(Wire):
    """Takes one message, and more when it is told to."""

    def __init__(self, said: list[str]) -> None:
        super().__init__(said, 100)
        self.begun = asyncio.Event()
        self.reads = asyncio.Event()

    async def send(self, text: str) -> None:
        self.begun.set()
        await self.reads.wait()
        await super().send(text)


class Room:
    def __init__(self, **limits: Any) -> None:
        self.passed = 0.0  # seconds beside those of the real clock
        clock = Clock(monotonic=lambda: time.monotonic() + self.passed)
        self.metrics = Metrics()
        self.limits = Limits(**limits)
        self.exchange = Exchange(self.limits, frozenset(), self.metrics, clock.monotonic)
        rates = TokenBuckets(capacity=self.limits.burst, refill=self.limits.rate)
        self.hall = Hall(self.exchange, self.limits, rates, TokenBuckets(capacity=1, refill=1), clock)

    @asynccontextmanager
    async def client(self, wire: Wire, kind: Kind, name: str = "shop", **rights: Any) -> AsyncIterator[None]:
        user = RelayUser.model_validate({"username": name, "password": HASH, **rights})
        talk = asyncio.create_task(Client(wire, user, kind, "sms", self.hall).converse())
        try:
            yield
        finally:
            wire.ended.set()
            with suppress(TimeoutError):
                await asyncio.wait_for(talk, 5)


def publish(count: int) -> list[str]:
    return [json.dumps({"type": "publish", "id": str(number), "body": "{}"}) for number in range(count)]


@pytest.mark.parametrize("rights", [{"publish": ["sms"]}, {}], ids=["accepted", "declined"])
async def test_who_does_not_read_its_answers_is_read_no_further(rights: dict[str, Any]) -> None:
    room, wire = Room(burst=10_000, waiting=10_000), Wire(publish(2000), takes=0)
    async with room.client(wire, Kind.ACKNOWLEDGED, **rights):
        await asyncio.sleep(0.3)
        assert 1700 < len(wire.said) < 1800


async def test_what_is_declined_costs_a_token_too() -> None:
    room, wire = Room(burst=5, rate=1), Wire(publish(50), takes=-1)
    async with room.client(wire, Kind.ACKNOWLEDGED):
        await asyncio.sleep(0.1)
        assert room.metrics.declined["no-right"] == 5


async def test_no_pong_while_it_is_read_more_slowly_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PING_EVERY", 0.05)
    monkeypatch.setattr(module, "PONG_WITHIN", 0.05)
    room, slowed = Room(burst=1, rate=1), Wire(publish(2), takes=-1)
    async with room.client(slowed, Kind.ACKNOWLEDGED, publish=["sms"]):
        await asyncio.sleep(0.5)
        assert not slowed.ended.is_set()
        async with asyncio.timeout(3):
            await slowed.ended.wait()  # read again, it owes a pong


async def test_of_an_envelope_that_was_written_in_part_others_get_the_rest() -> None:
    room, first, second = Room(), Wire([], takes=2), Wire([], takes=-1)
    items = [{"receiver": "0812", "message": str(number)} for number in range(4)]
    body = json.dumps({"command": "send-message", "channel": "sms", "data": items}).encode()
    until = room.hall.clock.monotonic() + 300
    assert room.exchange.publish(Held("a", "sms", body, until, 0.0)) == ""
    async with room.client(first, Kind.TOPIC, "device", consume=["sms"]):
        await asyncio.sleep(0.05)
    async with room.client(second, Kind.TOPIC, "device", consume=["sms"]):
        await asyncio.sleep(0.05)
    assert [json.loads(text)["data"]["message"] for text in first.heard + second.heard] == list("0123")
    assert room.exchange.held == 0


async def test_a_name_that_is_a_password_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    name = "pub-b3f0a94c1d6e72885a1c"
    async with Room().client(Wire(["?"], takes=-1), Kind.ACKNOWLEDGED, name):
        await asyncio.sleep(0.05)
    assert "not-understood" in caplog.text
    assert name not in caplog.text


async def test_what_ended_before_a_slow_client_read_it_is_not_written_and_leaves_its_place() -> None:
    room = Room()
    wire = SlowWire([json.dumps({"type": "consume", "credit": 2})])

    def publish_one(name: str) -> None:
        until = time.monotonic() + room.passed + 60
        assert room.exchange.publish(Held(name, "sms", b"{}", until, 0.0)) == ""

    async with room.client(wire, Kind.ACKNOWLEDGED, consume=["sms"]):
        publish_one("read")
        publish_one("too late")
        await wire.begun.wait()
        room.passed = 60 + 901
        room.exchange.tick()
        assert room.metrics.ended["unknown"] == 2
        publish_one("next")
        wire.reads.set()
        async with asyncio.timeout(5):
            while len(wire.heard) < 2:
                await asyncio.sleep(0)  # the client writes meanwhile
    assert [json.loads(text)["id"] for text in wire.heard] == ["read", "next"]
