"""The last guard of the log."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otpbroker.redact import RedactingFormatter, mask, mask_number


@pytest.mark.parametrize(
    ("number", "masked"),
    [("6281266666712", "62812XXXXXX12"), ("62812345", "62812X45"), ("6281234", "62XXXXX"), ("12", "12"), ("", "")],
)
def test_a_number_keeps_its_operator_and_its_end(number: str, masked: str) -> None:
    assert mask_number(number) == masked


@given(st.from_regex(r"\A[0-9]{7,15}\Z"))
def test_no_number_passes_whole(number: str) -> None:
    assert number not in mask(f"to {number} by modem-1")


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        ("sent to +6281266666712 at once", "sent to +6281XXXXXXX12 at once"),
        ("password=hunter2 given", "password=[redacted] given"),
        ("PIN: 4711", "PIN: [redacted]"),
        ("Authorization: Basic", "Authorization: [redacted]"),
        ("AT 0011000B916407281553F80000AA0AE8329BFD4697D9EC37", "AT [pdu]"),
        ("modem-1 is ready on port 8889 in 12 s", "modem-1 is ready on port 8889 in 12 s"),
    ],
)
def test_a_line_loses_what_must_not_be_read_and_nothing_else(line: str, masked: str) -> None:
    assert mask(line) == masked


def test_tracebacks_are_masked_too() -> None:
    error = ValueError("to 6281266666712")
    record = logging.LogRecord("x", logging.ERROR, "", 0, "broke", (), (ValueError, error, None))
    line = RedactingFormatter("%(message)s").format(record)
    assert "6281266666712" not in line
    assert "62812XXXXXX12" in line
