"""TP-VP: how long the service centre keeps trying (3GPP TS 23.040 section 9.2.3.12). Periods are in seconds."""

from bisect import bisect_right
from datetime import datetime
from enum import IntEnum

from otpbroker.sms.octets import Octets
from otpbroker.sms.timestamp import decode_timestamp

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0


class ValidityFormat(IntEnum):
    """TP-VPF, section 9.2.3.3."""

    ABSENT = 0
    ENHANCED = 1
    RELATIVE = 2
    ABSOLUTE = 3


def _period(octet: int) -> float:
    if octet <= 143:
        return (octet + 1) * 5 * _MINUTE
    if octet <= 167:
        return 12 * _HOUR + (octet - 143) * 30 * _MINUTE
    if octet <= 196:
        return (octet - 166) * _DAY
    return (octet - 192) * 7 * _DAY


_PERIODS = tuple(map(_period, range(256)))


def validity_octet(life: float) -> int:
    """The longest relative period that is not longer than `life` seconds, yet never less than its 5 minutes."""
    return max(0, bisect_right(_PERIODS, life) - 1)


def decode_validity(octets: Octets, vp_format: ValidityFormat) -> float | datetime | None:
    """Seconds, a point in time, or None when absent or not readable as one."""
    match vp_format:
        case ValidityFormat.ABSENT:
            return None
        case ValidityFormat.RELATIVE:
            return _PERIODS[octets.octet("TP-VP")]
        case ValidityFormat.ABSOLUTE:
            return decode_timestamp(octets, "TP-VP")
        case ValidityFormat.ENHANCED:
            return _enhanced(octets.take(7, "TP-VP"))


def _enhanced(field: bytes) -> float | None:
    """Section 9.2.3.12.3; None for the formats that are reserved or extended."""
    match field[0] & 0x87:
        case 1:
            return _PERIODS[field[1]]
        case 2:
            return float(field[1])
        case 3:
            hours, minutes, seconds = (10 * (octet & 0xF) + (octet >> 4) for octet in field[1:4])
            return hours * _HOUR + minutes * _MINUTE + seconds
        case _:
            return None
