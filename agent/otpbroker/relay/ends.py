"""What became of messages of late: a publisher that lost its connection before it heard so says them again."""

from collections import OrderedDict
from collections.abc import Callable

from otpbroker.messaging.wire.broker_frames import Settlement

REMEMBER = 600.0  # seconds
_MOST = 10_000  # some 3 MiB; then the oldest are forgotten


class Ends:
    """By the message's id, in bounded memory."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._known: OrderedDict[str, tuple[float, Settlement, str]] = OrderedDict()  # oldest first

    def remember(self, message_id: str, verdict: Settlement, reason: str) -> None:
        self._forget_old()
        self._known.pop(message_id, None)
        self._known[message_id] = (self._monotonic() + REMEMBER, verdict, reason)
        if len(self._known) > _MOST:
            self._known.popitem(last=False)

    def of(self, message_id: str) -> tuple[Settlement, str] | None:
        self._forget_old()
        known = self._known.get(message_id)
        return known[1:] if known is not None else None

    def _forget_old(self) -> None:
        now = self._monotonic()
        while self._known and next(iter(self._known.values()))[0] <= now:
            self._known.popitem(last=False)
