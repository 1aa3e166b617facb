"""Our modem drives one that is not ours to trust: echo on, `ATE` refused, lines nobody asked for, 5-octet pieces."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from foreign_modem import ForeignModem

from otpbroker.config.model import ModemSection
from otpbroker.events import Bus
from otpbroker.modem.fleet import Fleet

PDU = "0011000C912618214365870000A705E8329BFD06"


class Nothing:
    """No message was in the air."""

    def expected(self, _modem_id: str) -> bool:
        return False

    def arrived(self, _modem_id: str, _reference: int) -> None:
        raise AssertionError

    def over(self, _modem_id: str) -> None:
        raise AssertionError


@pytest.fixture
async def foreign() -> AsyncIterator[ForeignModem]:
    modem = ForeignModem()
    yield modem
    with suppress(OSError):
        modem.unplug()


@asynccontextmanager
async def driving(*sections: ModemSection) -> AsyncIterator[tuple[Fleet, Callable[[Callable[[], bool]], object]]]:
    changed = asyncio.Event()
    fleet = Fleet(Bus(), time.time, Nothing(), changed.set)

    async def until(true: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not true():
                changed.clear()
                await changed.wait()

    await fleet.apply(sections)
    task = asyncio.create_task(fleet.run())
    try:
        yield fleet, until
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
