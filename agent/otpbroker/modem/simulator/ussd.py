"""The USSD of a simulated modem: its dialogue with the network."""

from collections.abc import Callable

from otpbroker.modem.simulator.equipment import Equipment
from otpbroker.modem.simulator.screens import ASKS, ENDED, Screen, give
from otpbroker.modem.simulator.timers import Timers


class UssdService:
    """One modem's dialogue with its network; `announce` writes a line for the terminal."""

    def __init__(self, equipment: Equipment, announce: Callable[[str], None]) -> None:
        self._equipment = equipment
        self._announce = announce
        self._timers = Timers()
        self._open: Screen | None = None  # it waits for a reply to this
        self._pending = False

    @property
    def busy(self) -> bool:
        """A dialogue is going on: nothing else may be sent (27.007 section 7.15 and every vendor's manual)."""
        return self._pending or self._open is not None

    def ask(self, text: str) -> None:
        """A code, or the reply to what is open."""
        behaviour = self._equipment.behaviour
        shown = self._next(text)
        screen = Screen(shown) if isinstance(shown, str) else shown
        self._timers.cancel()
        self._open, self._pending = None, True
        if not screen.silent:
            delay = behaviour.ussd_delay if screen.delay is None else screen.delay
            self._timers.after(delay, lambda: self._show(screen))

    def cancel(self) -> None:
        """AT+CUSD=2."""
        if self.busy:
            self._equipment.counters.ussd_cancelled += 1
        self.clear()

    def clear(self) -> None:
        """The modem starts anew, or is gone."""
        self._timers.cancel()
        self._open, self._pending = None, False

    def _next(self, text: str) -> str | Screen:
        if self._open is not None and not text.startswith(("*", "#")):
            return self._open.replies.get(text, Screen(mode=ENDED))
        known = self._equipment.behaviour.ussd
        return known.get(text, f"{self._equipment.identity.operator}: {text}")

    def _show(self, screen: Screen) -> None:
        equipment, self._pending = self._equipment, False
        if screen.shown_mode == ASKS:
            self._open = screen
            self._timers.after(equipment.behaviour.ussd_patience, self._give_up)
        if equipment.settings.number("+CUSD") == 1:
            self._announce(give(screen, equipment.behaviour.ussd_gives, equipment.settings.charset))

    def _give_up(self) -> None:
        """The network waits no longer."""
        self._open = None
        self._announce(f"+CUSD: {ENDED}")
