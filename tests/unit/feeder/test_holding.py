"""What a historic broker gave, when the feeder that took it ends: minutes in virtual time."""

import asyncio

import pytest

from fake_intake import FakeIntake
from otpbroker.feeder.delivery import Handled, Verdict
from otpbroker.feeder.holding import Holding
from otpbroker.feeder.patience import USUAL
from otpbroker.feeder.unsent import Unsent
from virtual_run import in_virtual_time
from virtual_time import VirtualClock


class _Ended(Exception):
    pass


async def _end_after(seconds: float) -> None:
    """At once with 0, before any other task has a turn."""
    if seconds:
        await asyncio.sleep(seconds)
    raise _Ended


class Device:
    """Runs of one feeder, one after the other; its core can do nothing unless it is told otherwise."""

    def __init__(self) -> None:
        self.clock = VirtualClock().clock
        self.unsent = Unsent(self.clock)
        self.intake = FakeIntake()
        self.intake.answer(*[Verdict.NOT_NOW] * 10_000)

    async def run(self, seconds: float, *bodies: bytes) -> list[bytes]:
        """What the core was asked to do while the feeder ran, with these messages of its broker."""
        before = len(self.intake.given)
        holding = Holding("ws", self.intake.handle, self._answer, self.unsent, USUAL, self.clock)

        try:
            async with asyncio.TaskGroup() as group:
                holding.resume(group)
                for body in bodies:
                    holding.take(body, group)
                await _end_after(seconds)
        except* _Ended:
            holding.leave()
        return self.intake.bodies[before:]

    async def _answer(self, _: Handled) -> None:
        return


@in_virtual_time
async def test_what_waits_when_the_feeder_ends_is_for_its_next_run() -> None:
    device = Device()
    assert await device.run(0.5, b"one", b"two") == [b"one", b"two"]
    assert await device.run(0.5) == [b"one", b"two"], "in their order"
    device.intake.script.clear()
    assert await device.run(0.5) == [b"one", b"two"]
    assert await device.run(0.5) == [], "both have ended"


@in_virtual_time
async def test_runs_that_end_at_once_lose_nothing() -> None:
    device = Device()
    assert await device.run(0, b"one") == []
    assert await device.run(0) == []
    assert await device.run(0.5) == [b"one"]


@in_virtual_time
async def test_it_is_held_for_five_minutes_in_all() -> None:
    device = Device()
    await device.run(200, b"one")
    await asyncio.sleep(50)
    assert await device.run(20) != []
    assert await device.run(50) != [], "it is tried every 12 to 18 s"
    assert await device.run(1000) == []


@in_virtual_time
async def test_one_whose_feeder_does_not_run_again_is_given_up_in_time_and_that_is_told() -> None:
    device = Device()
    await device.run(100, b"one")
    await asyncio.sleep(199)
    assert len(device.unsent._left["ws"]) == 1
    await asyncio.sleep(2)
    assert device.unsent._left == {}, "nothing of it is in memory any more"
    assert await device.run(1) == []


def test_what_is_left_and_what_is_given_up_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    test_one_whose_feeder_does_not_run_again_is_given_up_in_time_and_that_is_told()
    assert "feeder ws: it ended, messages that could not be sent yet: 1" in caplog.text
    assert "feeder ws: a message was given up, not sent: the feeder did not run again" in caplog.text


@in_virtual_time
async def test_what_the_core_has_is_not_given_to_it_again() -> None:
    device = Device()
    device.intake.script.clear()
    device.intake.open.clear()
    assert await device.run(10, b"one") == [b"one"]
    device.intake.open.set()
    assert await device.run(10) == [], "it goes on there"
