"""Growing, jittered waits between tries."""

import random


class Backoff:
    """Seconds to wait before the next try: from `least`, doubling up to `most`, each +-20 %."""

    def __init__(self, least: float, most: float) -> None:
        self._least = least
        self._most = most
        self._next = least

    def next(self) -> float:
        seconds, self._next = self._next, min(self._most, self._next * 2)
        return seconds * random.uniform(0.8, 1.2)  # noqa: S311 # spreads retries, guards nothing

    def reset(self) -> None:
        self._next = self._least
