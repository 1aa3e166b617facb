"""What is known of one modem's health, and the steps by which it is brought back, each timed and shown."""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType

from otpbroker.events import Fault, Incident, ModemHealth, RecoveryStep, StepTaken
from otpbroker.modem.causes import Trouble
from otpbroker.modem.ladder import Ladder
from otpbroker.modem.refusals import Refusals
from otpbroker.modem.status import StatusBoard

log = logging.getLogger(__name__)

INCIDENTS = 10  # that are remembered
DROPS = 3  # messages in a row during which its device left the bus
STEPS = 12  # of one incident that are: one that nothing cures goes on for ever
BROWNOUT_NOTE = "brownout"  # tells the administrator to look after the modem's power
BROWNOUTS = 3  # signs of weak power ...
BROWNOUT_PERIOD = 86400.0  # ... within so many seconds are no accident
_SAME_SIGN = 20.0  # seconds; a restart tells of itself by several lines, a weak supply complains again and again

WORDS = MappingProxyType(
    {
        Fault.SILENT: "did not answer as it should, and is being brought back",
        Fault.DEAF: "does not answer, and is being brought back",
        Fault.RESTARTED: "has restarted by itself, and is being set up again",
        Fault.REFUSING: "refuses every message, and is being brought back",
        Fault.UNWILLING: "refuses what it has to do, and is being brought back",
        Fault.DEAD_PORT: "its port does not open, and its device is being brought back",
        Fault.HANGS_UP: "its port hangs up again and again, and its device is being brought back",
        Fault.DROPS_OUT: "leaves the bus whenever it sends: does it get enough power?",
    }
)
RESTS = "refuses every message: has its SIM credit? It is tried again from time to time"
GIVEN_UP = "nothing brought it back, it is tried again from time to time"


