"""The states of a message and the answer that every caller gets."""

from dataclasses import dataclass
from enum import StrEnum


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
    duplicate: bool = False  # this answer repeats an earlier one: nothing new was sent
