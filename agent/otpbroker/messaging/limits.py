"""How many parts each modem may send now: caps for sliding windows and calendar periods, and pauses.

Parts are reserved when a modem takes a message, given back when it is certain that none was sent, and kept else. A
part counts from its reservation until the window is over since the end of its message, so no window of that length
holds more than its cap, whenever in between the network got it.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from otpbroker.clock import Clock
from otpbroker.config.limits import LimitsSection
from otpbroker.config.model import ModemSection
from otpbroker.errors import Unavailable
from otpbroker.messaging.meter import Meter, Usage
from otpbroker.messaging.tally import Calendar, Span


class LimitReached(Unavailable):
    """No modem that may carry the message can take it before it expires; one can in `retry_after` seconds."""

    def __init__(self, parts: int, retry_after: float) -> None:
        if math.isinf(retry_after):
            detail = f"the message has {parts} parts, more than the limits of any modem allow"
            remedy = "shorten it, or raise the modems' limits"
        else:
            detail = f"every modem for it has reached its limit for the next {retry_after:.0f} seconds"
            remedy = "try again after that, or raise the modems' limits"
        super().__init__("cap-reached", detail, remedy=remedy)
        self.retry_after = retry_after


class Ledger(Protocol):
    """What remembers the counts over the end of this process. It never raises: counts go on in memory."""

    def load(self) -> Mapping[str, Usage]: ...

    def add(self, modem_id: str, parts: int, span: Span) -> None:
        """A message of this many parts ended at `span.last`; the span has them already."""
        ...

    def replace(self, modem_id: str, spans: Iterable[Span]) -> None:
        """Its spans are others now: the clock was set."""
        ...


@dataclass(frozen=True, slots=True)
class HeldBack:
    """What keeps a modem that works from sending: a note's code, and when that is over in Unix seconds."""

    code: str  # cap-reached | paused
    until: float


@dataclass(frozen=True, slots=True)
class _Reserved:
    modem_id: str
    meter: Meter
    parts: int
    promo: int


