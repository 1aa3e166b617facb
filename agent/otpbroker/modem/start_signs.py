"""Whether a modem that says that it starts does so for a reason that is known, or has restarted by itself."""

from collections.abc import Callable

_STARTING_UP = 20.0  # seconds; SIM800 says "SMS Ready" long after its first answers


class StartSigns:
    """`now` is a steady clock in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._until = 0.0
        self._told = False  # of the start that is under way, so that its SIM is no further sign
        self._sim_came = False

    def expect(self, *, reads_sim: bool = False) -> None:
        """It was opened, or sent off the network and back: it may be starting, and read its SIM anew."""
        self._until = self._now() + _STARTING_UP
        self._told, self._sim_came = reads_sim, False

    def sim_came(self) -> None:
        """It read its SIM anew, which was in use already."""
        self._sim_came = not self._told

    def heard(self) -> bool:
        """It says that it starts; whether that is news. One start has several signs, the later ones are none."""
        news = self._now() >= self._until or self._sim_came
        if news:
            self.expect(reads_sim=True)
        return news
