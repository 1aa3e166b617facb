"""What devices tell each other by the stream of a real broker."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from bench.rabbitmq import RabbitMq, Vhost
from brokers.publisher import Publisher
from otpbroker.errors import Misconfigured, Unavailable
from otpbroker.feeder.amqp import Address, Broker
from otpbroker.feeder.claims import ARGUMENTS, REMEMBERED, Known, Me, StreamClaims
from otpbroker.messaging.outcome import Outcome, State

ONE, OTHER = Me("one", "memory-1"), Me("other", "memory-2")
Device = Callable[..., AbstractAsyncContextManager[StreamClaims]]


def outcome(state: State, message_id: str = "a") -> Outcome:
    return Outcome(message_id, state, "", "amqp", 0.0, 0.0, 0.0, modem_id="m1", references=(7, 8))


async def knows_nothing(message_id: str, wait: float) -> Outcome | None:
    return None


@pytest.fixture
async def device(vhost: Vhost, server: Publisher) -> Device:
    """Connects a device to the stream `claims`."""
    await server.declare("claims", durable=True, arguments=ARGUMENTS)
    address = Address("127.0.0.1", vhost.port, vhost.name, vhost.username, vhost.password)

    @asynccontextmanager
    async def connect(
        me: Me, known: Known | None = None, ask: object = knows_nothing, patience: float = 0.3
    ) -> AsyncIterator[StreamClaims]:
        more = {"me": me, "known": known or Known(), "outcome": ask, "patience": patience}
        async with (
            Broker.connect(address) as broker,
            broker.channel(confirms=True) as channel,
            StreamClaims.open(broker, channel, "claims", **more) as claims,  # type: ignore[arg-type]
        ):
            yield claims

    return connect


async def told(claims: StreamClaims, key: str = "k") -> State | None:
    earlier = await claims.earlier(key, certain=True)
    return None if earlier is None else earlier.state


async def test_what_one_began_the_other_knows_also_when_it_comes_later(device: Device) -> None:
    async with device(ONE) as one:
        assert await told(one) is None
        assert await one.claim("k", "a")
        assert await told(one) is State.UNKNOWN
        async with device(OTHER) as other:
            assert await told(other) is State.UNKNOWN
            assert await told(other, "another message") is None


@pytest.mark.parametrize(
    ("ended", "known_as"),
    [
        (State.SENT, State.SENT),
        (State.UNKNOWN, State.UNKNOWN),
        (State.FAILED, None),
        (State.EXPIRED, None),
        (State.BLOCKED, None),
    ],
)
async def test_how_it_ended_is_told(device: Device, ended: State, known_as: State | None) -> None:
    async with device(ONE) as one, device(OTHER) as other:
        await one.claim("k", "a")
        await one.settle("k", outcome(ended))
        assert await told(other) is known_as


async def test_a_sent_message_is_told_with_what_its_answer_needs(device: Device) -> None:
    async with device(ONE) as one, device(OTHER) as other:
        await one.claim("k", "a")
        await one.settle("k", outcome(State.SENT))
        earlier = await other.earlier("k", certain=True)
    assert earlier is not None
    assert (earlier.id, earlier.modem_id, earlier.references, earlier.duplicate) == ("a", "one/m1", (7, 8), True)


async def test_what_was_never_begun_is_not_told(device: Device, server: Publisher) -> None:
    async with device(ONE) as one:
        await one.settle("k", outcome(State.FAILED))
        assert await told(one) is None


async def test_the_end_is_waited_for_as_long_as_another_device_may_tell_it(device: Device) -> None:
    async with device(ONE) as one, device(OTHER, patience=20.0) as other:
        await one.claim("k", "a")
        asking = asyncio.create_task(told(other))
        await asyncio.sleep(0.3)
        assert not asking.done()
        begin = time.monotonic()
        await one.settle("k", outcome(State.SENT))
        assert await asking is State.SENT
        assert time.monotonic() - begin < 5


async def test_who_comes_back_tells_what_became_of_what_it_had_begun(device: Device) -> None:
    states = {"1": State.SENT, "2": State.UNKNOWN, "3": State.FAILED}

    async def ask(message_id: str, wait: float) -> Outcome | None:
        state = states.get(message_id)
        return None if state is None else outcome(state, message_id)

    async with device(ONE) as one:
        for message_id in ("1", "2", "3", "lost"):
            await one.claim(f"k{message_id}", message_id)
    async with device(OTHER) as other:
        async with device(ONE, ask=ask) as one:
            assert await told(one, "k3") is None, "before it takes anything"
        assert [await told(other, f"k{n}") for n in ("1", "2", "3", "lost")] == [
            State.SENT,
            State.UNKNOWN,
            None,
            State.UNKNOWN,
        ]


async def test_what_is_still_in_the_air_is_told_when_it_ends(device: Device) -> None:
    ended = asyncio.Event()

    async def ask(message_id: str, wait: float) -> Outcome | None:
        if wait:
            await ended.wait()
        return outcome(State.SENT if ended.is_set() else State.SENDING)

    async with device(ONE) as one:
        await one.claim("k", "a")
    async with device(ONE, ask=ask), device(OTHER, patience=10.0) as other:
        asking = asyncio.create_task(told(other))
        await asyncio.sleep(0.3)
        assert not asking.done()
        ended.set()
        assert await asking is State.SENT


async def test_a_device_that_lost_its_memory_accounts_for_nothing(device: Device) -> None:
    async def ask(message_id: str, wait: float) -> Outcome | None:
        raise AssertionError

    async with device(ONE) as one:
        await one.claim("k", "a")
    async with device(Me("one", "after the power cut"), ask=ask) as again:
        assert await told(again) is State.UNKNOWN


async def test_an_old_release_does_not_lift_a_newer_claim(device: Device) -> None:
    async with device(ONE) as one, device(OTHER) as other:
        await one.claim("k", "old")
        await other.claim("k", "new")
        await one.settle("k", outcome(State.FAILED, "old"))
        assert await told(other) is State.UNKNOWN


async def test_what_was_read_is_not_read_again_on_the_next_connection(device: Device) -> None:
    known = Known()
    async with device(ONE, known) as one:
        await one.claim("k", "a")
        await told(one)
    read = known.next_offset
    assert read is not None
    async with device(ONE, known) as one:
        assert await told(one) is State.UNKNOWN
    assert known.next_offset > read


async def test_a_claim_without_connection_is_none(device: Device, vhost: Vhost) -> None:
    async with device(ONE) as one:
        pass
    assert not await one.claim("k", "a")
    with pytest.raises(Unavailable):
        await one.earlier("k", certain=True)


async def test_what_others_write_into_the_stream_is_ignored(device: Device, server: Publisher) -> None:
    for garbage in (
        b"",
        b"{",
        b"[]",
        b'{"k":"x"}',
        b'{"k":"x","s":"odd"}',
        b'{"k":"x","s":"sent","r":["y"]}',
        b"\xff",
    ):
        await server.publish(garbage, "claims")
    async with device(ONE) as one:
        assert await one.claim("k", "a")
        assert await told(one) is State.UNKNOWN


async def test_a_missing_stream_is_made_or_its_absence_explained(
    rabbit: RabbitMq, vhost: Vhost, device: Device
) -> None:
    address = Address("127.0.0.1", vhost.port, vhost.name, vhost.username, vhost.password)
    arguments = {"me": ONE, "known": Known(), "outcome": knows_nothing, "patience": 0.1}
    await rabbit.permit(vhost.name, vhost.username, configure="^$")
    async with Broker.connect(address) as broker, broker.channel(confirms=True) as channel:
        with pytest.raises(Misconfigured) as refusal:
            await StreamClaims.open(broker, channel, "missing", **arguments).__aenter__()  # type: ignore[arg-type]
        assert refusal.value.code == "no-claims"
        await rabbit.permit(vhost.name, vhost.username)
        async with StreamClaims.open(broker, channel, "missing", **arguments) as claims:  # type: ignore[arg-type]
            assert await claims.claim("k", "a")


async def test_a_stream_that_is_deleted_takes_no_claim(device: Device, rabbit: RabbitMq, vhost: Vhost) -> None:
    async with device(ONE) as one:
        await rabbit.delete_queue(vhost.name, "claims")
        assert not await one.claim("k", "a")
        with pytest.raises(Unavailable):
            await one.earlier("k", certain=True)


async def test_a_stream_that_is_made_anew_without_being_followed_takes_no_claim(
    device: Device, rabbit: RabbitMq, vhost: Vhost, server: Publisher
) -> None:
    async with device(ONE) as one:
        await rabbit.delete_queue(vhost.name, "claims")
        await asyncio.wait_for(one.closed, 10)
        await server.declare("claims", durable=True, arguments=ARGUMENTS)
        assert not await one.claim("k", "a")


async def test_a_stream_that_was_made_anew_is_read_from_its_beginning(
    device: Device, rabbit: RabbitMq, vhost: Vhost, server: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otpbroker.feeder.claims.BARRIER_LIMIT", 2.0)
    known = Known()
    async with device(ONE, known) as one:
        for number in range(20):
            await one.claim(f"{number}", "a")
        assert await told(one, "19") is State.UNKNOWN
    await rabbit.delete_queue(vhost.name, "claims")
    await server.declare("claims", durable=True, arguments=ARGUMENTS)
    async with device(OTHER) as other:
        await other.claim("new", "b")
    try:
        async with device(ONE, known):
            pass
    except Unavailable:
        pass
    async with device(ONE, known) as one:
        assert await told(one, "new") is State.UNKNOWN
        assert await told(one, "19") is State.UNKNOWN, "what was known stays so"


def test_memory_is_bounded() -> None:
    known = Known()
    for number in range(REMEMBERED + 10):
        known.take({"k": str(number), "s": "begun", "id": "a"})
    assert (len(known.records), "9" in known.records, "10" in known.records) == (REMEMBERED, False, True)
