"""A modem under test with everything around it, for virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from scripted_modem import IMEI, ScriptedModem

from otpbroker.config.model import ModemSection
from otpbroker.errors import Misconfigured, Unavailable
from otpbroker.events import Bus
from otpbroker.modem.modem import Missing, Modem, Place
from otpbroker.modem.owed import OwedAnswers
from otpbroker.modem.shared import Inbound, Nobody, Shared
from otpbroker.modem.sim import PinMemory
from otpbroker.sms.submission import SendResult, Sms
from virtual_run import now

PDU = "0011000C912618214365870000A705E8329BFD06"
WALL = 1_800_000_000.0


class Late:
    """A message was in the air on `modem`, or none was."""

    def __init__(self, modem: str | None = None) -> None:
        self.modem = modem
        self.told: list[object] = []

    def expected(self, modem_id: str) -> bool:
        return modem_id == self.modem and "over" not in self.told

    def arrived(self, modem_id: str, reference: int, imei: str) -> None:
        assert (modem_id, imei) == (self.modem, IMEI)
        self.told.append(reference)

    def over(self, modem_id: str) -> None:
        assert modem_id == self.modem
        self.told.append("over")


class ConfiguredPorts:
    """Fits `modem.Ports` for modems with a path."""

    async def find(self, section: ModemSection, _missing: Missing) -> Place:
        assert section.port is not None
        return Place(section.port)

    async def pause(self, _section: ModemSection, seconds: float) -> bool:
        await asyncio.sleep(seconds)
        return False


class Desk:
    """A modem under test, what is plugged in for it (one per opening, the last stays), and what was told."""

    def __init__(
        self,
        *plugged: ScriptedModem | Unavailable | Misconfigured,
        late: Late | None = None,
        pins: PinMemory | None = None,
        inbound: Inbound | None = None,
        **parameters: object,
    ) -> None:
        self.plugged = list(plugged)
        self.opened: list[tuple[float, str]] = []
        self.changes = 0
        self.bus = Bus()
        self.late = late or Late()
        section = ModemSection.model_validate({"id": "m1", "port": "/dev/ttyUSB0", **parameters})
        self.modem = Modem(
            section,
            connect=self._connect,
            ports=ConfiguredPorts(),
            shared=Shared(
                bus=self.bus,
                clock=lambda: WALL,
                late=self.late,
                on_change=self._changed,
                pins=pins or PinMemory(),
                owed=OwedAnswers(now),
                inbound=inbound or Nobody(),
            ),
        )

    def _changed(self) -> None:
        self.changes += 1

    async def _connect(self, port: str, _section: ModemSection) -> ScriptedModem:
        self.opened.append((now(), port))
        there = self.plugged.pop(0) if len(self.plugged) > 1 else self.plugged[0]
        if not isinstance(there, ScriptedModem):
            raise there
        return there

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Modem]:
        task = asyncio.create_task(self.modem.run())
        try:
            yield self.modem
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[Modem]:
        async with self.running() as modem:
            await self.until(lambda: modem.ready)
            yield modem

    async def until(self, true: Callable[[], bool], seconds: float = 60) -> None:
        with self.bus.subscribe() as events:
            async with asyncio.timeout(seconds):
                if true():
                    return
                async for _ in events:
                    if true():
                        return


def message(parts: int = 1, life: float = 60.0) -> Sms:
    return Sms("id", (PDU,) * parts, now() + life)


async def send(modem: Modem, parts: int = 1, *, more: bool = False) -> SendResult:
    return await modem.send(message(parts), more=more)
