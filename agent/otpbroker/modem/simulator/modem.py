"""One simulated GSM modem on a pty."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from otpbroker.clock import Clock
from otpbroker.modem.simulator.behaviour import Behaviour, Counters
from otpbroker.modem.simulator.conversation import Conversation
from otpbroker.modem.simulator.deliveries import Deliveries
from otpbroker.modem.simulator.equipment import Equipment, Settings
from otpbroker.modem.simulator.identity import Identity
from otpbroker.modem.simulator.network import Network
from otpbroker.modem.simulator.phone import Phone
from otpbroker.modem.simulator.port import PtyPort
from otpbroker.modem.simulator.sim_card import SimCard


class Unplugged(Exception):
    """The modem has no port now."""


class SimulatedModem:
    """Speaks 3GPP TS 27.005 and 27.007 to whoever opens its port; what it sends arrives at `phone`.

    Lives on the running event loop, needs no task and no thread. `behaviour` is replaced as a whole:
    `modem.behaviour = replace(modem.behaviour, air=0.5)`, or `modem.change(air=0.5)`.
    """

    def __init__(
        self,
        identity: Identity,
        phone: Phone,
        *,
        behaviour: Behaviour | None = None,
        sim: SimCard | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._equipment = Equipment(identity, sim or SimCard(), behaviour or Behaviour(), clock or Clock())
        self._network = Network(phone, self._equipment.clock, lambda: self.identity.msisdn)
        self._deliveries = Deliveries(self._equipment)
        # Drawn for air times and noise: the same modem misbehaves alike in each run.
        self._dice = random.Random(identity.name)  # noqa: S311 - nothing here is secret
        self._link: Path | None = None
        self._port: PtyPort | None = None
        self._conversation: Conversation | None = None
        self._on_unplug: Callable[[], None] | None = None

    @property
    def identity(self) -> Identity:
        """Its own numbers, and those of the card that is in it now."""
        return self._equipment.identity

    @property
    def name(self) -> str:
        return self.identity.name

    @property
    def sim(self) -> SimCard:
        """The card in it; may be changed in place."""
        return self._equipment.sim

    @property
    def counters(self) -> Counters:
        return self._equipment.counters

    @property
    def stored(self) -> int:
        """Messages and reports in its own store."""
        return len(self._equipment.store)

    @property
    def path(self) -> str | None:
        """What a client opens now: the link if there is one, else the pty; None while unplugged."""
        if self._port is None:
            return None
        return self._port.path if self._link is None else str(self._link)

    @property
    def behaviour(self) -> Behaviour:
        return self._equipment.behaviour

    @behaviour.setter
    def behaviour(self, behaviour: Behaviour) -> None:
        before = self._equipment.behaviour
        self._equipment.behaviour = behaviour
        if self._conversation is not None:
            self._conversation.obey(before)

    def change(self, **knobs: object) -> None:
        """Turn these knobs alone; raises `ValueError` for one that does not exist or does not fit."""
        self.behaviour = self.behaviour.changed(knobs)

    def plug(self, link: Path | None = None, *, on_unplug: Callable[[], None] | None = None) -> str:
        """Power up on a new pty and return `path`; `link`: the stable name, kept for later plugs.

        `on_unplug` is called when the plug is pulled, by whomever.
        """
        if self._port is not None:
            self.unplug()
        self._link = link or self._link
        self._on_unplug = on_unplug
        self._equipment.restart()
        self._port = PtyPort(self._listen, self._link)
        self._conversation = Conversation(
            self._equipment, self._network, self._deliveries, self._write, self.unplug, self._dice
        )
        return self._port.path if self._link is None else str(self._link)

    def unplug(self) -> None:
        """Pull it out: the client sees a hang-up, what was in the air is gone."""
        if self._conversation is not None:
            self._conversation.close()
            self._conversation = None
        if self._port is not None:
            self._port.close()
            self._port = None
        told, self._on_unplug = self._on_unplug, None
        if told is not None:
            told()

    close = unplug

    def reset(self) -> None:
        """Restart without leaving the port, as a brown-out does; raises `Unplugged`."""
        self._plugged().restart()

    def fail(self) -> None:
        """Its port breaks: what is open hangs up, and it stays there but opens with EIO until plugged in again.

        Raises `Unplugged`.
        """
        self._plugged().close()
        self._conversation = None
        if self._port is not None:
            self._port.fail()

    def forget(self) -> None:
        """Its settings are the factory's again and it does not say so: the echo is back; raises `Unplugged`."""
        self._plugged()
        self._equipment.settings = Settings()

    def reseat(self, *, told: bool = True) -> None:
        """Take the card out and put it back: its PIN is asked for again; `told`: the modem says so.

        Raises `Unplugged`.
        """
        self._plugged().reseat(told=told)

    def swap_cards(self, other: "SimulatedModem") -> None:
        """Exchange the SIM cards, and with them number, operator and stored messages.

        Raises `ValueError` unless both are unplugged.
        """
        if self.path is not None or other.path is not None:
            raise ValueError("pull both modems out first")
        self._equipment.swap_cards(other._equipment)  # noqa: SLF001 # another one of this class

    def deliver(self, sender: str, text: str, parts: Sequence[int] | None = None) -> None:
        """A message from the network; `parts` of a long one, counted from 1, in their order of arrival; None: all.

        Raises `Unplugged`, or `ValueError` for what can't be sent.
        """
        self._plugged()
        pdus = self._network.deliver(sender, text)
        wanted = range(1, len(pdus) + 1) if parts is None else parts
        if not all(1 <= part <= len(pdus) for part in wanted):
            raise ValueError(f"parts: the message has {len(pdus)}")
        for part in wanted:
            self._deliveries.bring(pdus[part - 1], report=False)

    def _plugged(self) -> Conversation:
        if self._conversation is None:
            raise Unplugged(self.name)
        return self._conversation

    def _listen(self, octets: bytes) -> None:
        self._equipment.counters.octets_taken += len(octets)
        if self._conversation is not None:
            self._conversation.listen(octets)

    def _write(self, octets: bytes) -> None:
        if self._port is None:
            return
        behaviour = self._equipment.behaviour
        dropped = self._port.write(octets, piece=behaviour.split, gap=behaviour.split_gap)
        self._equipment.counters.octets_dropped += dropped
