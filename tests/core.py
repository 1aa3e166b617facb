"""The core with fakes around it: what stands between a command and a modem, on virtual time."""

import asyncio
import resource
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, Self

from fakes import FakeFleet, FakeSender
from otpbroker.clock import Clock
from otpbroker.config.model import Config, DeviceSection, SmsSection
from otpbroker.events import Bus
from otpbroker.messaging.blocklist import Blocklist
from otpbroker.messaging.command import Command, Origin, SendSms
from otpbroker.messaging.delivery_reports import DeliveryReports
from otpbroker.messaging.dispatcher import Dispatcher
from otpbroker.messaging.in_air import InAir
from otpbroker.messaging.journal import Journal
from otpbroker.messaging.limits import Allowances
from otpbroker.messaging.outcome import Outcome, Result
from otpbroker.messaging.report import Report
from otpbroker.messaging.usage import UsageLog
from virtual_time import VirtualClock

REST = Origin("rest", "shop")
LONG = 600.0  # seconds; longer than every message of these tests lives
RECEIVER = "081234567890"


class Core:
    """A dispatcher on the journal in `folder` with the `senders` plugged in."""

    def __init__(
        self,
        folder: Path,
        senders: Sequence[FakeSender],
        config: Config,
        clock: VirtualClock | None = None,
        *,
        allowances: Callable[[UsageLog, Clock], Allowances] = Allowances,
    ) -> None:
        self.folder = folder
        self.runtime = folder / "runtime"
        self.runtime.mkdir(exist_ok=True)
        self.config = config
        self.time = clock or VirtualClock()
        self.bus = Bus()
        self.fleet = FakeFleet(tuple(senders))
        self.in_air = InAir()
        self.journal = Journal(self.runtime)
        self.report = Report(folder, self.journal, lambda: self.config.sms.report_days)
        self.delivery_reports = DeliveryReports(
            self.journal, self.bus, self.time.clock, lambda: self.config.device.country_code
        )
        self.usage = UsageLog(self.journal.usage, folder / "sent-parts.json", self.time.clock)
        self.limits = allowances(self.usage, self.time.clock)
        self.dispatcher = Dispatcher(
            config=lambda: self.config,
            fleet=self.fleet,
            in_air=self.in_air,
            journal=self.journal,
            limits=self.limits,
            blocklist=Blocklist(folder / "blocklist"),
            report=self.report,
            delivery_reports=self.delivery_reports,
            bus=self.bus,
            clock=self.time.clock,
        )
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> Self:
        self._running = asyncio.create_task(self.dispatcher.run())
        await settle()
        return self

    async def stop(self) -> None:
        """An ordered shutdown: what is in the air ends first."""
        await self.interrupt()
        self.in_air.close()
        self.journal.close()

    async def interrupt(self) -> None:
        """End `run` as a supervisor would see it end; the same dispatcher may be started again."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
            self._running = None

    def killed(self, folder: Path) -> Path:
        """A copy of everything on the RAM file system as `kill -9` would leave it now."""
        shutil.copytree(self.folder, folder)
        return folder

    async def send(
        self,
        text: str = "Kode Anda 123456",
        receiver: str = RECEIVER,
        *,
        origin: Origin = REST,
        wait: float | None = LONG,
        message_id: str | None = None,
        modem_id: str | None = None,
        strict_id: bool = False,
        expires_at: float | None = None,
        date_time: float | None = None,
        status_report: bool | None = None,
    ) -> Outcome:
        command = SendSms(
            receiver,
            text,
            id=message_id,
            expires_at=expires_at,
            date_time=date_time,
            modem_id=modem_id,
            strict_id=strict_id,
            status_report=status_report,
        )
        outcome = await self.dispatcher.submit(command, origin, wait=wait)
        assert isinstance(outcome, Outcome)
        return outcome

    async def submit(self, command: Command, *, wait: float | None = LONG) -> Result:
        return await self.dispatcher.submit(command, REST, wait=wait)

    async def outcome(self, message_id: str, wait: float = LONG) -> Outcome:
        """The final word on a message, or what is known after `wait` seconds."""
        outcome = await self.dispatcher.outcome(message_id, caller=None, wait=wait)
        assert outcome is not None
        return outcome

    def plug(self, *senders: FakeSender) -> None:
        self.fleet.senders = tuple(senders)
        self.dispatcher.senders_changed()


class StartCore(Protocol):
    """Starts a core that is stopped after the test; `folder`: what a killed one left."""

    async def __call__(self, *senders: FakeSender, config: Config = ..., folder: Path | None = None) -> Core: ...


def settings(country_code: str = "62", **sms: object) -> Config:
    """A configuration with the `sms` section as given."""
    return Config(device=DeviceSection(country_code=country_code), sms=SmsSection.model_validate(sms))


async def settle() -> None:
    """Let everything happen that can happen now, without time passing."""
    for _ in range(20):
        await asyncio.sleep(0)


@contextmanager
def full_disks(size: int = 0) -> Iterator[None]:
    """No file of this process takes an octet beyond `size`, as on a full file system."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
