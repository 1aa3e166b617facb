"""What comes down the line of a simulated modem that is no answer: storms of lines, garbage, noise."""

import itertools
import random
from collections.abc import Callable

from otpbroker.modem.simulator.behaviour import Behaviour
from otpbroker.modem.simulator.lines import block
from otpbroker.modem.simulator.timers import Timers

_STORM = ("^RSSI: 18", "+CREG: 1", "^BOOT: 41285164,0,0,0,75", "+CSQ: 20,99", "^HCSQ: 3,40,30,20", "RING")
_NOISE = bytes(set(range(256)) - set(b"\r\n>"))
_LONGEST_BURST = 64  # octets
_LINE_ENDS = b"\r\n> " * 16  # so that a fifth of a burst's octets are of those that mean something


class Disturbance:
    """`say` takes octets for the terminal."""

    def __init__(self, dice: random.Random, say: Callable[[bytes], None]) -> None:
        self._dice = dice
        self._say = say
        self._storm_lines = itertools.cycle(_STORM)
        self._timers = Timers()

    def obey(self, behaviour: Behaviour) -> None:
        """From now on by these knobs."""
        self._timers.cancel()
        if behaviour.storm > 0:
            self._again(behaviour.storm, self.line)
        if behaviour.garbage > 0:
            self._again(behaviour.garbage, self._burst)

    def cancel(self) -> None:
        self._timers.cancel()

    def line(self) -> bytes:
        """The storm's next line."""
        return block((next(self._storm_lines),))

    def noise(self, octets: int) -> bytes:
        """Garbage that does not end a line."""
        return bytes(self._dice.choices(_NOISE, k=octets))

    def _burst(self) -> bytes:
        return bytes(self._dice.choices(bytes(range(256)) + _LINE_ENDS, k=self._dice.randint(1, _LONGEST_BURST)))

    def _again(self, seconds: float, octets: Callable[[], bytes]) -> None:
        def act() -> None:
            self._say(octets())
            self._timers.after(seconds, act)

        self._timers.after(seconds, act)
