"""A modem under test with everything around it, for virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from scripted_modem import IMEI, ScriptedModem

from otpbroker.config.model import ModemSection
from otpbroker.errors import Misconfigured, Unavailable
from otpbroker.events import Bus, RecoveryStep
from otpbroker.modem.modem import Missing, Modem, Place
from otpbroker.modem.owed import OwedAnswers
from otpbroker.modem.shared import Inbound, Nobody, NoUsbPower, Shared, UsbPower
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


class FakeUsbPower:
    """Fits `UsbPower`: what was asked for, and which modem it makes well; the next `refusals` can't be done now."""

    def __init__(self, *, resets: bool = True, cycles: bool = True) -> None:
        self.resets, self.cycles = resets, cycles
        self.asked: list[tuple[RecoveryStep, str]] = []
        self.heals: dict[RecoveryStep, ScriptedModem] = {}
        self.refusals = 0

    async def reset(self, socket: str) -> bool:
        return await self._act(RecoveryStep.USB_RESET, socket, self.resets)

    async def cycle(self, socket: str) -> bool:
        return await self._act(RecoveryStep.PORT_POWER, socket, self.cycles)

    async def _act(self, step: RecoveryStep, socket: str, can: bool) -> bool:
        self.asked.append((step, socket))
        await asyncio.sleep(1)
        if self.refusals:
            self.refusals -= 1
            raise Unavailable("usb-too-often", "it was reset a moment ago")
        if can and step in self.heals:
            self.heals[step].answers = dict(ScriptedModem().answers)
        return can


class ConfiguredPorts:
    """Fits `modem.Ports` for modems with a path; `port` is where it is now, if not there."""

    def __init__(self) -> None:
        self.port: str | None = None
        self.plugged = asyncio.Event()
        self.missing: Unavailable | None = None  # what is told once before the modem is there

    async def find(self, section: ModemSection, missing: Missing) -> Place:
        if self.missing is not None:
            missing(self.missing, ())
            self.missing = None
        assert section.port is not None
        return Place(self.port or section.port, section.usb or "")

    async def pause(self, _section: ModemSection, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.plugged.wait()
        gone = self.plugged.is_set()
        self.plugged.clear()
        return gone


class Desk:
    """A modem under test, what is plugged in for it (one per opening, the last stays), and what was told."""

    def __init__(
        self,
        *plugged: ScriptedModem | Unavailable | Misconfigured,
        late: Late | None = None,
        pins: PinMemory | None = None,
        usb_power: UsbPower | None = None,
        inbound: Inbound | None = None,
        **parameters: object,
    ) -> None:
        self.plugged = list(plugged)
        self.opened: list[tuple[float, str]] = []
        self.changes = 0
        self.bus = Bus()
        self.ports = ConfiguredPorts()
        self.late = late or Late()
        section = ModemSection.model_validate({"id": "m1", "port": "/dev/ttyUSB0", **parameters})
        self.modem = Modem(
            section,
            connect=self._connect,
            ports=self.ports,
            shared=Shared(
                bus=self.bus,
                clock=lambda: WALL,
                late=self.late,
                on_change=self._changed,
                pins=pins or PinMemory(),
                owed=OwedAnswers(now),
                usb_power=usb_power or NoUsbPower(),
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


async def send(modem: Modem, parts: int = 1, *, more: bool = False, message_id: str = "id") -> SendResult:
    return await modem.send(replace(message(parts), id=message_id), more=more)
