"""How many messages a device has from its queue follows its modems, and what they can't take yet waits beside."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

from otpbroker.feeder.capacity import Capacity
from otpbroker.feeder.prefetch import MOST_BESIDE, Prefetch


class Following:
    """Modems that a test plugs, and what was taken for them."""

    def __init__(self, configured: int = 0) -> None:
        self.ready = 1
        self.takes: list[int] = []
        self.problems: dict[str, str] = {}
        self.prefetch = Prefetch(
            configured, lambda: Capacity(self.ready), self.problems.__setitem__, steady=2.0, no_modem=10.0
        )

    async def take(self, number: int) -> None:
        self.takes.append(number)

    def plug(self, ready: int) -> None:
        self.ready = ready
        self.prefetch.look()


@asynccontextmanager
async def following(configured: int = 0) -> AsyncIterator[Following]:
    made = Following(configured)
    task = asyncio.create_task(made.prefetch.follow(made.take))
    await asyncio.sleep(0.1)
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_it_follows_the_modems_more_of_them_soon_and_fewer_when_they_stay_away() -> None:
    async with following() as device:
        device.plug(3)
        await asyncio.sleep(1)
        assert device.takes == [2]
        await asyncio.sleep(1.5)
        assert device.takes == [2, 4]
        device.plug(0)
        await asyncio.sleep(9)
        assert device.takes == [2, 4]
        await asyncio.sleep(1.5)
        assert device.takes == [2, 4, 0]
        assert device.problems["modems"] == "no modem is ready, nothing is taken"


async def test_what_can_not_be_taken_now_is_beside_what_the_others_can() -> None:
    async with following() as device:
        with ExitStack() as resting:
            for _ in range(2):
                resting.enter_context(device.prefetch.beside())
            await asyncio.sleep(2.1)
            assert device.takes == [2, 4]
            assert "too long for what the limits leave" in device.problems["held-back"]
            for _ in range(3):
                resting.enter_context(device.prefetch.beside())
            await asyncio.sleep(2.1)
            assert device.takes == [2, 4, 10]
        await asyncio.sleep(10.1)
        assert device.takes == [2, 4, 10, 2]
        assert device.problems["held-back"] == ""


async def test_one_that_comes_back_for_a_moment_changes_nothing() -> None:
    async with following() as device:
        with device.prefetch.beside():
            await asyncio.sleep(3)
        for _ in range(5):
            with device.prefetch.beside():
                await asyncio.sleep(30)
        assert device.takes == [2, 3]
        assert device.problems["held-back"] != ""


async def test_a_configured_number_has_room_beside_it_too() -> None:
    async with following(configured=1) as device:
        with device.prefetch.beside():
            await asyncio.sleep(3)
        assert device.takes == [1, 2]


async def test_the_room_is_bounded_and_when_it_is_used_up_that_is_told() -> None:
    async with following() as device:
        with ExitStack() as resting:
            for _ in range(1000):
                resting.enter_context(device.prefetch.beside())
            await asyncio.sleep(3)
            assert device.takes[-1] == 2 + MOST_BESIDE
            assert "others may wait too" in device.problems["held-back"]
