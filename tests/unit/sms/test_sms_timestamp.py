"""Time stamps of a service centre."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otpbroker.sms.octets import Octets
from otpbroker.sms.timestamp import decode_timestamp, encode_timestamp

zones = st.integers(-79, 79).map(lambda quarters: timezone(quarters * timedelta(minutes=15)))
times = st.datetimes(datetime(1990, 1, 1), datetime(2089, 12, 31), timezones=zones)  # noqa: DTZ001 (hypothesis wants naive limits)


@given(times)
@settings(deadline=None)
def test_any_second_in_any_quarter_hour_zone_comes_back(time: datetime) -> None:
    decoded = decode_timestamp(Octets(encode_timestamp(time)), "TP-SCTS")
    assert decoded == time.replace(microsecond=0)
    assert decoded is not None
    assert decoded.utcoffset() == time.utcoffset()


@pytest.mark.parametrize(
    ("octets", "offset"),
    [
        ("62112241300082", timedelta(hours=7)),
        ("62112241300029", -timedelta(hours=3)),
        ("62112241300000", timedelta()),
    ],
)
def test_zones(octets: str, offset: timedelta) -> None:
    expected = datetime(2026, 11, 22, 14, 3, 0, tzinfo=timezone(offset))
    assert decode_timestamp(Octets(bytes.fromhex(octets)), "TP-SCTS") == expected


def test_newfoundland_has_half_an_hour() -> None:
    time = datetime(2026, 11, 22, 14, 3, 0, tzinfo=timezone(-timedelta(hours=3, minutes=30)))
    assert encode_timestamp(time).hex().upper() == "62112241300049"


@pytest.mark.parametrize(
    "octets", ["00000000000000", "FFFFFFFFFFFFFF", "62112241300F00", "62FF2241300000", "621122413000FF"]
)
def test_what_is_no_date_is_none(octets: str) -> None:
    assert decode_timestamp(Octets(bytes.fromhex(octets)), "TP-SCTS") is None


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        encode_timestamp(datetime.now(UTC).replace(tzinfo=None))
