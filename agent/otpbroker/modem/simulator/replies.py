"""What a command may come to: information lines, an error, or something that goes on after the answer."""

from dataclasses import dataclass
from enum import IntEnum


class Cme(IntEnum):
    """`+CME ERROR` codes (3GPP TS 27.007 section 9.2)."""

    NOT_ALLOWED = 3
    NOT_SUPPORTED = 4
    SIM_NOT_INSERTED = 10
    PIN_REQUIRED = 11
    PUK_REQUIRED = 12
    SIM_FAILURE = 13
    INCORRECT_PASSWORD = 16
    NO_NETWORK = 30
    INVALID_PARAMETER = 50


class Cms(IntEnum):
    """`+CMS ERROR` codes (3GPP TS 27.005 section 3.2.5)."""

    NOT_ALLOWED = 302
    NOT_SUPPORTED = 303
    INVALID_PDU = 304
    SIM_NOT_INSERTED = 310
    PIN_REQUIRED = 311
    PUK_REQUIRED = 316
    SIM_FAILURE = 313
    INVALID_INDEX = 321
    NO_ACKNOWLEDGEMENT_EXPECTED = 340
    SMSC_UNKNOWN = 330
    NO_NETWORK = 331


class AtError(Exception):
    """The command ends with an error result."""

    def __init__(self, code: Cme | Cms) -> None:
        super().__init__(code.name)
        self.code = code

    def line(self, reporting: int) -> str:
        """The final result under `+CMEE=reporting`; message errors always carry their number."""
        if isinstance(self.code, Cms):
            return f"+CMS ERROR: {self.code.value}"
        match reporting:
            case 1:
                return f"+CME ERROR: {self.code.value}"
            case 2:
                return f"+CME ERROR: {self.code.name.replace('_', ' ').lower()}"
            case _:
                return "ERROR"


@dataclass(frozen=True, slots=True)
class Prompt:
    """`+CMGS` was taken: `> `, then the message; `receiver` in text mode, `length` of the TPDU in PDU mode."""

    length: int = 0
    receiver: str | None = None


@dataclass(frozen=True, slots=True)
class Ussd:
    """OK now, the network's answer later."""

    code: str


@dataclass(frozen=True, slots=True)
class UssdCancel:
    """OK, and the dialogue with the network is over."""


@dataclass(frozen=True, slots=True)
class Restart:
    """OK, then the modem starts anew."""


@dataclass(frozen=True, slots=True)
class RadioOff:
    """OK; what the network still owed an answer is over."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """OK; what was shown is the terminal's, or (not `kept`) is to come again."""

    kept: bool


@dataclass(frozen=True, slots=True)
class RoomMade:
    """OK; the message store has room again."""


Lines = tuple[str, ...]
Reply = Lines | Prompt | Ussd | UssdCancel | Restart | RadioOff | Acknowledged | RoomMade
