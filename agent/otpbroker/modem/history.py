"""How signal and registration of each modem went in the last day, from what the modems tell anyway."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from otpbroker.events import Bus, ModemChanged, ModemGone, ModemState, ModemStatus

KEPT = 86400.0  # seconds
LIMIT = 1440  # samples a modem
COALESCED = 60.0  # seconds in which the signal alone makes no further sample

_CONNECTED = frozenset({ModemState.READY, ModemState.SENDING, ModemState.BUSY})


@dataclass(frozen=True, slots=True)
class Sample:
    """What held from `at` (Unix seconds) until the next sample."""

    at: float
    signal_dbm: int | None = None  # None: not known
    registration: str = ""  # home | roaming | searching | denied | none; "": the modem does not talk
    operator: str = ""

    @property
    def roaming(self) -> bool:
        return self.registration == "roaming"


class History:
    """A part that lives: follows the bus, which the modems' heartbeats keep fresh; asks nothing itself."""

    def __init__(self, bus: Bus, clock: Callable[[], float]) -> None:
        """`clock` gives Unix seconds."""
        self._bus = bus
        self._clock = clock
        self._samples: dict[str, deque[Sample]] = {}

    def of(self, modem_id: str, seconds: float = KEPT) -> tuple[Sample, ...]:
        """Oldest first, beginning with what held `seconds` ago; empty for a modem that nothing is known of."""
        since = self._clock() - seconds
        samples = list(self._samples.get(modem_id, ()))
        before = [sample for sample in samples if sample.at <= since]
        held = [replace(before[-1], at=since)] if before else []
        return (*held, *samples[len(before) :])

    async def run(self) -> None:
        """Follow the bus until it closes. What it was too slow for is not in the history."""
        with self._bus.subscribe(limit=1024) as events:
            async for event in events:
                match event:
                    case ModemChanged(status):
                        self._add(status)
                    case ModemGone(modem_id):
                        self._samples.pop(modem_id, None)

    def _add(self, status: ModemStatus) -> None:
        samples = self._samples.setdefault(status.id, deque(maxlen=LIMIT))
        signal, registration, operator = _network(status)
        last = samples[-1] if samples else None
        elsewhere = last is None or (last.registration, last.operator) != (registration, operator)
        if last is not None and not elsewhere and last.signal_dbm == signal:
            return
        at = self._clock()
        if last is None or elsewhere or at - last.at >= COALESCED:
            samples.append(Sample(at, signal, registration, operator))
        else:
            samples[-1] = replace(last, signal_dbm=signal)


def _network(status: ModemStatus) -> tuple[int | None, str, str]:
    """What a snapshot tells of the network; what it repeats from before the modem was lost does not count."""
    if status.state in _CONNECTED:
        return status.signal_dbm, status.registration, status.operator
    if status.state is ModemState.STARTING and status.registration in {"searching", "denied", "none"}:
        return None, status.registration, ""
    return None, "", ""
