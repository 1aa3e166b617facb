"""What a modem's refusal means, for the message and for the modem: one table by the number of its error.

The numbers are of 24.011 annex E.2, 23.040 section 9.2.3.22, 27.005 section 3.2.5 and 27.007 section 9.2; what
modems mean by them is field experience of gammu and smstools3 users.
"""

from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType

from otpbroker.modem.results import AtError
from otpbroker.sms.submission import Retry


class Trouble(Enum):
    """What a refusal tells of the modem. All but `MESSAGE` count: who refuses message after message is rested."""

    MESSAGE = auto()  # nothing: the number's or the message's own fault
    MODEM = auto()  # of itself, its network or its SIM's contract
    SIM = auto()  # the SIM has to be looked at before anything else is sent
    SERVICE_CENTRE = auto()  # its number got lost, and is set again
    STORE_FULL = auto()  # messages that came in have to be taken out


@dataclass(frozen=True, slots=True)
class Meaning:
    """`retry`: where and when the message may be tried again; `unclear`: it may have been sent all the same."""

    retry: Retry
    trouble: Trouble
    words: str
    unclear: bool = False


_NEVER, _ELSEWHERE, _ONCE, _LATER = Retry.NEVER, Retry.ELSEWHERE, Retry.ONCE, Retry.LATER
_MESSAGE, _MODEM, _SIM = Trouble.MESSAGE, Trouble.MODEM, Trouble.SIM

CMS = MappingProxyType(
    {
        1: Meaning(_NEVER, _MESSAGE, "no such number"),
        8: Meaning(_ELSEWHERE, _MODEM, "barred by the operator"),
        10: Meaning(_ELSEWHERE, _MODEM, "call barred"),
        21: Meaning(_ONCE, _MODEM, "rejected: for the number or for the moment, nobody can tell"),
        28: Meaning(_NEVER, _MESSAGE, "subscriber not identified"),
        30: Meaning(_NEVER, _MESSAGE, "subscriber not known"),
        38: Meaning(_LATER, _MODEM, "network out of order; also told of phones that are off (gammu 537)"),
        41: Meaning(_LATER, _MODEM, "temporary failure"),
        42: Meaning(_LATER, _MODEM, "congestion"),
        47: Meaning(_LATER, _MODEM, "resources not available"),
        50: Meaning(_ELSEWHERE, _MODEM, "not subscribed"),
        69: Meaning(_ELSEWHERE, _MODEM, "not implemented by this network"),
        81: Meaning(_NEVER, _MESSAGE, "invalid reference"),
        95: Meaning(_NEVER, _MESSAGE, "semantically incorrect message"),
        96: Meaning(_NEVER, _MESSAGE, "invalid mandatory information"),
        97: Meaning(_NEVER, _MESSAGE, "no such message type"),
        98: Meaning(_NEVER, _MESSAGE, "message does not fit the state"),
        99: Meaning(_NEVER, _MESSAGE, "no such information element"),
        111: Meaning(_NEVER, _MESSAGE, "protocol error"),
        195: Meaning(_NEVER, _MESSAGE, "invalid receiver address"),
        196: Meaning(_NEVER, _MESSAGE, "receiver barred"),
        197: Meaning(_NEVER, _MESSAGE, "duplicate"),
        304: Meaning(_NEVER, _MODEM, "invalid PDU; of every message: the modem has lost its settings"),
        305: Meaning(_NEVER, _MODEM, "invalid text; of every message: the modem has lost its settings"),
        310: Meaning(_ELSEWHERE, _SIM, "no SIM"),
        311: Meaning(_ELSEWHERE, _SIM, "PIN required"),
        312: Meaning(_ELSEWHERE, _SIM, "the SIM of another phone"),
        313: Meaning(_ELSEWHERE, _SIM, "SIM failure"),
        314: Meaning(_LATER, _MODEM, "SIM busy"),
        315: Meaning(_ELSEWHERE, _SIM, "wrong SIM"),
        316: Meaning(_ELSEWHERE, _SIM, "PUK required"),
        317: Meaning(_ELSEWHERE, _SIM, "PIN2 required"),
        318: Meaning(_ELSEWHERE, _SIM, "PUK2 required"),
        322: Meaning(_LATER, Trouble.STORE_FULL, "memory full"),
        330: Meaning(_LATER, Trouble.SERVICE_CENTRE, "service centre not known; SIM900 loses it (gammu 195)"),
        331: Meaning(_LATER, _MODEM, "no network"),
        332: Meaning(_LATER, _MODEM, "the network did not confirm in time", unclear=True),
        500: Meaning(_LATER, _MODEM, "unknown error"),
        512: Meaning(_LATER, _MODEM, "Huawei: sending and receiving collided"),
        515: Meaning(_LATER, _MODEM, "Wavecom, SIM900: please wait"),
    }
)
_SIM_CME = frozenset({10, 11, 12, 13, 15, 17, 18})

_UNLISTED = Meaning(_LATER, _MODEM, "in no table: may pass later")
_SIM_REFUSED = Meaning(_ELSEWHERE, _SIM, "the SIM is absent, locked, broken or wrong")


def meaning(error: AtError) -> Meaning:
    """What to make of it; an error that is in no table may pass later."""
    if error.kind == "cms":
        return CMS.get(error.number or 0, _UNLISTED)
    if error.kind == "cme" and error.number in _SIM_CME:
        return _SIM_REFUSED
    return _UNLISTED
