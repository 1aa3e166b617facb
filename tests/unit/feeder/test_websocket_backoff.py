"""When a feeder tries again: hours in virtual time, on a line that ends as the test decides."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from fake_intake import FakeIntake
from otpbroker.config.feeder_websocket import WebsocketFeeder
from otpbroker.errors import Unavailable
from otpbroker.events import Bus, FeederState
from otpbroker.feeder.line import Gone, refused
from otpbroker.feeder.unsent import Unsent
from otpbroker.feeder.websocket import SocketFeeder
from virtual_run import in_virtual_time, now
from virtual_time import VirtualClock

SECTION = WebsocketFeeder.model_validate({"id": "ws", "kind": "websocket", "url": "ws://broker.example.com/ws"})


class Broker:
    """Each connection ends with the next of `ends`: an error at once, or after seconds with a closing code."""

    def __init__(self, ends: Iterator[Exception | tuple[float, int | None]]) -> None:
        self.ends = ends
        self.tries: list[float] = []
        self.asked: list[str] = []

    @asynccontextmanager
    async def dial(self, url: str, _: tuple[str, ...]) -> AsyncIterator["Broker"]:
        self.tries.append(now())
        self.asked.append(url)
        end = next(self.ends)
        if isinstance(end, Exception):
            raise end
        self.stands, self.code = end
        yield self

    subprotocol = None

    async def receive(self) -> bytes:
        await asyncio.sleep(self.stands)
        raise Gone(self.code)

    async def send(self, text: str) -> None:
        raise AssertionError(text)

    async def ping(self) -> None:
        return

    def abort(self) -> None:
        raise AssertionError

    @property
    def pauses(self) -> list[float]:
        return [later - earlier for earlier, later in itertools.pairwise(self.tries)]


async def hours(broker: Broker, number: float) -> list[tuple[FeederState, str]]:
    """What the feeder told meanwhile."""
    told: list[tuple[FeederState, str]] = []
    clock = VirtualClock().clock
    feeder = SocketFeeder(
        SECTION,
        FakeIntake(),
        lambda state, detail: told.append((state, detail)),
        lambda: 1,
        clock,
        bus=Bus(),
        unsent=Unsent(clock),
        dial=broker.dial,
    )
    task = asyncio.create_task(feeder.run())
    await asyncio.sleep(number * 3600)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return told


def about(pauses: list[float], *seconds: float) -> bool:
    """Whether they are these, each up to 20 % shorter or longer."""
    return all(0.8 * wanted <= pause <= 1.2 * wanted for pause, wanted in zip(pauses, seconds, strict=True))


@in_virtual_time
async def test_pauses_double_up_to_twenty_seconds() -> None:
    broker = Broker(itertools.repeat(Unavailable("broker-unreachable", "Connection refused")))
    told = await hours(broker, 1)
    assert about(broker.pauses[:7], 1, 2, 4, 8, 16, 20, 20)
    assert 160 <= len(broker.tries) <= 240
    assert told[0] == (FeederState.CONNECTING, "")
    assert {state for state, _ in told[1:]} == {FeederState.FAILED}, "what the trouble is stays to be read"


@in_virtual_time
async def test_a_refusal_is_tried_again_rarely() -> None:
    broker = Broker(itertools.repeat(refused("HTTP 401")))
    told = await hours(broker, 2)
    assert about(broker.pauses[:6], 30, 60, 120, 240, 480, 600)
    assert told[-1][0] is FeederState.REFUSED
    assert "check user name and password" in told[-1][1]


@in_virtual_time
async def test_a_broker_that_accepts_and_closes_is_a_refusal() -> None:
    broker = Broker(itertools.repeat((0.5, 1000)))
    told = await hours(broker, 1)
    assert len(broker.tries) <= 13
    assert told[-1][0] is FeederState.REFUSED


@in_virtual_time
async def test_one_that_accepts_and_drops_is_not_hammered_either() -> None:
    broker = Broker(itertools.repeat((0.0, None)))
    await hours(broker, 1)
    assert about(broker.pauses[:7], 1, 2, 4, 8, 16, 20, 20)


@in_virtual_time
async def test_a_connection_that_stood_makes_the_pauses_short_again() -> None:
    ends: list[Exception | tuple[float, int | None]] = [Unavailable("x", "y")] * 8
    broker = Broker(iter([*ends, (40.0, None), (10.0, None), *ends]))
    await hours(broker, 0.1)
    pauses = broker.pauses
    assert about(pauses[8:11], 41, 12, 4)


@in_virtual_time
async def test_a_close_with_1000_after_a_while_is_no_refusal() -> None:
    broker = Broker(itertools.repeat((20.0, 1000)))
    told = await hours(broker, 0.2)
    assert FeederState.REFUSED not in {state for state, _ in told}
    assert FeederState.CONNECTED in {state for state, _ in told}


@in_virtual_time
async def test_both_names_of_the_channel_are_in_the_address() -> None:
    broker = Broker(itertools.repeat(Unavailable("x", "y")))
    await hours(broker, 0.001)
    assert broker.asked[0] == "ws://broker.example.com/ws?channel=sms&topic=sms"