class Health:
    """Outlives the sessions of a modem. `now` is a steady clock, `clock` Unix time, both in seconds."""

    def __init__(
        self, modem_id: str, board: StatusBoard, now: Callable[[], float], clock: Callable[[], float]
    ) -> None:
        self._modem_id = modem_id
        self._board = board
        self._now = now
        self._clock = clock
        self._ladder = Ladder(now)
        self._refusals = Refusals()
        self._drops = 0  # in a row
        self._fault = Fault.SILENT  # the last one
        self._step: RecoveryStep | None = None
        self._step_began = 0.0
        self._incident_began = 0.0
        self._last_sign = -_SAME_SIGN
        self._signs: deque[float] = deque(maxlen=BROWNOUTS)
        self._boot = ""  # the number of its last one, as far as it tells that

    @property
    def troubled(self) -> bool:
        """Whether it is being brought back."""
        return self._ladder.open

    def failed(self, fault: Fault, why: str = "") -> RecoveryStep:
        """The modem has to be brought back, or the last step did not do it: the next one, which begins now."""
        self._fault = fault
        if not self._ladder.open:
            self._incident_began = self._now()
            self._open(Incident(self._clock(), fault))
        self._end_step()
        step = self._ladder.next(fault)
        log.warning("modem %s %s (%s): %s", self._modem_id, WORDS[fault].partition(",")[0], why or fault, step)
        self._begin_step(step)
        return step

    def impossible(self, step: RecoveryStep) -> RecoveryStep:
        """This modem can't be helped that way: the next step, which begins."""
        self._ladder.impossible(step)
        return self._instead()

    def skip(self, step: RecoveryStep) -> RecoveryStep:
        """Not now: the next step, which begins."""
        self._ladder.skip(step)
        return self._instead()

    def _instead(self) -> RecoveryStep:
        self._step = None
        self._show(tries=max(0, self._health.tries - 1))
        following = self._ladder.next(self._fault)
        self._begin_step(following)
        return following

    def reached(self, step: RecoveryStep) -> None:
        """This step begins, for a reason of its own; the ladder goes on above it."""
        if self._ladder.open and self._ladder.reached(step):
            self._end_step()
            self._begin_step(step)

    def cured(self) -> None:
        """It works again, as far as one can see."""
        if self._ladder.open:
            step = self._step
            self._end_step()
            self._ladder.cured()
            self._close(step)
            log.info("modem %s is back: %s", self._modem_id, step)

    def sent(self) -> None:
        """It sent a message."""
        self._ladder.sent()
        self._refusals.clear()
        self._drops = 0

    def refused(self, message_id: str, trouble: Trouble) -> bool:
        """It refused one; whether it refuses whatever it is given."""
        return self._refusals.add(message_id, trouble)

    def dropped(self) -> bool:
        """Its device has left the bus with a message in the air; whether it does that whenever it sends."""
        self._drops += 1
        self.weak_power()
        return self.drops_out

    @property
    def drops_out(self) -> bool:
        """Whether it leaves the bus whenever it sends: to be plugged in is no news of it."""
        return self._drops >= DROPS

    @property
    def words(self) -> str:
        """What is wrong with it, in English."""
        return WORDS[self._fault]

    @property
    def rests_for(self) -> str:
        """Why it is in quarantine, in English."""
        return {Fault.REFUSING: RESTS, Fault.DROPS_OUT: self.words}.get(self._fault, GIVEN_UP)

    def pulled_out(self) -> None:
        """Its device has left: not its fault, and what comes back begins anew."""
        if self.drops_out:
            return
        if self._ladder.open:
            self._end_step()
            self._close(None)
        self._ladder.forget()
        self._refusals.clear()
        self._boot = ""

    def rest(self) -> float:
        """Seconds of the quarantine that begins."""
        return self._ladder.rest()

    def was_reset(self) -> None:
        """Its USB device or its hub port was."""
        self._boot = ""
        self._show(resets=self._health.resets + 1)

    def booted(self, number: str) -> None:
        """It tells the number of its last boot, or ""; another one than before is a boot that nobody asked for."""
        if number and self._boot not in {"", number}:
            self.weak_power()
        self._boot = number or self._boot

    def weak_power(self) -> None:
        """A sign of it; those of one moment count once."""
        now = self._now()
        if now - self._last_sign >= _SAME_SIGN:
            self._signs.append(now)
            self._show(brownouts=self._health.brownouts + 1)
            if len(self._signs) == BROWNOUTS:
                log.warning("modem %s restarts by itself or lacks voltage: it needs more power", self._modem_id)
        self._last_sign = now
        self.review()

    def review(self) -> None:
        """Take the note back when there were no signs for long."""
        recent = [at for at in self._signs if self._now() - at < BROWNOUT_PERIOD]
        self._board.note(BROWNOUT_NOTE, len(recent) >= BROWNOUTS)

    @property
    def _health(self) -> ModemHealth:
        return self._board.status.health

    def _show(self, **changes: object) -> None:
        self._board.update(health=replace(self._health, **changes))  # type: ignore[arg-type] # fields by name

    def _open(self, incident: Incident) -> None:
        health = self._health
        self._show(faults=health.faults + 1, tries=0, incidents=(incident, *health.incidents)[:INCIDENTS])

    def _close(self, cured_by: RecoveryStep | None) -> None:
        incident, *others = self._health.incidents
        seconds = self._now() - self._incident_began
        done = replace(incident, cured_by=cured_by, seconds=seconds)
        self._show(step=None, since=None, tries=0, incidents=(done, *others))

    def _begin_step(self, step: RecoveryStep) -> None:
        self._step, self._step_began = step, self._now()
        self._show(step=step, since=self._clock(), tries=self._health.tries + 1)

    def _end_step(self) -> None:
        if self._step is None:
            return
        taken = StepTaken(self._step, self._now() - self._step_began)
        self._step = None
        incident, *others = self._health.incidents
        self._show(incidents=(replace(incident, steps=(*incident.steps, taken)[-STEPS:]), *others))
