"""The real fleet on real ports, with what a test needs to follow it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from otpbroker.config.model import ModemSection
from otpbroker.events import Bus
from otpbroker.modem.fleet import Fleet
from otpbroker.modem.modem import Modem
from otpbroker.modem.usb import NoPorts, PortSource
from otpbroker.sms.submission import SendResult, Sms

PDU = "0011000C912618214365870000A705E8329BFD06"


class InTheAir:
    """What a process before this one left in the air: messages on these modems."""

    def __init__(self, *modem_ids: str) -> None:
        self.open = set(modem_ids)
        self.answers: list[tuple[str, int]] = []

    def expected(self, modem_id: str) -> bool:
        return modem_id in self.open

    def arrived(self, modem_id: str, reference: int, imei: str) -> None:
        assert imei
        self.answers.append((modem_id, reference))

    def over(self, modem_id: str) -> None:
        self.open.remove(modem_id)


class DrivenFleet:
    """A running fleet; modems are reached by their id."""

    def __init__(self, in_the_air: InTheAir, ports: PortSource) -> None:
        self.bus = Bus()
        self.fleet = Fleet(self.bus, time.time, in_the_air, lambda: None, ports=ports)

    def __getitem__(self, modem_id: str) -> Modem:
        return next(sender for sender in self.fleet.senders if sender.config.id == modem_id)

    async def until(self, true: Callable[[], bool], seconds: float = 10) -> None:
        """Wait for something that shows in some modem's status."""
        with self.bus.subscribe() as events:
            async with asyncio.timeout(seconds):
                if true():
                    return
                async for _ in events:
                    if true():
                        return

    async def ready(self, *modem_ids: str) -> None:
        await self.until(lambda: all(self[modem_id].ready for modem_id in modem_ids))

    async def send(self, modem_id: str, *pdus: str, life: float = 60, more: bool = False) -> SendResult:
        sms = Sms("id", pdus or (PDU,), time.monotonic() + life)
        return await self[modem_id].send(sms, more=more)


@asynccontextmanager
async def driven(
    *sections: ModemSection, in_the_air: InTheAir | None = None, ports: PortSource | None = None
) -> AsyncIterator[DrivenFleet]:
    fleet = DrivenFleet(in_the_air or InTheAir(), ports or NoPorts())
    await fleet.fleet.apply(sections)
    task = asyncio.create_task(fleet.fleet.run())
    try:
        yield fleet
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def on(path: str, modem_id: str = "m", **parameters: object) -> ModemSection:
    return ModemSection.model_validate({"id": modem_id, "port": path, **parameters})
