"""Whatever comes and goes: no message is lost, none is handed out twice, none to a sender that may not have it."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fakes import FakeFleet, FakeSender, NoLedger, modem
from otpbroker.clock import Clock
from otpbroker.config.model import Config
from otpbroker.errors import Unavailable
from otpbroker.messaging.command import Origin
from otpbroker.messaging.limits import Allowances
from otpbroker.messaging.message import Message
from otpbroker.messaging.pool import Pool
from otpbroker.messaging.routing import RoutingTable
from virtual_time import VirtualTimeLoop

SENDERS = (
    modem("m1", "62812"),
    modem("m2", "62812", "62899"),
    modem("m3", default=True),
    modem("m4", "628123", send_from_api=False),
)
RECEIVERS = ("62812000001", "62899000001", "62812300001", "14155550001")
LIFE = 60.0


@dataclass
class Lane:
    """A sender that takes one message at a time and holds it until told."""

    sender: FakeSender
    taking: "asyncio.Task[None] | None" = None
    holds: Message | None = None


class PoolMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualTimeLoop()
        self.lanes = [Lane(FakeSender(section)) for section in SENDERS]
        self.fleet = FakeFleet(tuple(lane.sender for lane in self.lanes))
        self.expired: list[Message] = []
        self.handed: list[Message] = []
        self.put: list[Message] = []
        self.not_before: dict[str, float] = {}
        clock = Clock(now=self.loop.time, monotonic=self.loop.time)
        allowances = Allowances(NoLedger(), clock)
        self.pool = Pool(self.fleet, Config, allowances, clock, self.expired.append, lambda _: None)
        self._run(self._open())

    def teardown(self) -> None:
        self.loop.run_until_complete(self._close())
        self.loop.close()

    @rule(
        receiver=st.sampled_from(RECEIVERS),
        only=st.sampled_from([None, "m1", "m4"]),
        pause=st.sampled_from([0.0, 3.0]),
    )
    def a_message_comes(self, receiver: str, only: str | None, pause: float) -> None:
        message = _message(f"{len(self.put)}", receiver, only, self.loop.time() + LIFE)
        self.put.append(message)
        self.not_before[message.id] = self.loop.time() + pause
        self._run(self._put(message, pause))

    @rule(place=st.integers(0, 3), ready=st.booleans())
    def readiness_changes(self, place: int, ready: bool) -> None:
        self.lanes[place].sender.ready = ready
        self._run(self._refresh())

    @precondition(lambda self: any(lane.holds for lane in self.lanes))
    @rule(data=st.data(), refused=st.booleans())
    def a_sender_ends_its_message(self, data: st.DataObject, refused: bool) -> None:
        lane = data.draw(st.sampled_from([lane for lane in self.lanes if lane.holds]))
        self._run(self._end(lane, refused=refused))

    @rule(seconds=st.sampled_from([1.0, 10.0, LIFE]))
    def time_passes(self, seconds: float) -> None:
        self._run(asyncio.sleep(seconds))

    @invariant()
    def every_message_is_in_one_place(self) -> None:
        held = [lane.holds for lane in self.lanes if lane.holds]
        assert len(self.pool) + len(held) + len(self.expired) + len(self.handed) == len(self.put)
        assert not self.loop.defects
        everywhere = held + self.expired + self.handed
        assert len({message.id for message in everywhere}) == len(everywhere)

    @invariant()
    def nobody_waits_beside_an_idle_sender_that_may_send(self) -> None:
        for lane in self.lanes:
            if not lane.holds and lane.sender.ready:
                assert not self.pool.waiting_for(lane.sender.id)

    async def _open(self) -> None:
        self.pool.refresh()
        for lane in self.lanes:
            lane.taking = asyncio.ensure_future(self._take(lane))

    async def _close(self) -> None:
        self.pool.close()
        taking = [lane.taking for lane in self.lanes if lane.taking]
        for task in taking:
            task.cancel()
        await asyncio.gather(*taking, return_exceptions=True)

    async def _put(self, message: Message, pause: float) -> None:
        self.pool.put(message, pause)

    async def _refresh(self) -> None:
        self.pool.refresh()

    async def _end(self, lane: Lane, *, refused: bool) -> None:
        message, lane.holds = lane.holds, None
        assert message is not None
        if refused:
            message.refused_by.add(lane.sender.id)
            try:
                self.pool.require_route(message)
            except Unavailable:
                message.refused_by.clear()
            self.pool.put(message)
        else:
            self.handed.append(message)
        lane.taking = asyncio.ensure_future(self._take(lane))

    def _run(self, step: Coroutine[object, object, None]) -> None:
        self.loop.run_until_complete(step)
        self.loop.run_until_complete(self._settle())

    async def _settle(self) -> None:
        for _ in range(4):
            await asyncio.sleep(0)
        for lane in self.lanes:
            if lane.taking is not None and lane.taking.done():
                lane.taking = lane.taking.result()

    async def _take(self, lane: Lane) -> None:
        message = await self.pool.take(lane.sender)
        self._check(message, lane.sender)
        lane.holds = message

    def _check(self, message: Message, sender: FakeSender) -> None:
        assert sender.ready
        assert sender.id not in message.refused_by
        assert self.loop.time() >= self.not_before[message.id]
        if message.only_modem is not None:
            assert sender.id == message.only_modem
        else:
            assert sender.config.send_from_api
            route = RoutingTable(SENDERS, "62").tiers(message.receiver)
            preferred = {sender_id for tier in route for sender_id in tier}
            up = {lane.sender.id for lane in self.lanes if lane.sender.ready}
            assert sender.id in preferred or not preferred & up - message.refused_by


def _message(message_id: str, receiver: str, only: str | None, deadline: float) -> Message:
    return Message(
        id=message_id,
        origin=Origin("rest", "shop"),
        receiver=receiver,
        pdus=("00",),
        length=1,
        encoding="gsm7",
        accepted_at=0.0,
        expires_at=0.0,
        deadline=deadline,
        only_modem=only,
    )


PoolMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestPool = PoolMachine.TestCase
