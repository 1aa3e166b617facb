"""Masking of what must not be read by others: numbers, secrets, texts."""

import logging
import re

_NUMBER = re.compile(r"\+?\d{7,15}(?!\d)")
_AT_TEXT = re.compile(r"(?:[0-9A-Fa-f]{2}){20,}")
_SECRET = re.compile(
    r"(?i)\b(password|passphrase|pin|secret|token|authorization|otp|message|text)\b(\s*[=:]\s*)\S+"
)


def mask_number(number: str) -> str:
    """`6281266666712` -> `62812XXXXXX12`: enough to tell the operator, too little to call.

    Up to seven characters keep their first two only.
    """
    if len(number) <= 7:
        return number[:2] + "X" * (len(number) - 2)
    return number[:5] + "X" * (len(number) - 7) + number[-2:]


def mask(line: str) -> str:
    """A log line with numbers masked, PDU-like hexadecimal and labelled secrets removed."""
    line = _SECRET.sub(r"\1\2[redacted]", line)
    line = _AT_TEXT.sub("[pdu]", line)
    return _NUMBER.sub(lambda found: mask_number(found.group()), line)


class RedactingFormatter(logging.Formatter):
    """The last guard of the log: whatever a call site let slip leaves it masked, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        return mask(super().format(record))
