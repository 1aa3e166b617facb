"""How a text becomes the parts of one message: the smallest alphabet that holds it, and where it is cut."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from otpbroker.sms import gsm7
from otpbroker.sms.data_coding import Alphabet

MAX_PARTS = 255

# Septets (3GPP TS 23.040 section 9.2.3.24: 140 octets, less 6 of concatenation header) and octets of UTF-16.
_SINGLE = {Alphabet.GSM7: 160, Alphabet.UCS2: 140}
_PART = {Alphabet.GSM7: 153, Alphabet.UCS2: 134}
_UNIT = {Alphabet.GSM7: 1, Alphabet.UCS2: 2}


class TextTooLong(ValueError):
    """The text needs more than the 255 parts that a message can have."""


@dataclass(frozen=True, slots=True)
class Measure:
    """What a text costs: `units` counts septets (GSM7) or 16-bit units (UCS2), without headers."""

    encoding: Alphabet
    parts: int
    units: int


@dataclass(frozen=True, slots=True)
class Segments:
    """A text in parts; each is one septet a byte (GSM7) or UTF-16BE (UCS2), never ending in half a character."""

    encoding: Alphabet
    parts: tuple[bytes, ...] = field(repr=False)


def measure(text: str) -> Measure:
    """The cost of a text, cheaply; what it accepts can be sent. Errors as of `segment`."""
    encoding, units = _encode(text)
    return Measure(encoding, sum(1 for _ in _cuts(encoding, units)), len(units) // _UNIT[encoding])


def segment(text: str) -> Segments:
    """At least one part. TextTooLong beyond 255 parts, UnencodableText for a text with half a surrogate pair."""
    encoding, units = _encode(text)
    return Segments(encoding, tuple(units[start:end] for start, end in _cuts(encoding, units)))


def _encode(text: str) -> tuple[Alphabet, bytes]:
    # Septets are never more than the 16-bit units of the same text, in bits, even if each one is escaped.
    try:
        return Alphabet.GSM7, gsm7.encode(text)
    except gsm7.UnencodableText:
        pass
    try:
        return Alphabet.UCS2, text.encode("utf-16-be")
    except UnicodeEncodeError:
        # The cause holds the text and must not travel with the error.
        raise gsm7.UnencodableText("the text holds half a surrogate pair") from None


def _cuts(encoding: Alphabet, units: bytes) -> Iterator[tuple[int, int]]:
    if len(units) <= _SINGLE[encoding]:
        yield 0, len(units)
        return
    start = parts = 0
    while start < len(units):
        if parts == MAX_PARTS:
            raise TextTooLong("the text needs more than 255 parts")
        end = min(start + _PART[encoding], len(units))
        if end < len(units) and _opens_pair(encoding, units, end):
            end -= _UNIT[encoding]
        yield start, end
        start, parts = end, parts + 1


def _opens_pair(encoding: Alphabet, units: bytes, end: int) -> bool:
    """The unit before `end` is an escape or a high surrogate, which means nothing without the next one."""
    if encoding is Alphabet.GSM7:
        return units[end - 1] == gsm7.ESC
    return 0xD8 <= units[end - 2] <= 0xDB
