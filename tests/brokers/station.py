"""A device's core with fake senders behind a real RabbitMQ feeder, all in this process and in real time."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from fakes import FakeFleet, FakeSender
from otpbroker.clock import Clock
from otpbroker.config.feeder_rabbitmq import RabbitmqFeeder
from otpbroker.config.model import Config
from otpbroker.events import Bus, Event, FeederChanged, FeederState, MessageChanged, ModemChanged
from otpbroker.feeder.capacity import capacity
from otpbroker.feeder.claims import Me
from otpbroker.feeder.feeders import Feeder, Feeders, Tell
from otpbroker.feeder.intake import Intake
from otpbroker.feeder.rabbitmq import Patience, RabbitmqConsumer
from otpbroker.messaging.blocklist import Blocklist
from otpbroker.messaging.delivery_reports import DeliveryReports
from otpbroker.messaging.dispatcher import Dispatcher
from otpbroker.messaging.in_air import InAir
from otpbroker.messaging.journal import Journal
from otpbroker.messaging.limits import Allowances
from otpbroker.messaging.report import Report
from otpbroker.messaging.usage import UsageLog

QUICK = Patience(
    lost=0.1, lost_most=0.5, refused=0.3, refused_most=0.6, good=2.0, steady=0.1, no_modem=0.3, settle=1.0
)


class Station:
    """`senders` may be plugged and unplugged; `states` are all that the feeder told."""

    def __init__(
        self,
        folder: Path,
        senders: Sequence[FakeSender],
        entry: dict[str, Any],
        config: Config,
        patience: Patience,
        dispatcher: type[Dispatcher],
    ) -> None:
        (folder / "runtime").mkdir(parents=True, exist_ok=True)
        self.fleet = FakeFleet(tuple(senders))
        self.bus = Bus()
        self.config = config
        self.section = RabbitmqFeeder.model_validate(entry)
        self.states: list[FeederChanged] = []
        self.messages: list[MessageChanged] = []
        self.name = folder.name
        self.journal = Journal(folder / "runtime")
        clock = Clock()
        in_air = self.in_air = InAir()
        limits = Allowances(UsageLog(self.journal.usage, folder / "sent-parts.json", clock), clock)
        self.dispatcher = dispatcher(
            config=lambda: self.config,
            fleet=self.fleet,
            in_air=in_air,
            journal=self.journal,
            limits=limits,
            blocklist=Blocklist(folder / "blocklist"),
            report=Report(folder, self.journal, lambda: 1),
            delivery_reports=DeliveryReports(self.journal, self.bus, clock, lambda: "62"),
            bus=self.bus,
            clock=clock,
        )

        def intake(section: RabbitmqFeeder) -> Intake:
            return Intake(
                self.dispatcher,
                source="amqp",
                caller="feeder:rabbit",
                rights=frozenset(section.rights),
                unseal=lambda body: (body, False),
                sealed_only=False,
                clock=clock,
                lent=True,
            )

        async def make(section: RabbitmqFeeder, intake: Intake, tell: Tell) -> Feeder:
            modems = lambda: capacity(self.fleet.senders, limits.held_back)  # noqa: E731
            me = Me(self.name, self.journal.memory)
            return RabbitmqConsumer(section, intake, tell, modems, clock, bus=self.bus, me=me, patience=patience)

        self.feeders = Feeders(intake=intake, make=make, bus=self.bus, clock=clock)

    @property
    def senders(self) -> list[FakeSender]:
        return [sender for sender in self.fleet.senders if isinstance(sender, FakeSender)]

    @property
    def texts(self) -> list[str]:
        """What left, in order."""
        return [given.text for given in sorted((g for s in self.senders for g in s.given), key=lambda g: g.at)]

    def plug(self, *senders: FakeSender) -> None:
        """Other senders, or their readiness changed."""
        self.fleet.senders = tuple(senders)
        self.dispatcher.senders_changed()
        for sender in senders:
            self.bus.publish(ModemChanged(sender.status))

    async def until(self, true: Any, within: float = 15.0) -> float:
        """Wait until `true()` is; the seconds that it took."""
        begin = time.monotonic()
        with self.bus.subscribe() as events:
            follow = aiter(events)
            async with asyncio.timeout(within):
                while not true():
                    with suppress(TimeoutError):
                        async with asyncio.timeout(0.05):  # some of what is waited for is no event
                            await anext(follow)
                            continue
                    follow = aiter(events)
        return time.monotonic() - begin

    async def connected(self, within: float = 15.0) -> float:
        return await self.until(lambda: self.state is FeederState.CONNECTED, within)

    @property
    def state(self) -> FeederState:
        return self.feeders.statuses[0].state

    @property
    def detail(self) -> str:
        return self.feeders.statuses[0].detail

    async def _listen(self) -> None:
        with self.bus.subscribe(limit=10_000) as events:
            async for event in events:
                self._heard(event)

    def _heard(self, event: Event) -> None:
        match event:
            case FeederChanged():
                self.states.append(event)
            case MessageChanged():
                self.messages.append(event)


@asynccontextmanager
async def station(
    folder: Path,
    entry: dict[str, Any],
    *senders: FakeSender,
    config: Config = Config(),  # noqa: B008 # frozen
    patience: Patience = QUICK,
    dispatcher: type[Dispatcher] = Dispatcher,
) -> AsyncIterator[Station]:
    """A running station; at the end the feeder is stopped first, as the agent does."""
    running = Station(folder, senders, entry, config, patience, dispatcher)
    parts = [asyncio.create_task(running._listen()), asyncio.create_task(running.dispatcher.run())]
    await asyncio.sleep(0)
    await running.feeders.apply((running.section,))
    try:
        yield running
    finally:
        await running.feeders.apply(())
        running.in_air.close()
        for part in parts:
            part.cancel()
        await asyncio.gather(*parts, return_exceptions=True)
        running.journal.close()
