"""What a modem's refusal means for the message: 24.011 annex E.2, 23.040 9.2.3.22, 27.005 3.2.5, 27.007 9.2.

Field experience is of gammu and smstools3 users. What is in no table may pass later: 38 network out of order, 41,
42, 47, 331, 500, 512 (Huawei: sending and receiving collided), 515 (Wavecom, SIM900: please wait), 314 SIM busy,
322 memory full, 330 service centre unknown (SIM900 loses it, and gets it again).
"""

from otpbroker.modem.results import AtError
from otpbroker.sms.submission import Retry

# The message's own fault: unassigned number, unidentified or unknown subscriber; semantically incorrect message and
# the like; invalid PDU or text parameter; invalid or barred destination, duplicate.
_NEVER_CMS = frozenset({1, 28, 30, 81, 95, 96, 97, 98, 99, 111, 304, 305, 195, 196, 197})

# The SIM's own trouble: absent, locked, broken, wrong.
_SIM_CMS = frozenset({310, 311, 312, 313, 315, 316, 317, 318})
_SIM_CME = frozenset({10, 11, 12, 13, 15, 17, 18})  # 27.007 section 9.2.1

# The SIM's contract: operator determined barring, call barred, facility not subscribed, not implemented.
_CONTRACT_CMS = frozenset({8, 10, 50, 69})

_ONCE_CMS = frozenset({21})  # short message transfer rejected: of the number or of the moment, nobody can tell

# The network did not confirm in time (27.005 section 3.2.5): the message had left the modem, and may have arrived.
_UNCLEAR_CMS = frozenset({332})


def unclear(error: AtError) -> bool:
    """Whether a refusal after the PDU leaves open that the message was sent."""
    return error.kind == "cms" and error.number in _UNCLEAR_CMS


def retry(error: AtError) -> Retry:
    """Where and when the message may be tried again."""
    if sim_trouble(error):
        return Retry.ELSEWHERE
    if error.kind == "cms":
        if error.number in _NEVER_CMS:
            return Retry.NEVER
        if error.number in _CONTRACT_CMS:
            return Retry.ELSEWHERE
        if error.number in _ONCE_CMS:
            return Retry.ONCE
    return Retry.LATER


def sim_trouble(error: AtError) -> bool:
    """Whether the SIM has to be looked at before anything else is sent."""
    return error.number in (_SIM_CMS if error.kind == "cms" else _SIM_CME if error.kind == "cme" else ())
