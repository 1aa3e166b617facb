"""The GSM 7 bit default alphabet (3GPP TS 23.038 section 6.2.1) and its packing (6.1.2.1).

A septet is held as one byte of a `bytes`, 0-127; packed octets are what a PDU carries.
"""

import re
from collections.abc import Mapping

ESC = 0x1B

BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅå"
    "Δ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ"
    " !\"#¤%&'()*+,-./"
    "0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNO"
    "PQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmno"
    "pqrstuvwxyzäöñüà"
)

# Section 6.2.1.1: reached by ESC, so each of them costs two septets.
EXTENSION = {
    0x0A: "\f",
    0x14: "^",
    0x28: "{",
    0x29: "}",
    0x2F: "\\",
    0x3C: "[",
    0x3D: "~",
    0x3E: "]",
    0x40: "|",
    0x65: "€",
}


_ESCAPED = re.compile(rb"\x1b(.?)", re.DOTALL)


class UnencodableText(ValueError):
    """The text holds what the wanted alphabet cannot express."""


class _Encoding(dict[int, str]):
    """For `str.translate`: characters to septets; any other one to a mark that is no septet."""

    def __missing__(self, _: int) -> str:
        return "\xff"


_ENCODING = _Encoding(
    {ord(character): chr(septet) for septet, character in enumerate(BASIC) if septet != ESC}
    | {ord(character): chr(ESC) + chr(septet) for septet, character in EXTENSION.items()}
)


def encodable(text: str) -> bool:
    return text.translate(_ENCODING).isascii()


def encode(text: str) -> bytes:
    """Text to septets, escape pairs included; UnencodableText for a character of neither table."""
    try:
        return text.translate(_ENCODING).encode("ascii")
    except UnicodeEncodeError:
        # The cause holds the text and must not travel with the error.
        raise UnencodableText("a character is not in the GSM 7 bit default alphabet") from None


def decode(septets: bytes, basic: str = BASIC, extension: Mapping[int, str] = EXTENSION) -> str:
    """Septets to text; `basic` and `extension` may be national tables (section 6.2.1.2).

    An escape that leads nowhere is a space (6.2.1 note 1, 6.2.1.1 note 1); an escape to a code that the
    extension table lacks gives the character of the basic table.
    """
    plain_and_codes = _ESCAPED.split(septets)
    return "".join(
        _extended(part, basic, extension) if position % 2 else part.decode("ascii").translate(basic)
        for position, part in enumerate(plain_and_codes)
    )


def _extended(code: bytes, basic: str, extension: Mapping[int, str]) -> str:
    if not code or code[0] == ESC:
        return " "
    return extension.get(code[0], basic[code[0]])


# Packing works on all septets at once. They are the fields of one little-endian number: fields of 7 bits in 8
# become 14 in 16, 28 in 32, 56 in 64 by closing the gap between neighbours; then each eighth octet is empty.
_LIMIT = 256


def _close_gap(bits: int, lane: int) -> tuple[int, int, int]:
    """The even fields, the odd fields, and the gap between them: `bits` used in each `lane`."""
    even = int.from_bytes(((1 << bits) - 1).to_bytes(lane // 4, "little") * (_LIMIT * 4 // lane), "little")
    return even, even << lane, lane - bits


_STEPS = (_close_gap(7, 8), _close_gap(14, 16), _close_gap(28, 32))


def pack(septets: bytes, fill_bits: int = 0) -> bytes:
    """Septets to octets, after `fill_bits` (0-6) zero bits; the spare bits at the end are zero too.

    At most 256 septets, a TP-UD holds 160.
    """
    if len(septets) > _LIMIT:
        raise ValueError("more septets than a PDU can hold")
    number = int.from_bytes(septets, "little")
    for even, odd, gap in _STEPS:
        number = number & even | (number & odd) >> gap
    octets = bytearray(number.to_bytes(len(septets) + 7 & ~7, "little"))
    del octets[7::8]
    size = (7 * len(septets) + fill_bits + 7) // 8
    return (int.from_bytes(octets, "little") << fill_bits).to_bytes(size, "little")


def unpack(octets: bytes, count: int, fill_bits: int = 0) -> bytes:
    """The `count` septets (at most 256) that follow `fill_bits` bits; ValueError when there are fewer."""
    if count > _LIMIT or 7 * count + fill_bits > 8 * len(octets):
        raise ValueError("fewer septets than promised")
    bits = int.from_bytes(octets, "little") >> fill_bits
    groups = (count + 7) // 8
    packed = (bits & (1 << 7 * count) - 1).to_bytes(7 * groups, "little")
    lanes = bytearray(8 * groups)
    for position in range(7):
        lanes[position::8] = packed[position::7]
    number = int.from_bytes(lanes, "little")
    for even, odd, gap in reversed(_STEPS):
        number = number & even | number << gap & odd
    return number.to_bytes(8 * groups, "little")[:count]