class Allowances:
    """The meters of the modems that have limits or a promo; others cost nothing. Call `look` before you ask."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._calendar = Calendar(clock.now(), clock.monotonic())
        self._meters = {modem_id: Meter(usage) for modem_id, usage in ledger.load().items()}
        self._limited: dict[str, Meter] = {}
        self._reserved: dict[str, _Reserved] = {}  # by message
        self._max_parts = 1
        self._stages: dict[Meter, int] = {}  # of the promos, in this version
        self.version = 0  # another one whenever a promo may make a message cost something else
        self._clock_was_set()  # perhaps while no process looked

    def configure(self, modems: Iterable[ModemSection], max_parts: int) -> None:
        """Take limits and promos as they are now; counts stay, also those of modems that are gone.

        `max_parts`: of the longest message.
        """
        self._max_parts = max_parts
        self._limited.clear()
        for meter in self._meters.values():
            meter.obey(LimitsSection(), None)
        for modem in modems:
            promo = modem.tariff.promo if modem.tariff is not None else None
            if modem.limits or promo is not None:
                meter = self._meter(modem.id)
                meter.obey(modem.limits, promo)
                if modem.limits:
                    self._limited[modem.id] = meter
        self._new_version()

    @property
    def limited(self) -> Collection[str]:
        """The modems that have limits."""
        return self._limited.keys()

    def metered(self, modem_id: str) -> bool:
        """Whether it has limits or a promo, or had them."""
        return modem_id in self._meters

    def look(self) -> bool:
        """Follow the clocks. Whether it is another day, or the clock was set: then everything may be otherwise."""
        calendar = self._calendar
        frame = calendar.frame
        if not calendar.look(self._clock.now(), self._clock.monotonic()):
            return False
        if calendar.frame != frame:
            self._clock_was_set()
        self._new_version()
        return True

    def allows(self, modem_id: str, parts: int) -> bool:
        """Whether no cap keeps this modem from a message of so many parts now; a pause is no cap."""
        meter = self._limited.get(modem_id)
        return meter is None or meter.fits(parts, self._calendar, self._clock.monotonic())

    def pause(self, modem_id: str) -> float:
        """Seconds that it has to rest between messages."""
        meter = self._limited.get(modem_id)
        return 0.0 if meter is None else meter.limits.pause

    def pauses(self, modem_id: str) -> bool:
        """Whether it rests after its last message."""
        meter = self._limited.get(modem_id)
        return meter is not None and meter.paused_until > self._clock.monotonic()

    def earliest(self, modem_id: str, parts: int) -> float:
        """When at the soonest it could take a message of so many parts, on the monotonic clock; inf: never.

        That is when no more is sent meanwhile, what it has now is given back, and nobody sets the clock.
        """
        meter = self._limited.get(modem_id)
        if meter is None:
            return -math.inf
        return max(meter.paused_until, meter.free_at(parts, self._calendar, self._clock.monotonic()))

    def held_back(self, modem_id: str) -> HeldBack | None:
        """What an administrator should know of it."""
        meter = self._limited.get(modem_id)
        if meter is None:
            return None
        now = self._clock.monotonic()
        code, until = "cap-reached", meter.free_at(1, self._calendar, now)
        if until <= now:
            code, until = "paused", meter.paused_until
        return HeldBack(code, self._clock.now() + until - now) if until > now else None

    def promo_count(self, modem_id: str) -> int:
        """Parts of the current period that count for its promo."""
        meter = self._meters.get(modem_id)
        return 0 if meter is None else meter.promo_count(self._calendar, self._clock.monotonic())

    def reserve(self, modem_id: str, message_id: str, parts: int, promo: int) -> None:
        """A modem has this message now; `promo` of its parts count for its promo. Repeating it changes nothing."""
        meter = self._meters.get(modem_id)
        if meter is not None and message_id not in self._reserved:
            meter.flying += parts
            meter.flying_promo += promo
            self._reserved[message_id] = _Reserved(modem_id, meter, parts, promo)
            self._counted(meter)

    def resume(self, modem_id: str, message_id: str, parts: int) -> None:
        """A former process gave it this message, and what became of that is not known yet. See `value` too."""
        self._meter(modem_id)  # it may be configured later
        self.reserve(modem_id, message_id, parts, 0)

    def value(self, message_id: str, promo: int) -> None:
        """How many parts of a message that was resumed count for the promo of its modem, by its tariff now."""
        if (reserved := self._reserved.get(message_id)) is not None:
            reserved.meter.flying_promo += promo - reserved.promo
            self._reserved[message_id] = replace(reserved, promo=promo)
            self._counted(reserved.meter)

    def give_back(self, message_id: str) -> str | None:
        """Nothing of this message was sent, for certain. Returns the modem for which it was reserved, if it was."""
        reserved = self._landed(message_id)
        if reserved is None:
            return None
        self._counted(reserved.meter)
        return reserved.modem_id

    def keep(self, message_id: str) -> str | None:
        """It was sent, or may have been. Returns the modem for which it was reserved, if it was."""
        reserved = self._landed(message_id)
        if reserved is None:
            return None
        span = reserved.meter.sent(reserved.parts, reserved.promo, self._calendar, self._clock.monotonic())
        self._ledger.add(reserved.modem_id, reserved.parts, span)
        self._counted(reserved.meter)
        return reserved.modem_id

    def usage(self) -> dict[str, Usage]:
        """What is to be remembered of each modem that sent lately."""
        now = self._clock.monotonic()
        usages = {modem_id: meter.usage(now) for modem_id, meter in self._meters.items()}
        return {modem_id: usage for modem_id, usage in usages.items() if usage != Usage()}

    def _clock_was_set(self) -> None:
        for modem_id, meter in self._meters.items():
            if meter.tally.clock_was_set(self._calendar):
                self._ledger.replace(modem_id, meter.tally)

    def _landed(self, message_id: str) -> _Reserved | None:
        reserved = self._reserved.pop(message_id, None)
        if reserved is not None:
            reserved.meter.flying -= reserved.parts
            reserved.meter.flying_promo -= reserved.promo
        return reserved

    def _counted(self, meter: Meter) -> None:
        stage = meter.promo_stage(self._max_parts, self._calendar, self._clock.monotonic())
        if stage != self._stages.get(meter):
            self._stages[meter] = stage
            self.version += 1

    def _new_version(self) -> None:
        self._stages.clear()
        self.version += 1

    def _meter(self, modem_id: str) -> Meter:
        if modem_id not in self._meters:
            self._meters[modem_id] = Meter(Usage())
        return self._meters[modem_id]
