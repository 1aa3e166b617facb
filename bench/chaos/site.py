"""One gateway under test: dispatcher, journal and fleet in this process, simulated modems in a simulated USB."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from bench.chaos.ledger import Entry, Ledger, Verdict
from bench.chaos.wiring import Wiring
from otpbroker.clock import Clock
from otpbroker.config.model import Config, DeviceSection, SmsSection
from otpbroker.errors import Unavailable
from otpbroker.events import Bus
from otpbroker.messaging.blocklist import Blocklist
from otpbroker.messaging.command import Origin, SendSms
from otpbroker.messaging.delivery_reports import DeliveryReports
from otpbroker.messaging.dispatcher import Dispatcher
from otpbroker.messaging.in_air import InAir
from otpbroker.messaging.journal import Journal
from otpbroker.messaging.limits import Allowances
from otpbroker.messaging.outcome import Outcome
from otpbroker.messaging.report import Report
from otpbroker.messaging.usage import UsageLog
from otpbroker.modem.modem import Modem
from otpbroker.modem.simulator import Phone, SimulatedBus, SimulatedModem

_CALLER = Origin("rest", "chaos")
_NOWHERE = Path("/nonexistent")  # no block list, no report
LAG = 0.03  # seconds that udev takes to tell of a device


class Site:
    """Made by `site`. `usb` and `modems` are there to be broken, `phone` tells what arrived."""

    def __init__(self, folder: Path, modems: Sequence[SimulatedModem], phone: Phone) -> None:
        self.modems = tuple(modems)
        self.phone = phone
        self.usb = SimulatedBus(folder / "dev", lag=LAG)
        self.wiring = Wiring(self.usb)
        self.bus = Bus()
        self.ledger = Ledger(self.bus)
        self.journal = Journal(folder)
        clock = Clock()
        in_air = InAir()
        config = Config(device=DeviceSection(country_code="62"), sms=SmsSection(report=False, life=300))
        self.fleet = self.wiring.fleet(self.bus, clock, in_air, self._senders_changed)
        self._dispatcher = Dispatcher(
            config=lambda: config,
            fleet=self.fleet,
            in_air=in_air,
            journal=self.journal,
            blocklist=Blocklist(_NOWHERE),
            report=Report(_NOWHERE, self.journal, lambda: 1),
            limits=Allowances(UsageLog(self.journal.usage, folder / "sent-parts.json", clock), clock),
            delivery_reports=DeliveryReports(self.journal, self.bus, clock, lambda: config.device.country_code),
            bus=self.bus,
            clock=clock,
        )
        self._numbers = itertools.count()

    def __getitem__(self, name: str) -> Modem:
        """The gateway's end of a modem."""
        return next(modem for modem in self.fleet.senders if modem.config.id == name)

    async def until(self, true: Callable[[], bool], seconds: float) -> None:
        """Wait for something that shows in some modem's or message's state; `TimeoutError`."""
        async with asyncio.timeout(seconds):
            with self.bus.subscribe() as events:
                if true():
                    return
                async for _ in events:
                    if true():
                        return

    async def ready(self, *modems: SimulatedModem, seconds: float = 30) -> None:
        """Until all of them take messages."""
        names = [self.wiring.section_of(modem) for modem in modems]
        await self.until(lambda: all(self[name].ready for name in names), seconds)

    async def submit(self, prefix: str = "62812", *, parts: int = 1) -> None:
        """One more message, to a receiver of its own."""
        number = next(self._numbers)
        text = f"Kode Anda {number:06d}" + " jangan diberikan kepada siapa pun," * (5 * (parts - 1))
        command = SendSms(f"{prefix}{number:08d}", text)
        try:
            outcome = await self._dispatcher.submit(command, _CALLER)
        except Unavailable:
            self.ledger.turned_away += 1
            return
        assert isinstance(outcome, Outcome)
        self.ledger.accept(outcome.id, Entry(prefix, text, outcome.accepted_at))

    async def finish(self, seconds: float) -> None:
        """Wait for the final word on every message, so long in all."""
        end = asyncio.get_running_loop().time() + seconds
        for message_id, _ in self.ledger.entries:
            left = max(0.0, end - asyncio.get_running_loop().time())
            self.ledger.close(await self._dispatcher.outcome(message_id, caller=None, wait=left))

    def judge(
        self,
        name: str,
        *,
        touched: Callable[[Entry], bool],
        kept: Callable[[Entry], float | None] = lambda entry: entry.kept,
        give_up: float = 0.0,
        replug: Iterable[float] = (),
    ) -> Verdict:
        """See `Ledger.judge`."""
        return self.ledger.judge(
            name,
            self.phone,
            number_of=self.wiring.number_of,
            touched=touched,
            kept=kept,
            give_up=give_up,
            replug=replug,
        )

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for part in (self.ledger.run, self._dispatcher.run, self.fleet.run):
                group.create_task(part())

    def _senders_changed(self) -> None:
        self._dispatcher.senders_changed()


@asynccontextmanager
async def site(folder: Path, modems: Sequence[SimulatedModem], phone: Phone) -> AsyncIterator[Site]:
    """A running gateway; `folder` is in RAM. It has no modems until its fleet is told of them."""
    folder.mkdir(parents=True)
    made = Site(folder, modems, phone)
    running = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        made.bus.close()
        await made.fleet.stop()
        running.cancel()
        (end,) = await asyncio.gather(running, return_exceptions=True)
        made.usb.close()
        made.journal.close()
        if isinstance(end, Exception):
            raise end
