"""Amounts as Indonesian and English texts write them."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otpbroker.messaging.amount import amount, shown


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Rp 12.345", "12345"),
        ("Rp.12,345.00", "12345.00"),
        ("12345", "12345"),
        ("Rp12.345,50 s/d", "12345.50"),
        ("Rp 1.234.567", "1234567"),
        ("1,234,567.89", "1234567.89"),
        ("1.234.567,8", "1234567.8"),
        ("Rp 12.345,-", "12345"),
        ("Rp 12.345.", "12345"),
        ("Rp 5,", "5"),
        ("0", "0"),
        ("0.500", "0.500"),
        ("12.5", "12.5"),
        ("968.98 r.", "968.98"),
        ("12345,6", "12345.6"),
        ("12.34.56", "123456"),
        ("999", "999"),
    ],
)
def test_amounts(text: str, value: str) -> None:
    assert amount(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "Rp", "habis", ".,", "Rp ,-"])
def test_no_amount(text: str) -> None:
    assert amount(text) is None


@given(st.integers(0, 10**12), st.integers(0, 99), st.sampled_from(["{:,}", "{}"]))
def test_both_ways_of_writing_mean_the_same(whole: int, cents: int, form: str) -> None:
    english = f"{form.format(whole)}.{cents:02d}"
    indonesian = english.translate(str.maketrans(".,", ",."))
    assert amount(f"Rp {english}") == amount(f"Rp {indonesian}") == whole + Decimal(cents) / 100


@given(st.integers(0, 10**12))
def test_thousands_alone(whole: int) -> None:
    assert amount(f"{whole:,}") == amount(f"{whole:,}".replace(",", ".")) == amount(str(whole)) == whole


@pytest.mark.parametrize(("value", "text"), [("12345", "12345"), ("12345.00", "12345"), ("12.5", "12.50")])
def test_how_they_are_shown(value: str, text: str) -> None:
    assert shown(Decimal(value)) == text
