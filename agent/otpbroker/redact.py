"""Masking of what must not be read by others: numbers, secrets, texts."""

import logging
import re

_NUMBER = re.compile(r"\+?\d{7,15}(?!\d)")
_AT_TEXT = re.compile(r"(?:[0-9A-Fa-f]{2}){14,}")  # the shortest SMS-SUBMIT to a mobile number has 16 octets

# A label as `key=`, `key: `, `"key": ` or `'key': `; after a dot it is the name of a setting or of a logger.
_LABELLED = r"(?i)(?<![\w.])((?:\w+_)?(?:%s)\\?[\"']?\s*[=:]\s*)"
_QUOTED = r"\"(?:[^\"\\]|\\.)*\"?|'(?:[^'\\]|\\.)*'?"
_SECRET = re.compile(
    _LABELLED % "password|passphrase|pin|secret|token|authorization|otp"
    + rf"(?:{_QUOTED}|(?:basic|bearer)\s+\S+|\S+)"
)
_TEXT = re.compile(_LABELLED % "message|text" + rf"(?:{_QUOTED}|.+)")
_AT_SECRET = re.compile(r"(?i)(\+C(?:PIN|LCK|PWD)=)\S+")


def mask_number(number: str) -> str:
    """`6281266666712` -> `62812XXXXXX12`: enough to tell the operator, too little to call.

    Up to seven characters keep their first two only.
    """
    if len(number) <= 7:
        return number[:2] + "X" * (len(number) - 2)
    return number[:5] + "X" * (len(number) - 7) + number[-2:]


def mask(line: str) -> str:
    """A log line with numbers masked, PDU-like hexadecimal and labelled secrets removed."""
    for labelled in (_SECRET, _TEXT, _AT_SECRET):
        line = labelled.sub(r"\1[redacted]", line)
    line = _AT_TEXT.sub("[pdu]", line)
    return _NUMBER.sub(lambda found: mask_number(found.group()), line)


class RedactingFormatter(logging.Formatter):
    """The last guard of the log: whatever a call site let slip leaves it masked, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        return mask(super().format(record))
