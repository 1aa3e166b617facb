"""All modems of the configuration: each runs on its own, a change touches only those that changed."""

import asyncio
import logging
from collections.abc import Callable, Iterable

from otpbroker.config.model import ModemSection
from otpbroker.events import Bus, ModemChanged, ModemGone
from otpbroker.modem.backoff import Backoff
from otpbroker.modem.link import CandidatePort, SerialLink, candidate_ports
from otpbroker.modem.locate import Locator
from otpbroker.modem.modem import Connect, Modem
from otpbroker.modem.owed import OwedAnswers
from otpbroker.modem.shared import LATE_WINDOW, LateAnswers, Shared
from otpbroker.modem.sim import PinMemory

log = logging.getLogger(__name__)

_NO_NEW_START = {"name", "prefixes", "default", "send_from_api", "limits", "tariff"}


class Fleet:
    """Fits `messaging.sender.Fleet`. `on_change` is called, synchronously, when a sender's `ready` or `recovering`
    or the set of senders changes.
    """

    def __init__(
        self,
        bus: Bus,
        clock: Callable[[], float],
        late: LateAnswers,
        on_change: Callable[[], None],
        *,
        pins: PinMemory | None = None,
        connect: Connect = SerialLink.open,
        candidates: Callable[[], tuple[CandidatePort, ...]] = candidate_ports,
        late_window: float = LATE_WINDOW,
    ) -> None:
        self._bus = bus
        self._on_change = on_change
        self._connect = connect
        self._locator = Locator(connect, candidates, self._taken_ports)
        self._shared = Shared(
            bus=bus,
            clock=clock,
            late=late,
            on_change=on_change,
            pins=pins or PinMemory(),
            owed=OwedAnswers(lambda: asyncio.get_running_loop().time()),
            late_window=late_window,
        )
        self._modems: dict[str, Modem] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._change = asyncio.Lock()

    @property
    def senders(self) -> tuple[Modem, ...]:
        """Every configured modem in the configuration's order, inactive ones too."""
        return tuple(self._modems.values())

    async def run(self) -> None:
        """Keep the active modems running until cancelled; then messages in the air end and ports are closed."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for modem in self._modems.values():
                    self._begin(modem)
                await asyncio.Event().wait()
        finally:
            self._group = None
            self._tasks.clear()

    async def apply(self, modems: Iterable[ModemSection]) -> None:
        """Make this the configuration: what is new starts, what is gone stops, what is the same is left alone."""
        async with self._change:
            wanted = {section.id: section for section in modems}
            kept = {
                section.id
                for section in wanted.values()
                if section.id in self._modems and _same_start(self._modems[section.id].config, section)
            }
            await self._end(modem_id for modem_id in self._modems if modem_id not in kept)
            for gone in self._modems.keys() - wanted.keys():
                self._bus.publish(ModemGone(gone))
            self._modems = {
                section.id: self._modems[section.id] if section.id in kept else self._built(section)
                for section in wanted.values()
            }
            for modem in self._modems.values():
                if modem.config.id in kept:
                    modem.adopt(wanted[modem.config.id])
                else:
                    self._bus.publish(ModemChanged(modem.status))
                    self._begin(modem)
            self._on_change()

    def _built(self, section: ModemSection) -> Modem:
        return Modem(section, connect=self._connect, find_port=self._locator.port_of, shared=self._shared)

    def _begin(self, modem: Modem) -> None:
        if self._group is not None and modem.config.active:
            name = f"modem {modem.config.id}"
            self._tasks[modem.config.id] = self._group.create_task(_keep_running(modem), name=name)

    async def _end(self, modem_ids: Iterable[str]) -> None:
        tasks = [self._tasks.pop(modem_id) for modem_id in modem_ids if modem_id in self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _taken_ports(self) -> frozenset[str]:
        configured = {modem.config.port for modem in self._modems.values() if modem.config.port}
        held = {modem.open_port for modem in self._modems.values() if modem.open_port}
        return frozenset(configured | held)


async def _keep_running(modem: Modem) -> None:
    """A defect that one modem's behaviour brings to light stays with that modem."""
    backoff = Backoff(1.0, 60.0)
    while True:
        try:
            await modem.run()
        except Exception:
            log.exception("modem %s failed", modem.config.id)
        await asyncio.sleep(backoff.next())


def _same_start(old: ModemSection, new: ModemSection) -> bool:
    return old.model_dump(exclude=_NO_NEW_START) == new.model_dump(exclude=_NO_NEW_START)
