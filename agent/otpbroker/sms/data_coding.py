"""TP-DCS, the data coding scheme of a short message (3GPP TS 23.038 section 4)."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from otpbroker.sms.octets import PduError


class Alphabet(StrEnum):
    """What the units of a text are: septets, octets of data, or 16-bit units of UTF-16."""

    GSM7 = "gsm7"
    OCTETS = "8bit"
    UCS2 = "ucs2"


class Waiting(IntEnum):
    """What waits, in a message waiting indication."""

    VOICEMAIL = 0
    FAX = 1
    EMAIL = 2
    OTHER = 3


@dataclass(frozen=True, slots=True)
class WaitingIndication:
    """`active`: something waits, else nothing any more; `store`: the text is worth keeping."""

    kind: Waiting
    active: bool
    store: bool


@dataclass(frozen=True, slots=True)
class DataCoding:
    """`message_class`: 0 is shown at once and not stored ("flash"); None when not given."""

    alphabet: Alphabet
    message_class: int | None = None
    waiting: WaitingIndication | None = None


DCS_OF = {Alphabet.GSM7: 0x00, Alphabet.OCTETS: 0x04, Alphabet.UCS2: 0x08}

_GENERAL = (Alphabet.GSM7, Alphabet.OCTETS, Alphabet.UCS2, Alphabet.GSM7)


def decode_dcs(dcs: int) -> DataCoding:
    """Every octet has a meaning (reserved codings are the default alphabet); compressed text raises PduError."""
    match dcs >> 4:
        case group if group < 8:  # general, and the same marked for automatic deletion
            if dcs & 0x20:
                raise PduError("TP-DCS: compressed text is not supported")
            return DataCoding(_GENERAL[dcs >> 2 & 3], dcs & 3 if dcs & 0x10 else None)
        case 0xC | 0xD | 0xE as group:
            waiting = WaitingIndication(Waiting(dcs & 3), active=bool(dcs & 8), store=group != 0xC)
            return DataCoding(Alphabet.UCS2 if group == 0xE else Alphabet.GSM7, None, waiting)
        case 0xF:
            return DataCoding(Alphabet.OCTETS if dcs & 4 else Alphabet.GSM7, dcs & 3)
        case _:
            return DataCoding(Alphabet.GSM7)
