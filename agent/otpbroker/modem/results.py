"""How an AT command ends: its final result (V.250 section 5.7.1, 27.005 3.2.5, 27.007 9.2) or none at all."""

import re

from otpbroker.errors import Rejected

_ERROR = re.compile(r"\+(CMS|CME) ERROR ?: ?(.*)")
_CALL_RESULTS = frozenset({"NO CARRIER", "NO ANSWER", "NO DIALTONE", "NO DIAL TONE", "BUSY"})
_CALL_COMMANDS = frozenset({"A", "D", "H", "O"})
_PLAIN_ERRORS = frozenset({"ERROR", "COMMAND NOT SUPPORT", "COMMAND NOT SUPPORTED", "TOO MANY PARAMETERS"})

# What modems write that keep +CMEE=2 (27.005 section 3.2.5 and 27.007 section 9.2.1), in lower case.
_WORDS = {
    "cms": {
        "me failure": 300,
        "operation not allowed": 302,
        "operation not supported": 303,
        "invalid pdu mode parameter": 304,
        "invalid text mode parameter": 305,
        "sim not inserted": 310,
        "sim pin required": 311,
        "ph-sim pin required": 312,
        "sim failure": 313,
        "sim busy": 314,
        "sim wrong": 315,
        "sim puk required": 316,
        "memory failure": 320,
        "memory full": 322,
        "smsc address unknown": 330,
        "no network service": 331,
        "network timeout": 332,
        "unknown error": 500,
    },
    "cme": {
        "operation not allowed": 3,
        "operation not supported": 4,
        "sim not inserted": 10,
        "sim pin required": 11,
        "sim puk required": 12,
        "sim failure": 13,
        "sim busy": 14,
        "sim wrong": 15,
        "incorrect password": 16,
        "no network service": 30,
        "network timeout": 31,
        "unknown": 100,
    },
}


class AtFailure(Exception):
    """A command did not end with OK. No message here holds a parameter: it could be a PIN or a PDU."""


class AtError(AtFailure):
    """The modem refused: `cms` or `cme` with a number (None: words that are in no table), or a plain `at` error."""

    def __init__(self, kind: str, number: int | None = None) -> None:
        self.kind = kind
        self.number = number
        super().__init__(f"the modem answered {self.code}")

    @property
    def code(self) -> str:
        """`cms-38`, `cme-16`, `at-error`, `no-carrier`."""
        if self.number is not None:
            return f"{self.kind}-{self.number}"
        return f"{self.kind}-error" if self.kind in {"cms", "cme", "at"} else self.kind


class AtTimeout(AtFailure):
    """No final result within the command's time; `lines` is what came of the answer."""

    def __init__(self, stem: str, lines: tuple[str, ...] = ()) -> None:
        super().__init__(f"no answer to AT{stem}")
        self.lines = lines


class Unresponsive(AtTimeout):
    """Not even AT was answered."""

    def __init__(self) -> None:
        super().__init__("")


class Restarted(AtTimeout):
    """The modem came up anew: it does not know of the command any more."""


class LinkLost(AtFailure):
    """The port hung up or was closed."""


class OutOfStep(AtFailure):
    """An earlier command never ended: its late answer would pass for this command's."""


class TooLate(AtFailure):
    """The prompt came after the message's time."""


class NotSubmitted(AtFailure):
    """Certain: the modem got no octet of the PDU. `reason` says why."""

    def __init__(self, reason: AtFailure) -> None:
        super().__init__(str(reason))
        self.reason = reason


def final_result(line: str, stem: str) -> AtError | bool:
    """The `AtError` of a line that ends the command `stem`, True for OK, False for a line that ends nothing.

    NO CARRIER, BUSY and the like end only commands that make or take calls: else they tell of somebody's call.
    """
    if line == "OK":
        return True
    if line in _PLAIN_ERRORS:
        return AtError("at")
    if found := _ERROR.fullmatch(line):
        kind, what = found[1].lower(), found[2].strip()
        return AtError(kind, int(what) if what.isdigit() else _WORDS[kind].get(what.lower()))
    if line in _CALL_RESULTS and stem in _CALL_COMMANDS:
        return AtError(line.lower().replace(" ", "-"))
    return False


def quoted(value: str) -> str:
    """A string parameter (V.250 section 5.4.2.2); raises `Rejected` for what would end the string or the line."""
    if not re.fullmatch(r"[ !#-~]*", value):
        raise Rejected("at-injection", "a parameter has a quote or a control character")
    return f'"{value}"'
