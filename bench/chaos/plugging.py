"""Hundreds of modems pulled out, put back elsewhere, renumbered and swapped while messages are sent."""

import asyncio
import itertools
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from bench.chaos.ledger import Entry, Verdict
from bench.chaos.site import Site, site
from otpbroker.messaging.outcome import State
from otpbroker.modem.simulator import Phone, SimulatedModem, identity_of

Event = Callable[[Sequence[SimulatedModem]], Awaitable[None]]

MODEMS = 8
UNTOUCHED = 3  # ready modems that an event leaves alone at least
_SOCKETS = tuple(f"1-1.{number}" for number in range(1, MODEMS + 3))  # two more than modems
_AIR = (0.05, 0.2)
_PACE = 0.1  # seconds between messages: half of what the modems that are left alone can carry
_GAPS = (0.05, 0.4)  # seconds between events
_READY_LIMIT = 60.0
_PROMPT = 5.0  # seconds: what a modem that was just reset is waited for
_END_LIMIT = 60.0


class Hands:
    """Whoever pulls and plugs, by dice; `replug` gathers how long a modem took from its plug to a message."""

    def __init__(self, at: Site, dice: random.Random) -> None:
        self._at = at
        self._dice = dice
        self._plugged_at: dict[str, float] = {}
        self.replug: list[float] = []

    async def work(self, count: int) -> None:
        """So many events, with a breath between them; at the end everything is plugged in."""
        kinds: tuple[tuple[int, Event], ...] = (
            *((1, self._pull), (1, self._pull), (0, self._put), (0, self._put), (1, self._move)),
            *((3, self._renumber), (2, self._cross), (2, self._swap_sims), (1, self._fall_out), (1, self._reset)),
        )
        for _ in range(count):
            modems, event = self._dice.choice(kinds)
            there = [modem for modem in self._at.modems if modem.path is not None]
            if len(there) - UNTOUCHED < modems or (not modems and len(there) == MODEMS):
                modems, event = (0, self._put) if modems else (1, self._move)
            chosen = self._dice.sample(there, modems)
            await self._others_ready(chosen)
            await event(chosen)
            await asyncio.sleep(self._dice.uniform(*_GAPS))
        for modem in self._out():
            self._plug(modem)
        await self._at.ready(*self._at.modems, seconds=2 * _READY_LIMIT)

    async def _others_ready(self, chosen: Sequence[SimulatedModem]) -> None:
        """A healthy modem is there whatever the event does."""
        names = [self._at.wiring.section_of(modem) for modem in self._at.modems if modem not in chosen]
        await self._at.until(lambda: sum(self._at[name].ready for name in names) >= UNTOUCHED, _READY_LIMIT)

    async def _pull(self, chosen: Sequence[SimulatedModem]) -> None:
        self._unplug(chosen[0])

    async def _put(self, _chosen: Sequence[SimulatedModem]) -> None:
        self._plug(self._dice.choice(self._out()))

    async def _move(self, chosen: Sequence[SimulatedModem]) -> None:
        """From one socket to another at once."""
        self._unplug(chosen[0])
        self._plug(chosen[0])

    async def _renumber(self, chosen: Sequence[SimulatedModem]) -> None:
        """All are pulled out and come back, to their sockets, in another order."""
        places = [(modem, self._unplug(modem)) for modem in chosen]
        self._dice.shuffle(places)
        for modem, socket in places:
            self._plug(modem, socket)

    async def _cross(self, chosen: Sequence[SimulatedModem]) -> None:
        """Two exchange their sockets, and with them perhaps their device nodes."""
        sockets = [self._unplug(modem) for modem in chosen]
        for modem, socket in zip(chosen, reversed(sockets), strict=True):
            self._plug(modem, socket)

    async def _swap_sims(self, chosen: Sequence[SimulatedModem]) -> None:
        places = [(modem, self._unplug(modem)) for modem in chosen]
        chosen[0].swap_cards(chosen[1])
        for modem, socket in places:
            self._plug(modem, socket)

    async def _fall_out(self, chosen: Sequence[SimulatedModem]) -> None:
        """Its next message is received, but it is unplugged before it can say so.

        One that takes no messages, perhaps because it fell out too often and is rested, is just pulled.
        """
        modem = chosen[0]
        if not self._at[self._at.wiring.section_of(modem)].ready:
            self._unplug(modem)
            return
        self._settle(modem)
        modem.change(next_sends=("unplug",))
        await self._at.until(lambda: modem.path is None, _READY_LIMIT)

    async def _reset(self, chosen: Sequence[SimulatedModem]) -> None:
        chosen[0].reset()

    def _out(self) -> list[SimulatedModem]:
        return [modem for modem in self._at.modems if modem.path is None]

    def _unplug(self, modem: SimulatedModem) -> str:
        self._settle(modem)
        socket = self._at.usb.socket_of(modem)
        assert socket is not None
        self._at.usb.unplug(socket)
        return socket

    def _plug(self, modem: SimulatedModem, socket: str | None = None) -> None:
        """Into a free socket, at random if none is named."""
        taken = {device.socket for device in self._at.usb.devices}
        free = socket or self._dice.choice([each for each in _SOCKETS if each not in taken])
        modem.change(next_sends=())
        self._at.usb.plug(modem, free)
        self._plugged_at[modem.name] = time.time()

    def _settle(self, modem: SimulatedModem) -> None:
        """How long the modem's last plug took, if it got so far before it is pulled again.

        One that left with three messages in its hands, one after the other, is rested as for want of power.
        """
        name, ledger = self._at.wiring.section_of(modem), self._at.ledger
        plugged_at = self._plugged_at.pop(modem.name, None)
        if plugged_at is None or (begun := ledger.begun_by(name, plugged_at)) is None:
            return
        if not ledger.rested(name, plugged_at - 60, begun):
            self.replug.append(begun - plugged_at)

    def finish(self) -> None:
        for modem in self._at.modems:
            self._settle(modem)


async def run(seed: int, events: int = 200) -> Verdict:
    """The same seed chooses the same events; what they meet is up to the machine."""
    phone = Phone(limit=1_000_000)
    modems = [SimulatedModem(identity_of(index), phone) for index in range(1, MODEMS + 1)]
    with tempfile.TemporaryDirectory(prefix="otpbroker-chaos-", dir="/dev/shm") as folder:
        async with site(Path(folder) / "site", modems, phone) as at:
            hands = Hands(at, random.Random(seed))  # noqa: S311 # chooses events, guards nothing
            for modem, socket in zip(modems, _SOCKETS, strict=False):
                modem.change(air=_AIR)
                at.usb.plug(modem, socket)
            await at.fleet.apply(map(at.wiring.section, modems))
            await at.ready(*modems)
            traffic = asyncio.create_task(_traffic(at))
            try:
                await hands.work(events)
                await asyncio.sleep(1.0)
            finally:
                traffic.cancel()
                await asyncio.gather(traffic, return_exceptions=True)
            await at.finish(_END_LIMIT)
            hands.finish()
            return at.judge(f"{events} events, seed {seed}", touched=_touched, give_up=_PROMPT, replug=hands.replug)


async def _traffic(at: Site) -> None:
    for number in itertools.count():
        await at.submit(parts=2 if number % 5 == 0 else 1)
        await asyncio.sleep(_PACE)


def _touched(entry: Entry) -> bool:
    return len(entry.begun) != 1 or entry.state is not State.SENT
