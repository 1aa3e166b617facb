"""The ladder by which a modem is brought back: its rungs as data, and which one is next. Pure.

Every rung does more harm than the one below: it takes longer, or costs the modem more of what it has set up. None
of them sends anything: what a message's answer was missing for stays `unknown` (ADR 0011, 0013).
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

from otpbroker.events import Fault, RecoveryStep
from otpbroker.modem.backoff import Backoff
from otpbroker.modem.results import AtError, AtFailure, Unresponsive
from otpbroker.modem.timeouts import RESYNC_LIMIT, RESYNC_TRIES, patience

_RESYNC = sum(RESYNC_TRIES) + RESYNC_LIMIT


@dataclass(frozen=True, slots=True)
class Rung:
    """`seconds`: the longest that the step takes; then it has failed."""

    step: RecoveryStep
    seconds: float
    what: str


LADDER = (
    Rung(RecoveryStep.RESYNC, _RESYNC, "drain what it says, ESC for an open prompt, AT until it answers"),
    Rung(RecoveryStep.RADIO, 2 * (_RESYNC + patience("+CFUN")), "AT+CFUN=4, AT+CFUN=1: off the network and back"),
    Rung(RecoveryStep.REOPEN, 2.0 + 5.0 + _RESYNC, "close the port, open it, AT until it answers"),
    Rung(
        RecoveryStep.USB_RESET, 30.0, "take its device from the drivers and give it back, until its port is there"
    ),
    Rung(RecoveryStep.PORT_POWER, 45.0, "its hub port off and on; a stick may come back as a disk and be switched"),
    Rung(RecoveryStep.QUARANTINE, 900.0, "leave it alone: 30 seconds, then twice as long each time"),
)
_STEPS = tuple(rung.step for rung in LADDER)
SECONDS = MappingProxyType({rung.step: rung.seconds for rung in LADDER})

# Where each fault begins: the first step that could help.
_FIRST = MappingProxyType(
    {
        Fault.SILENT: RecoveryStep.RESYNC,
        Fault.RESTARTED: RecoveryStep.RESYNC,
        Fault.REFUSING: RecoveryStep.RADIO,
        Fault.UNWILLING: RecoveryStep.RADIO,
        Fault.DEAF: RecoveryStep.REOPEN,  # who hears nothing can't be told to leave the network
        Fault.DEAD_PORT: RecoveryStep.USB_RESET,
        Fault.HANGS_UP: RecoveryStep.USB_RESET,
        Fault.DROPS_OUT: RecoveryStep.QUARANTINE,  # it has been switched off and on more than enough
    }
)
# What answers well on its port gains nothing from a new opening.
_USELESS = MappingProxyType({Fault.REFUSING: frozenset({RecoveryStep.REOPEN})})

GOOD_WHILE = 300.0  # seconds with a message sent, after which the next fault is a new one
LONG_WHILE = 3600.0  # the same for a modem that had nothing to send
_REST_LEAST, _REST_MOST = 30.0, SECONDS[RecoveryStep.QUARANTINE]


def fault_of(failure: AtFailure) -> Fault:
    """What a modem did wrong whose start ended so."""
    match failure:
        case Unresponsive():
            return Fault.DEAF
        case AtError():
            return Fault.UNWILLING
    return Fault.SILENT


class Ladder:
    """A modem that fails again soon after it was brought back climbs; one that worked for a good while begins anew.

    `now` is a steady clock in seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._impossible: set[RecoveryStep] = set()
        self._skipped: set[RecoveryStep] = set()  # since the last step that was taken
        self._rest = Backoff(_REST_LEAST, _REST_MOST)
        self._at = -1  # the rung that was reached; -1: none
        self._open = False  # an incident is
        self._cured_at = 0.0
        self._sent = False  # a message, since then
        self._productive = False  # it had sent one before this incident, none of whose steps has failed yet
        self._skipping = False

    @property
    def open(self) -> bool:
        """Whether it is being brought back now."""
        return self._open

    def next(self, fault: Fault) -> RecoveryStep:
        """The step to take now: a new incident begins, or the step before did not help."""
        if not self._open:
            self._begin()
        elif not self._skipping:
            self._productive = False
        if not self._skipping:
            self._skipped.clear()
        self._skipping = False
        first = _STEPS.index(_FIRST[fault])
        step = self._above(max(first, self._after_rest(fault)), fault)
        if step is RecoveryStep.QUARANTINE and (self._productive or fault is Fault.HANGS_UP):
            # It is not lost: it sends between its faults, or has a loose plug. No rest, but from the bottom again.
            step = RecoveryStep.REOPEN if fault is Fault.HANGS_UP else self._above(first, fault)
        self._at = _STEPS.index(step)
        return step

    def impossible(self, step: RecoveryStep) -> None:
        """There is no such step for this modem: it is left out from now on. Ask for the `next` one."""
        self._impossible.add(step)
        self._skipping = True

    def skip(self, step: RecoveryStep) -> None:
        """It can't be taken now, and is left out until another one was taken. Ask for the `next` one."""
        self._skipped.add(step)
        self._skipping = True

    def reached(self, step: RecoveryStep) -> bool:
        """This step is taken for another reason, and need not be taken again; whether it is a higher one."""
        before, self._at = self._at, max(self._at, _STEPS.index(step))
        return self._at > before

    def cured(self) -> None:
        """It works again, as far as one can see."""
        if self._open:
            self._open = False
            self._cured_at = self._now()
            self._sent = False

    def sent(self) -> None:
        """A message was: it does work."""
        self._sent = True
        self._rest.reset()

    def rest(self) -> float:
        """Seconds of the quarantine that begins."""
        return self._rest.next()

    def forget(self) -> None:
        """It was pulled out: what comes next may be another modem, and was not at fault."""
        self._open = False
        self._at = -1
        self._impossible.clear()
        self._rest.reset()

    def _begin(self) -> None:
        self._open = True
        self._productive = self._sent
        if self._at >= 0 and self._now() - self._cured_at >= (GOOD_WHILE if self._sent else LONG_WHILE):
            self._at = -1
            self._rest.reset()

    def _after_rest(self, fault: Fault) -> int:
        """The lowest rung that makes sense after the one that was reached."""
        if self._at < len(_STEPS) - 1:
            return self._at + 1
        # After a quarantine its port was opened anew; what refuses messages is let rest again, for longer.
        return self._at if fault is Fault.REFUSING else _STEPS.index(RecoveryStep.USB_RESET)

    def _above(self, rung: int, fault: Fault) -> RecoveryStep:
        left_out = self._impossible | self._skipped | _USELESS.get(fault, frozenset())
        return next(step for step in _STEPS[rung:] if step not in left_out)
