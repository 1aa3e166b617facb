"""Feeders run on their own; a change of one leaves the others alone, and each tells how it stands."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from core import Core, StartCore, settle
from otpbroker.clock import Clock
from otpbroker.config.feeder_rabbitmq import RabbitmqFeeder
from otpbroker.errors import Rejected
from otpbroker.events import FeederChanged, FeederState
from otpbroker.feeder.delivery import Delivery
from otpbroker.feeder.feeders import Act, Feeders, Tell
from otpbroker.feeder.intake import Intake

TEXT = "the text of a message"
CONNECTED, STOPPED, FAILED = FeederState.CONNECTED, FeederState.STOPPED, FeederState.FAILED


def section(feeder_id: str, **more: Any) -> RabbitmqFeeder:
    entry = {"id": feeder_id, "kind": "rabbitmq", "host": "h", "username": "u", "password": "p"}
    return RabbitmqFeeder.model_validate(entry | more)


@dataclass
class Made:
    """Feeders that connect at once, and break when a test says so."""

    runs: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    breaking: set[str] = field(default_factory=set)
    tells: dict[str, Tell] = field(default_factory=dict)
    drain: float = 0.0  # seconds that a feeder takes to end

    async def make(self, section: RabbitmqFeeder, intake: Intake, tell: Tell) -> "Running":
        assert intake.counts is not None
        self.tells[section.id] = tell
        return Running(self, section.id, tell)


@dataclass
class Running:
    made: Made
    id: str
    tell: Tell

    async def run(self) -> None:
        self.made.runs.append(self.id)
        if self.id in self.made.breaking:
            raise ZeroDivisionError(TEXT)
        self.tell(CONNECTED, "")
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(self.made.drain)
            self.made.ended.append(self.id)


@pytest.fixture
async def core(start_core: StartCore) -> Core:
    return await start_core()


@pytest.fixture
async def made() -> Made:
    return Made()


@pytest.fixture
async def feeders(core: Core, made: Made) -> AsyncIterator[Feeders]:
    def intake(section: RabbitmqFeeder) -> Intake:
        return Intake(
            core.dispatcher,
            source="amqp",
            caller=f"feeder:{section.id}",
            rights=frozenset(),
            unseal=lambda body: (body, False),
            sealed_only=False,
            clock=Clock(core.time.now),
        )

    feeders = Feeders(intake=intake, make=made.make, bus=core.bus, clock=core.time.clock)
    yield feeders
    await feeders.apply(())


def states(feeders: Feeders) -> dict[str, FeederState]:
    return {status.id: status.state for status in feeders.statuses}


async def test_active_feeders_run_and_inactive_ones_are_there(feeders: Feeders, made: Made) -> None:
    await feeders.apply((section("a"), section("b", active=False)))
    await settle()
    assert states(feeders) == {"a": CONNECTED, "b": STOPPED}
    assert made.runs == ["a"]


async def test_a_change_restarts_that_feeder_alone(feeders: Feeders, made: Made) -> None:
    await feeders.apply((section("a"), section("b")))
    await settle()
    await feeders.apply((section("a", queue="other"), section("b")))
    await settle()
    assert (made.runs, made.ended) == (["a", "b", "a"], ["a"])
    await feeders.apply((section("b"),))
    assert (made.ended, list(states(feeders))) == (["a", "a"], ["b"])


async def test_stop_start_and_refresh(feeders: Feeders, made: Made) -> None:
    await feeders.apply((section("a"),))
    await settle()
    stopped = await feeders.act("a", "stop")
    assert stopped is not None
    assert (stopped.state, stopped.detail, made.ended) == (STOPPED, "stopped by hand", ["a"])
    with pytest.raises(Rejected):
        await feeders.act("a", "refresh")
    for what in ("start", "start", "refresh"):
        await feeders.act("a", what)  # type: ignore[arg-type]
        await settle()
    assert (states(feeders), made.runs) == ({"a": CONNECTED}, ["a", "a", "a"])
    assert await feeders.act("nobody", "start") is None


@pytest.mark.parametrize(("what", "state"), [("refresh", CONNECTED), ("stop", STOPPED)])
async def test_an_act_goes_on_when_its_caller_has_gone(
    feeders: Feeders, made: Made, what: Act, state: FeederState
) -> None:
    made.drain = 5.0
    await feeders.apply((section("a"),))
    await settle()
    caller = asyncio.create_task(feeders.act("a", what))
    await asyncio.sleep(1)
    caller.cancel()
    await asyncio.sleep(2)
    assert made.ended == [], "it has all its time to end"
    await asyncio.sleep(3)
    assert made.ended == ["a"]
    assert states(feeders) == {"a": state}


async def test_a_stop_during_a_refresh_is_the_last_word(feeders: Feeders, made: Made) -> None:
    made.drain = 5.0
    await feeders.apply((section("a"),))
    await settle()
    refreshing = asyncio.create_task(feeders.act("a", "refresh"))
    await asyncio.sleep(1)
    stopped = await feeders.act("a", "stop")
    await refreshing
    await settle()
    assert stopped is not None
    assert stopped.state is STOPPED
    assert (states(feeders), made.runs, made.ended) == ({"a": STOPPED}, ["a", "a"], ["a", "a"])


async def test_one_that_ends_has_its_time_though_the_agent_ends_meanwhile(feeders: Feeders, made: Made) -> None:
    made.drain = 5.0
    await feeders.apply((section("a"),))
    await settle()
    changing = asyncio.create_task(feeders.apply((section("a", queue="other"),)))
    await asyncio.sleep(1)
    changing.cancel()
    await asyncio.gather(changing, return_exceptions=True)
    await feeders.apply(())
    assert (made.runs, made.ended) == (["a"], ["a"])


async def test_one_that_is_switched_off_can_be_started_for_now(feeders: Feeders, made: Made) -> None:
    await feeders.apply((section("a", active=False),))
    await feeders.act("a", "start")
    await settle()
    assert states(feeders) == {"a": CONNECTED}


async def test_what_breaks_is_started_again_with_growing_pauses_and_tells_no_text(
    feeders: Feeders, made: Made, caplog: pytest.LogCaptureFixture
) -> None:
    made.breaking.add("a")
    await feeders.apply((section("a"), section("b")))
    await asyncio.sleep(0.5)
    (a, b) = feeders.statuses
    assert (a.state, a.detail, b.state) == (FAILED, "it broke: ZeroDivisionError", CONNECTED)
    await asyncio.sleep(100)
    assert 5 <= made.runs.count("a") <= 9
    assert TEXT not in caplog.text
    made.breaking.clear()
    await asyncio.sleep(80)
    assert states(feeders) == {"a": CONNECTED, "b": CONNECTED}


async def test_every_new_state_and_detail_is_an_event_and_the_same_is_none(
    core: Core, feeders: Feeders, made: Made
) -> None:
    with core.bus.subscribe() as events:
        await feeders.apply((section("a"),))
        await settle()
        made.tells["a"](FAILED, "gone")
        made.tells["a"](FAILED, "gone")
        made.tells["a"](FAILED, "still gone")
        await feeders.apply(())
        core.bus.close()
        told = [(event.state, event.detail) async for event in events if isinstance(event, FeederChanged)]
    assert told == [
        (FeederState.CONNECTING, ""),
        (CONNECTED, ""),
        (FAILED, "gone"),
        (FAILED, "still gone"),
        (STOPPED, ""),
    ]


async def test_the_time_is_of_the_state_not_of_its_detail(core: Core, feeders: Feeders, made: Made) -> None:
    await feeders.apply((section("a"),))
    await settle()
    since = feeders.statuses[0].since
    await asyncio.sleep(10)
    made.tells["a"](CONNECTED, "a queue is otherwise")
    assert feeders.statuses[0].since == since
    made.tells["a"](FAILED, "gone")
    assert feeders.statuses[0].since == since + 10


async def test_what_was_handled_is_counted(feeders: Feeders, core: Core) -> None:
    await feeders.apply((section("a"),))
    (kept,) = feeders._kept.values()
    await kept.intake.handle(Delivery(b'{"command":"echo","data":{}}'))
    await kept.intake.handle(Delivery(b"{"))
    await kept.intake.handle(Delivery(b'{"command":"send-sms","data":{"msisdn":"081234567890","message":"x"}}'))
    (status,) = feeders.statuses
    assert (status.done, status.refused, status.returned, status.unknown) == (1, 1, 1, 0)
