"""Answers to messages that are missing and may still come: the next message's would be taken for them."""

from collections.abc import Callable

# Seconds after the PDU; by then every modem's own timer for the network's answer is over (24.011 section 10, TC1M).
LONGEST_AIR = 60.0


class OwedAnswers:
    """By port, for it outlives the session and the configuration; times are of the loop's clock."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._until: dict[str, float] = {}

    def expect(self, port: str, sent_at: float) -> None:
        """The answer to the PDU of that time was given up."""
        self._until[port] = sent_at + LONGEST_AIR

    def seconds(self, port: str) -> float:
        """How much longer it may come; 0.0 when none is owed."""
        return max(0.0, self._until.get(port, 0.0) - self._now())

    def age(self, port: str) -> float:
        """Seconds since the PDU whose answer is owed; 0.0 when none is."""
        owed = self.seconds(port)
        return LONGEST_AIR - owed if owed else 0.0

    def moved(self, port: str, to: str) -> None:
        """The same modem is on another port now, and was not without power meanwhile."""
        if port != to and (until := self._until.pop(port, None)) is not None:
            self._until[to] = until

    def settled(self, port: str) -> None:
        """It came, or nothing waits for it any more."""
        self._until.pop(port, None)
