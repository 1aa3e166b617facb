"""Concatenation references: what keeps the parts of two long messages to one phone apart."""

import secrets
from collections import OrderedDict
from collections.abc import Callable


def _random_start() -> int:
    return secrets.randbelow(256)


class References:
    """Counts for each receiver from a random start, and remembers the `capacity` receivers last written to.

    A receiver sees 256 different references in a row, whoever else is written to in between.
    """

    def __init__(self, capacity: int = 4096, start: Callable[[], int] = _random_start) -> None:
        self._capacity = capacity
        self._start = start
        self._next: OrderedDict[str, int] = OrderedDict()

    def allocate(self, receiver: str) -> int:
        """A fresh reference, 0-255, for the next message to this receiver."""
        known = self._next.pop(receiver, None)
        reference = self._start() if known is None else known
        self._next[receiver] = (reference + 1) % 256
        if len(self._next) > self._capacity:
            self._next.popitem(last=False)
        return reference
