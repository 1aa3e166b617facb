"""The composition root: builds every part, owns the one TaskGroup, shuts down in order."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module

from quart import Quart

from otpbroker.clock import Clock
from otpbroker.config.feeders import Feeder as FeederSection
from otpbroker.config.store import Store
from otpbroker.device.usb_power import UsbPowerHelper
from otpbroker.events import Bus
from otpbroker.feeder.capacity import Capacity, capacity
from otpbroker.feeder.feeders import Feeder, Feeders, Tell
from otpbroker.feeder.intake import Intake
from otpbroker.feeder.sealed_messages import SealedMessages
from otpbroker.feeder.unsent import Unsent
from otpbroker.folders import Folders
from otpbroker.messaging.balance import Balances
from otpbroker.messaging.blocklist import Blocklist
from otpbroker.messaging.delivery_reports import DeliveryReports
from otpbroker.messaging.dispatcher import Dispatcher
from otpbroker.messaging.in_air import InAir
from otpbroker.messaging.inbound import Inbound
from otpbroker.messaging.inbox import Inbox
from otpbroker.messaging.journal import Journal
from otpbroker.messaging.limits import Allowances
from otpbroker.messaging.report import Report
from otpbroker.messaging.usage import UsageLog
from otpbroker.modem.fleet import Fleet
from otpbroker.modem.history import History
from otpbroker.modem.hotplug import UdevPorts
from otpbroker.modem.sim import PinMemory
from otpbroker.modem.sim_tools import SimTools
from otpbroker.modem.usb import PortSource
from otpbroker.sealing import key_file
from otpbroker.supervise import supervise
from otpbroker.web.access import Access
from otpbroker.web.admin import create_admin_app
from otpbroker.web.api.app import create_api_app
from otpbroker.web.api.prefer import LONGEST_WAIT
from otpbroker.web.certificate import ensure_certificate
from otpbroker.web.connections import most_connections
from otpbroker.web.hashing import HashingThread
from otpbroker.web.listening import Listening
from otpbroker.web.live import Monitor
from otpbroker.web.server import Bound, Limits, tell_of_connections
from otpbroker.web.sessions import Sessions
from otpbroker.web.setup_code import SetupCode
from otpbroker.web.tls import TlsFiles

_log = logging.getLogger(__name__)

STOP_LIMIT = 15.0  # seconds for the part that is in the air to be answered
LONGEST_CALL = LONGEST_WAIT + 5.0  # seconds; what waits for a modem is heard out when its listener changes


@dataclass(frozen=True, slots=True)
class Ready:
    """Where the agent listens; `None`: switched off, or the port could not be had (a problem says why)."""

    admin: Bound | None
    http: Bound | None
    https: Bound | None


class Agent:
    """Every part of the device's program, from the configuration to the listeners."""

    def __init__(
        self, folders: Folders, store: Store, clock: Clock | None = None, ports: PortSource | None = None
    ) -> None:
        """`ports` tells what is plugged in, by default udev does.

        Raises `Misconfigured` when the journal can't be opened.
        """
        self._folders = folders
        self._clock = clock or Clock()
        self.store = store
        self.bus = Bus()
        self._journal = Journal(folders.runtime)
        self._report = Report(folders.log, self._journal, lambda: store.config.sms.report_days)
        self._in_air = InAir()
        self._usage = UsageLog(self._journal.usage, folders.state / "sent-parts.json", self._clock)
        self._limits = Allowances(self._usage, self._clock)
        key = key_file(folders.key)
        reports = DeliveryReports(self._journal, self.bus, self._clock, lambda: store.config.device.country_code)
        self.inbox = Inbox(folders.state / "inbox", key, lambda: store.config.inbox, self.bus, self._clock)
        pins = PinMemory(folders.state / "refused-pins", key)
        self.fleet = Fleet(
            self.bus,
            self._clock.now,
            self._in_air,
            self._senders_changed,
            ports=ports or UdevPorts(),
            pins=pins,
            usb_power=UsbPowerHelper(),
            inbound=Inbound(reports, self.inbox),
        )
        self.dispatcher = Dispatcher(
            config=lambda: store.config,
            fleet=self.fleet,
            in_air=self._in_air,
            journal=self._journal,
            limits=self._limits,
            blocklist=Blocklist.load(folders.state / "blocklist.txt"),
            report=self._report,
            delivery_reports=reports,
            bus=self.bus,
            clock=self._clock,
        )
        self._sealed = SealedMessages(folders.feeder_keys, key_file(folders.key), self._clock)
        self._unsent = Unsent(self._clock)
        self.feeders = Feeders(intake=self._intake, make=self._feeder, bus=self.bus, clock=self._clock)
        self._balances = Balances(fleet=self.fleet, core=self.dispatcher, bus=self.bus, clock=self._clock)
        self._history = History(self.bus, self._clock.now)
        self._sim_tools = SimTools(lambda: self.fleet.senders, store, pins)
        self.setup_code = SetupCode(folders.state / "setup-code")
        self._changed = asyncio.Event()
        store.on_change(lambda _old, _new: self._changed.set())
        self._feeders_changed = asyncio.Event()
        store.on_change(lambda _old, _new: self._feeders_changed.set())

    async def run(self, ready: Callable[[Ready], None], stop: asyncio.Event) -> None:
        """Work until `stop` is set, then end in order: listeners, feeders, modems (what is in the air), journal."""
        asyncio.get_running_loop().set_exception_handler(tell_of_connections)
        closing = asyncio.Event()
        monitor = Monitor(self.bus)
        listeners = self._listeners(monitor, closing, await asyncio.to_thread(self._certificate))
        for listening in listeners.values():
            listening.bind()
        serving = asyncio.create_task(self._supervised({name: part.run for name, part in listeners.items()}))
        working = asyncio.create_task(
            self._supervised(
                {
                    "dispatcher": self.dispatcher.run,
                    "modems": self._run_fleet,
                    "report": self._report.run,
                    "inbox": self.inbox.run,
                    "usage": lambda: self._usage.run(self._limits.usage),
                    "monitor": monitor.run,
                    "balance": self._balances.run,
                    "history": self._history.run,
                }
            )
        )
        # After the journal's messages are taken up: a broker may give some of them again.
        feeding = asyncio.create_task(self._supervised({"feeders": self._run_feeders}))
        stopping = asyncio.create_task(stop.wait())
        try:
            ready(Ready(listeners["admin"].bound, listeners["http"].bound, listeners["https"].bound))
            await asyncio.wait({serving, working, feeding, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            closing.set()
            self.dispatcher.release()
            self.bus.close()
            await _cancel(serving, stopping)
            await _cancel(feeding)
            try:
                async with asyncio.timeout(STOP_LIMIT):
                    await self.fleet.stop()
            except TimeoutError:
                _log.warning("a modem did not end in time")
            await _cancel(working)
            self._journal.close()

    async def _run_fleet(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.fleet.run())
            while True:
                self._changed.clear()
                await self.fleet.apply(self.store.config.modems)
                self._senders_changed()  # flags and prefixes may have changed without a modem's doing
                await self._changed.wait()

    async def _run_feeders(self) -> None:
        try:
            while True:
                self._feeders_changed.clear()
                await self.feeders.apply(self.store.config.feeders)
                await self._feeders_changed.wait()
        finally:
            await self.feeders.apply(())

    def _intake(self, section: FeederSection) -> Intake:
        return Intake(
            self.dispatcher,
            source="ws" if section.kind == "websocket" else "amqp",
            caller=f"feeder:{section.id}",  # no API user has such a name
            rights=frozenset(section.rights),
            unseal=self._sealed.open,
            sealed_only=section.sealed_only,
            clock=self._clock,
            lent=True,
        )

    async def _feeder(self, section: FeederSection, intake: Intake, tell: Tell) -> Feeder:
        # Only a device with such a feeder pays for its library; importing takes long, and not on the loop.
        await asyncio.to_thread(self._sealed.prepare)
        if section.kind == "websocket":
            await asyncio.to_thread(import_module, "otpbroker.feeder.websocket")
            from otpbroker.feeder.websocket import SocketFeeder  # noqa: PLC0415

            return SocketFeeder(
                section, intake, tell, self._ready_modems, self._clock, bus=self.bus, unsent=self._unsent
            )
        await asyncio.to_thread(import_module, "otpbroker.feeder.rabbitmq")
        from otpbroker.feeder.claims import Me  # noqa: PLC0415
        from otpbroker.feeder.rabbitmq import RabbitmqConsumer  # noqa: PLC0415

        return RabbitmqConsumer(
            section,
            intake,
            tell,
            self._capacity,
            self._clock,
            bus=self.bus,
            me=Me(self.store.config.device.hostname, self._journal.memory),
        )

    def _capacity(self) -> Capacity:
        return capacity(self.fleet.senders, self._limits.held_back)

    def _ready_modems(self) -> int:
        return self._capacity().ready

    def _senders_changed(self) -> None:
        # The fleet is there before those that use it.
        self.dispatcher.senders_changed()
        self._balances.senders_changed()

    async def _supervised(self, parts: dict[str, Callable[[], Awaitable[None]]]) -> None:
        async with asyncio.TaskGroup() as group:
            for name, run in parts.items():
                group.create_task(supervise(name, run, self.bus, self._clock), name=name)

    def _listeners(self, monitor: Monitor, closing: asyncio.Event, tls: TlsFiles) -> dict[str, Listening]:
        store = self.store
        hashing = HashingThread()
        access = Access(lambda: store.config.api.users, hashing, self._clock.monotonic)

        def api() -> Quart:
            return create_api_app(
                config=lambda: store.config,
                core=self.dispatcher,
                control=self.feeders,
                inbox=self.inbox,
                past=self._history,
                access=access,
                clock=self._clock,
            )

        listeners: dict[str, Listening] = {}
        admin = create_admin_app(
            store=store,
            dispatcher=self.dispatcher,
            feeders=self.feeders,
            feeder_keys=self._sealed.ring,
            inbox=self.inbox,
            plugged=self.fleet,
            monitor=monitor,
            sessions=Sessions(lambda: store.config.admin, self._clock),
            setup_code=self.setup_code,
            sim_tools=self._sim_tools,
            balances=self._balances,
            history=self._history,
            hashing=hashing,
            api_urls=lambda: [part.bound.url for name, part in listeners.items() if name != "admin" and part.bound],
            clock=self._clock,
            closing=closing,
        )
        limits = Limits(connections=most_connections(3))
        listeners["admin"] = Listening(
            lambda: admin, store, "admin.listen", lambda config: config.admin.listen, limits=limits
        )
        listeners["http"] = Listening(
            api, store, "api.http", lambda config: config.api.http, limits=limits, patience=LONGEST_CALL
        )
        listeners["https"] = Listening(
            api, store, "api.https", lambda config: config.api.https, tls, limits=limits, patience=LONGEST_CALL
        )
        return listeners

    def _certificate(self) -> TlsFiles:
        config = self.store.config
        own = (socket.gethostname(), f"{config.device.hostname}.local", config.access_point.ip)
        names = dict.fromkeys((*own, "otpbroker.local", "localhost", "127.0.0.1"))
        return ensure_certificate(self._folders.state / "tls", tuple(names))


async def _cancel(*tasks: "asyncio.Task[object]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
