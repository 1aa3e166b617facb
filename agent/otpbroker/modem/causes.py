"""What a modem's refusal means for the message: 24.011 annex E.2, 23.040 9.2.3.22, 27.005 3.2.5, 27.007 9.2.

Field experience is of gammu and smstools3 users. `retryable` is said for the message: another modem, or this one
later, may well send it. A refusal that tells of the number or of our PDU is final wherever it is tried.
"""

from otpbroker.modem.results import AtError

# The message's own fault: unassigned number, unidentified or unknown subscriber; semantically incorrect message and
# the like; invalid PDU or text parameter; invalid or barred destination, duplicate.
_FINAL_CMS = frozenset({1, 28, 30, 81, 95, 96, 97, 98, 99, 111, 304, 305, 195, 196, 197})

# Everything else may pass. Later: 38 network out of order, 41, 42, 47, 331, 500, 512 (Huawei: sending and
# receiving collided), 515 (Wavecom, SIM900: please wait), 314 SIM busy, 322 memory full. With another SIM:
# 8 and 10 barred, 21 rejected, 50, 69, 330 no service centre, and the SIM's own troubles:
_SIM_CMS = frozenset({310, 311, 312, 313, 315, 316, 317, 318})
_SIM_CME = frozenset({10, 11, 12, 13, 15, 17, 18})  # 27.007 section 9.2.1


# The network did not confirm in time (27.005 section 3.2.5): the message had left the modem, and may have arrived.
_UNCLEAR_CMS = frozenset({332})


def unclear(error: AtError) -> bool:
    """Whether a refusal after the PDU leaves open that the message was sent."""
    return error.kind == "cms" and error.number in _UNCLEAR_CMS


def retryable(error: AtError) -> bool:
    """Whether the message may pass elsewhere or later."""
    return not (error.kind == "cms" and error.number in _FINAL_CMS)


def sim_trouble(error: AtError) -> bool:
    """Whether the SIM has to be looked at before anything else is sent: absent, locked, broken."""
    return error.number in (_SIM_CMS if error.kind == "cms" else _SIM_CME if error.kind == "cme" else ())
