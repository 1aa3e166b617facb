"""Time stamps of a service centre: TP-SCTS and its like (3GPP TS 23.040 section 9.2.3.11)."""

from datetime import datetime, timedelta, timezone

from otpbroker.sms.octets import Octets

_QUARTER = timedelta(minutes=15)
_NEGATIVE = 0x08


def encode_timestamp(time: datetime) -> bytes:
    """Seven octets in local time of the (aware) `time`, its offset from GMT in whole quarters of an hour."""
    offset = time.utcoffset()
    if offset is None:
        raise ValueError("a time stamp needs a time zone")
    quarters = abs(offset) // _QUARTER
    zone = _swapped(quarters) | (_NEGATIVE if offset < timedelta() else 0)
    fields = (time.year % 100, time.month, time.day, time.hour, time.minute, time.second)
    return bytes((*map(_swapped, fields), zone))


def decode_timestamp(octets: Octets, name: str) -> datetime | None:
    """None when the seven octets are no date: some service centres have no clock, and their messages count."""
    *fields, zone = octets.take(7, name)
    try:
        year, month, day, hour, minute, second = map(_number, fields)
        offset = _number(zone & ~_NEGATIVE) * _QUARTER
        tz = timezone(-offset if zone & _NEGATIVE else offset)
        # Two digits of the year: GSM has none before 1990.
        return datetime(year + (1900 if year >= 90 else 2000), month, day, hour, minute, second, tzinfo=tz)
    except ValueError:
        return None


def _swapped(number: int) -> int:
    tens, units = divmod(number, 10)
    return units << 4 | tens


def _number(octet: int) -> int:
    tens, units = octet & 0xF, octet >> 4
    if tens > 9 or units > 9:
        raise ValueError("no decimal digit")
    return 10 * tens + units
