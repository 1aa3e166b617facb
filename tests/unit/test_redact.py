"""The last guard of the log."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otpbroker.redact import RedactingFormatter, mask, mask_number
from otpbroker.sms.submit import encode_submit


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
        ("Authorization: Basic c2hvcDpodW50ZXIy end", "Authorization: [redacted] end"),
        ('{"password": "hunter2 and more", "id": 7}', '{"password": [redacted], "id": 7}'),
        ("{'pin': '4711', 'id': 7}", "{'pin': [redacted], 'id': 7}"),
        ("SendSms(text='it is \\'1234\\'', id=7)", "SendSms(text=[redacted], id=7)"),
        ("text=Kode Anda 1234", "text=[redacted]"),
        ('{"message": "Kode \\"1234\\" Anda", "id": 7}', '{"message": [redacted], "id": 7}'),
        ("api_password=hunter2", "api_password=[redacted]"),
        ('AT+CPIN="4711"', "AT+CPIN=[redacted]"),
        ("+CPIN: READY", "+CPIN: READY"),
        ("modems.0.pin: a SIM PIN has 4 to 8 digits", "modems.0.pin: a SIM PIN has 4 to 8 digits"),
        ("otpbroker.messaging.otp: the secret text was sent", "otpbroker.messaging.otp: the secret text was sent"),
        ("pins and tokens: a message in a context", "pins and tokens: a message in a context"),
        ("AT 0011000B916407281553F80000AA0AE8329BFD4697D9EC37", "AT [pdu]"),
        ("modem-1 is ready on port 8889 in 12 s", "modem-1 is ready on port 8889 in 12 s"),
    ],
)
def test_a_line_loses_what_must_not_be_read_and_nothing_else(line: str, masked: str) -> None:
    assert mask(line) == masked


@given(
    text=st.text("0123456789ABCDEFabcdef", min_size=1, max_size=8),
    receiver=st.sampled_from(["62812345678", "6281234567890"]),
)
def test_no_pdu_passes_however_short_its_text(text: str, receiver: str) -> None:
    (pdu,) = encode_submit(receiver, text, reference=0, life=300)
    for written in (pdu, pdu.lower()):
        assert mask(f"> {written} <") == "> [pdu] <"


def test_tracebacks_are_masked_too() -> None:
    error = ValueError("to 6281266666712")
    record = logging.LogRecord("x", logging.ERROR, "", 0, "broke", (), (ValueError, error, None))
    line = RedactingFormatter("%(message)s").format(record)
    assert "6281266666712" not in line
    assert "62812XXXXXX12" in line
