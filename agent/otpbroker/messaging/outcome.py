"""The states of a message and the answer that every caller gets."""

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from otpbroker.events import ModemStatus


class State(StrEnum):
    """A message's state; the last five are final."""

    ACCEPTED = "accepted"  # in the journal, no modem chosen yet
    QUEUED = "queued"  # waits for a modem
    SENDING = "sending"  # a modem has it: from here on a crash means `unknown`
    SENT = "sent"  # the modem answered with a reference for each part
    UNKNOWN = "unknown"  # may have been sent; never sent again by itself
    FAILED = "failed"  # certainly not sent
    EXPIRED = "expired"  # dropped before a modem began
    BLOCKED = "blocked"  # the receiver is on the block list

    @property
    def final(self) -> bool:
        return self not in _OPEN


_OPEN = frozenset({State.ACCEPTED, State.QUEUED, State.SENDING})


class Arrival(StrEnum):
    """What the recipient's network reports of a message, or of a part of it (23.040 section 9.2.3.15)."""

    WAITING = "waiting"  # nothing yet
    RETRYING = "retrying"  # not yet delivered, the service centre tries again
    DELIVERED = "delivered"
    EXPIRED = "expired"  # its validity ended first
    FAILED = "failed"  # the service centre gave up

    @property
    def settled(self) -> bool:
        return self not in {Arrival.WAITING, Arrival.RETRYING}


# What of several parts stands for the whole: the first of these that any part has.
_WORST_FIRST = (Arrival.FAILED, Arrival.EXPIRED, Arrival.RETRYING, Arrival.WAITING, Arrival.DELIVERED)


@dataclass(frozen=True, slots=True)
class Receipt:
    """The delivery reports of a message that asked for them; `parts` in the order of its parts."""

    parts: tuple[Arrival, ...]
    at: float | None = None  # Unix seconds of the last report that changed it

    @property
    def arrival(self) -> Arrival:
        """`delivered` only when every part is."""
        return next(arrival for arrival in _WORST_FIRST if arrival in self.parts)

    def with_part(self, part: int, arrival: Arrival, at: float) -> "Receipt":
        """After a report: what is delivered stays so, what failed can only be put right by a delivery."""
        before = self.parts[part]
        if (
            before is arrival
            or before is Arrival.DELIVERED
            or (before.settled and arrival is not Arrival.DELIVERED)
        ):
            return self
        return Receipt((*self.parts[:part], arrival, *self.parts[part + 1 :]), at)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message so far; times are Unix seconds, the receiver is masked."""

    id: str  # ours
    state: State
    receiver: str
    source: str
    accepted_at: float
    expires_at: float
    changed_at: float
    parts: int = 0
    length: int = 0  # characters of the text
    encoding: str = ""  # gsm7 | ucs2
    modem_id: str | None = None
    references: tuple[int, ...] = ()
    error: str | None = None  # stable code, e.g. no-modem, cms-38
    detail: str = ""
    price: Decimal | None = None  # of all parts that were, or may have been, sent; None: there is no tariff
    saved: Decimal | None = None  # by the cheapest route, against the one that the prefixes alone would give
    receipt: Receipt | None = None  # None: no delivery report was asked for, or nothing left
    duplicate: bool = False  # this answer repeats an earlier one: nothing new was sent


@dataclass(frozen=True, slots=True)
class Blocklisted:
    """The answer to Block and Unblock; `receiver` in normal form."""

    receiver: str
    blocked: bool


class Verdict(StrEnum):
    """What became of a try to verify an OTP."""

    VALID = "valid"
    INVALID = "invalid"  # wrong code or parameters, unknown reference, or no tries left
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class OtpRequested:
    """The code was made and `outcome` tells of the message that carries it."""

    reference: str
    receiver: str
    expires_at: float
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class OtpVerified:
    reference: str
    receiver: str
    verdict: Verdict
    tries_left: int


@dataclass(frozen=True, slots=True)
class ModemList:
    modems: tuple[ModemStatus, ...]


@dataclass(frozen=True, slots=True)
class UssdReplied:
    """What the network answered; `expires_at` (Unix seconds): until then it waits for a reply."""

    modem_id: str
    text: str = field(repr=False)
    raw: str = field(repr=False)  # the modem's line
    expires_at: float | None = None

    @property
    def replyable(self) -> bool:
        return self.expires_at is not None


@dataclass(frozen=True, slots=True)
class UssdEnded:
    """No session of the caller is open on this modem any more."""

    modem_id: str


@dataclass(frozen=True, slots=True)
class Echoed:
    request: dict[str, object]


Result = Outcome | Blocklisted | OtpRequested | OtpVerified | ModemList | UssdReplied | UssdEnded | Echoed
