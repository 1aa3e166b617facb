"""All modems of the configuration: each runs on its own, a change touches only those that changed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from otpbroker.config.model import ModemSection
from otpbroker.events import Bus, FoundModem, ModemChanged, ModemGone
from otpbroker.modem.backoff import Backoff
from otpbroker.modem.link import SerialLink
from otpbroker.modem.modem import Connect, Modem
from otpbroker.modem.owed import OwedAnswers
from otpbroker.modem.roster import Roster
from otpbroker.modem.shared import LATE_WINDOW, Inbound, LateAnswers, Nobody, NoUsbPower, Shared, UsbPower
from otpbroker.modem.sim import PinMemory
from otpbroker.modem.usb import PortSource

log = logging.getLogger(__name__)

_NO_NEW_START = {"name", "prefixes", "default", "send_from_api", "balance", "limits", "tariff"}


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
        ports: PortSource,
        pins: PinMemory | None = None,
        usb_power: UsbPower | None = None,
        inbound: Inbound | None = None,
        connect: Connect = SerialLink.open,
        late_window: float = LATE_WINDOW,
    ) -> None:
        self._bus = bus
        self._on_change = on_change
        self._connect = connect
        owed = OwedAnswers(lambda: asyncio.get_running_loop().time())
        self._astray = asyncio.Event()  # a modem may run on a device that is not its own any more
        self._roster = Roster(ports, connect, bus, late, owed, self._astray.set, late_window)
        self._shared = Shared(
            bus=bus,
            clock=clock,
            late=late,
            on_change=on_change,
            pins=pins or PinMemory(),
            owed=owed,
            late_window=late_window,
            inbound=inbound or Nobody(),
            confirm=self._roster.confirm,
            usb_power=usb_power or NoUsbPower(),
        )
        self._modems: dict[str, Modem] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._watching: asyncio.Task[None] | None = None
        self._change = asyncio.Lock()

    @property
    def senders(self) -> tuple[Modem, ...]:
        """Every configured modem in the configuration's order, inactive ones too."""
        return tuple(self._modems.values())

    @property
    def found(self) -> tuple[FoundModem, ...]:
        """What is plugged in and could be a modem, and is none of the configured ones."""
        return self._roster.found

    def ask_again(self) -> None:
        """Ask what is plugged in and not configured anew: a SIM was put in, say."""
        self._roster.ask_again()

    async def run(self) -> None:
        """Keep the active modems running until cancelled; then messages in the air end and ports are closed."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._watching = group.create_task(_keep_running("the watch on USB", self._roster.run))
                for modem in self._modems.values():
                    self._begin(modem)
                while True:
                    await self._astray.wait()
                    self._astray.clear()
                    await self._bring_home()
        finally:
            self._group = self._watching = None
            self._tasks.clear()

    async def stop(self) -> None:
        """End in order, before `run` is cancelled: nobody is asked any more, messages end, ports close."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await self.apply(())

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
            self._roster.apply(wanted.values())
            for modem in self._modems.values():
                if modem.config.id in kept:
                    modem.adopt(wanted[modem.config.id])
                else:
                    self._bus.publish(ModemChanged(modem.status))
                    self._begin(modem)
            self._on_change()

    def _built(self, section: ModemSection) -> Modem:
        return Modem(section, connect=self._connect, ports=self._roster, shared=self._shared)

    def _begin(self, modem: Modem) -> None:
        if self._group is not None and modem.config.active:
            name = f"modem {modem.config.id}"
            self._tasks[modem.config.id] = self._group.create_task(_keep_running(name, modem.run), name=name)

    async def _end(self, modem_ids: Iterable[str]) -> None:
        ending = {modem_id: self._tasks.pop(modem_id) for modem_id in modem_ids if modem_id in self._tasks}
        for task in ending.values():
            task.cancel()
        await asyncio.gather(*ending.values(), return_exceptions=True)
        for modem_id in ending:
            self._roster.release(modem_id)

    async def _bring_home(self) -> None:
        """Start the modems anew that run on another's device."""
        async with self._change:
            astray = [modem_id for modem_id in self._tasks if self._roster.astray(modem_id)]
            await self._end(astray)
            for modem_id in astray:
                self._begin(self._modems[modem_id])


async def _keep_running(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """A defect that one modem's behaviour brings to light stays with that modem."""
    backoff = Backoff(1.0, 60.0)
    while True:
        try:
            await run()
        except Exception:
            log.exception("%s failed", name)
        await asyncio.sleep(backoff.next())


def _same_start(old: ModemSection, new: ModemSection) -> bool:
    return old.model_dump(exclude=_NO_NEW_START) == new.model_dump(exclude=_NO_NEW_START)
