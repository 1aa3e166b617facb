"""A short message on its way to whatever transmits it, and the three honest answers that can come back."""

from dataclasses import dataclass
from enum import Enum, auto


@dataclass(frozen=True, slots=True)
class Sms:
    """One message as its SMS-SUBMIT parts, ready for `AT+CMGS` in PDU mode (3GPP TS 27.005 section 4.3).

    `pdus` are upper-case hexadecimal, each beginning with the SMSC octet `00` (the SIM's own service centre);
    `deadline` is on the monotonic clock: no part is begun after it.
    """

    id: str
    pdus: tuple[str, ...]
    deadline: float

    def __repr__(self) -> str:
        return f"Sms(id={self.id!r}, parts={len(self.pdus)})"

    @staticmethod
    def tpdu_length(pdu: str) -> int:
        """Octets of the TPDU without the SMSC field: the number that `+CMGS=` takes."""
        return len(pdu) // 2 - 1 - int(pdu[:2], 16)


@dataclass(frozen=True, slots=True)
class Sent:
    """The modem said so: a message reference (TP-MR, 0-255) per part."""

    references: tuple[int, ...]


class Retry(Enum):
    """What may be done with a message that was refused."""

    NEVER = auto()  # its own fault: it would be refused everywhere
    ELSEWHERE = auto()  # never again by this SIM
    ONCE = auto()  # one more try in all, by whichever SIM
    LATER = auto()  # by another SIM at once, by this one after a pause


@dataclass(frozen=True, slots=True)
class Refused:
    """Certain: no part was sent. `cause` is a stable code (`cms-38`)."""

    cause: str
    retry: Retry


@dataclass(frozen=True, slots=True)
class Unknown:
    """Some part may have been sent: the answer never came, or came after an earlier part had left."""

    cause: str
    references: tuple[int, ...] = ()


SendResult = Sent | Refused | Unknown
