"""TP-VP: the time for which the network tries."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otpbroker.sms.octets import Octets
from otpbroker.sms.validity import ValidityFormat, decode_validity, validity_octet

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def seconds(octet: int) -> float:
    value = decode_validity(Octets(bytes((octet,))), ValidityFormat.RELATIVE)
    assert isinstance(value, float)
    return value


@pytest.mark.parametrize(
    ("life", "octet"),
    [
        (-1, 0),
        (0, 0),
        (299, 0),
        (300, 0),
        (599, 0),
        (600, 1),
        (12 * HOUR, 143),
        (12.5 * HOUR, 144),
        (24 * HOUR, 167),
        (47 * HOUR, 167),
        (2 * DAY, 168),
        (30 * DAY, 196),
        (34 * DAY, 196),
        (35 * DAY, 197),
        (441 * DAY, 255),
        (1e9, 255),
        (float("inf"), 255),
    ],
)
def test_lives(life: float, octet: int) -> None:
    assert validity_octet(life) == octet


@given(st.floats(300, 60 * 7 * DAY))
@settings(deadline=None)
def test_the_longest_period_that_is_not_longer_than_the_life(life: float) -> None:
    octet = validity_octet(life)
    assert seconds(octet) <= life < seconds(octet + 1)


def test_periods_of_the_specification() -> None:
    assert [seconds(octet) for octet in (0, 11, 143, 144, 167, 168, 196, 197, 255)] == [
        5 * MINUTE,
        HOUR,
        12 * HOUR,
        12.5 * HOUR,
        DAY,
        2 * DAY,
        30 * DAY,
        35 * DAY,
        441 * DAY,
    ]


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        ("00000000000000", None),
        ("010B0000000000", HOUR),
        ("022D0000000000", 45.0),
        ("03215443000000", 12 * HOUR + 45 * MINUTE + 34),
        ("41000000000000", 5 * MINUTE),  # single shot
        ("07000000000000", None),  # reserved
        ("81000000000000", None),  # extended
    ],
)
def test_the_enhanced_format(octets: str, expected: float | None) -> None:
    assert decode_validity(Octets(bytes.fromhex(octets)), ValidityFormat.ENHANCED) == expected


def test_absent_and_absolute() -> None:
    assert decode_validity(Octets(b""), ValidityFormat.ABSENT) is None
    absolute = decode_validity(Octets(bytes.fromhex("62112241300000")), ValidityFormat.ABSOLUTE)
    assert absolute == datetime(2026, 11, 22, 14, 3, tzinfo=UTC)
