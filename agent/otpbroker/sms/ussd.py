"""USSD strings as `AT+CUSD` takes and gives them: 3GPP TS 27.007 section 7.15, 23.038 sections 5 and 6.1.2.3.

The standard has one way to write them for each character set of the terminal; modems have four, and few say which.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from operator import itemgetter

from otpbroker.sms import gsm7
from otpbroker.sms.data_coding import Alphabet

LONGEST = 182  # septets in the 160 octets of a USSD string (23.038 section 6.1.2.3)
ANY_LANGUAGE = 15  # <dcs>: the default alphabet, language not specified

# What is asked; and what is replied, of the characters that the default alphabet and ASCII write alike: a plain
# string is in the one or the other.
CODE = re.compile(r"[0-9*#+]{1,160}")
REPLY = re.compile(r"[A-Za-z0-9 !#%&'()*+,./:;<=>?-]{1,160}")

_CR = 0x0D
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_TOKEN = 16  # hexadecimal digits; a word for people that looks like so many is unheard of
_SHORTEST = 8  # hexadecimal digits of the shortest text; what is shorter is a word or a number itself
_LIKELY = 0.8  # share of ordinary characters from which on a reading is believed
_ONE_SCRIPT = 0.9  # how likely 16-bit units are that are letters of one script besides ASCII
_ORDINARY = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 \r\n.,:;!?*#/+-=()%&'\"@$_<>")


class Writing(StrEnum):
    """How a string is written between the quotes."""

    PLAIN = "plain"  # its characters
    PACKED = "packed"  # hexadecimal of the packed septets, as they go over the air
    UCS2 = "ucs2"  # hexadecimal of 16-bit units, as under AT+CSCS="UCS2"


@dataclass(frozen=True, slots=True)
class UssdAnswer:
    """What the network said; `raw` is the modem's line. `expires_in`: seconds in which a reply is waited for."""

    text: str = field(repr=False)
    raw: str = field(repr=False)
    expires_in: float | None = None

    @property
    def replyable(self) -> bool:
        return self.expires_in is not None


def write(text: str, writing: Writing) -> str:
    """The string parameter for a text; raises `gsm7.UnencodableText` where it is packed."""
    match writing:
        case Writing.PLAIN:
            return text
        case Writing.PACKED:
            return pack(gsm7.encode(text)).hex().upper()
        case Writing.UCS2:
            return text.encode("utf-16-be").hex().upper()


def read(given: str, dcs: int | None, asked: Writing = Writing.PLAIN) -> str:
    """The text of a string that a modem gave; `asked` is how this modem wants what is written to it.

    Never raises: what makes no sense in any way is taken for plain text.
    """
    alphabet, language_first = alphabet_of(ANY_LANGUAGE if dcs is None else dcs)
    text = _read(given, alphabet, language_first, asked)
    return re.sub(r"\r\n?", "\n", text).replace("\0", "").rstrip()


def pack(septets: bytes) -> bytes:
    """Packed, with a carriage return where the spare bits would pass for an `@` or a final one for padding."""
    if len(septets) % 8 == 7 or (septets and len(septets) % 8 == 0 and septets[-1] == _CR):
        septets += bytes((_CR,))
    return gsm7.pack(septets)


def unpack(octets: bytes) -> bytes:
    """The septets; a final carriage return that ends on an octet's border is padding. At most 256 of them."""
    count = 8 * len(octets) // 7
    septets = gsm7.unpack(octets, count)
    return septets[:-1] if count and count % 8 == 0 and septets[-1] == _CR else septets


def alphabet_of(dcs: int) -> tuple[Alphabet, bool]:
    """The alphabet of a cell broadcast data coding scheme, and whether the text begins with its language.

    Reserved codings are the default alphabet (23.038 section 5).
    """
    match dcs >> 4:
        case 1 if dcs in {0x10, 0x11}:
            return (Alphabet.UCS2 if dcs & 1 else Alphabet.GSM7), True
        case 4 | 5 | 6 | 7 | 9:
            return (Alphabet.GSM7, Alphabet.OCTETS, Alphabet.UCS2, Alphabet.GSM7)[dcs >> 2 & 3], False
        case 0xF:
            return (Alphabet.OCTETS if dcs & 4 else Alphabet.GSM7), False
    return Alphabet.GSM7, False


def _read(given: str, alphabet: Alphabet, language_first: bool, asked: Writing) -> str:
    if _HEX.fullmatch(given) is None:
        return _without_language(given) if language_first and alphabet is Alphabet.GSM7 else given
    octets = bytes.fromhex(given)
    match alphabet:
        case Alphabet.UCS2:
            return _units(octets[2:] if language_first else octets)
        case Alphabet.OCTETS:
            return _units(octets) if _looks_like_units(octets) else _characters(octets)
    text = _likeliest(given, octets, asked)
    return _without_language(text) if language_first else text


def _without_language(text: str) -> str:
    """Two letters and a carriage return before the text (23.038 section 5, coding group 0001)."""
    return re.sub(r"^[A-Za-z]{2}[\r\n]", "", text)


def _likeliest(given: str, octets: bytes, asked: Writing) -> str:
    """Hexadecimal digits that are said to be of the default alphabet: which of all readings they are."""
    if _looks_like_units(octets):
        return _units(octets)
    bare = len(given) < _SHORTEST or given.isdecimal() or given.isalpha()  # an amount, a number, a word
    if bare and asked is not Writing.PACKED:
        return given
    readings = tuple(_readings(octets))
    likelihood, best = max(readings, key=itemgetter(0), default=(0.0, ""))
    if likelihood >= _LIKELY:
        return best
    if readings and not bare and (asked is Writing.PACKED or len(given) >= _TOKEN):
        return readings[0][1]
    return given


def _readings(octets: bytes) -> Iterator[tuple[float, str]]:
    """Every reading with its likelihood, packed septets first."""
    if 8 * len(octets) // 7 <= 256:
        text = gsm7.decode(unpack(octets))
        yield _ordinary(text), text
    if octets.isascii():
        # Without control characters it is ASCII, else the "HEX" character set: an octet for each septet.
        text = _characters(octets) if min(octets) >= 0x0A else gsm7.decode(octets)
        yield _ordinary(text), text
    if len(octets) % 2 == 0 and len(set(octets[::2])) <= 3:
        text = _units(octets)
        if all(character.isalnum() or character in _ORDINARY for character in text):
            yield _ONE_SCRIPT, text


def _ordinary(text: str) -> float:
    """The share of characters that texts are mostly made of; letters with accents count half."""
    if not text:
        return 0.0
    weights = (1.0 if letter in _ORDINARY else 0.5 * (letter.isalpha() and letter < "\u0250") for letter in text)
    return sum(weights) / len(text)


def _looks_like_units(octets: bytes) -> bool:
    """Whether most 16-bit units are Latin letters, which as anything else would be every second octet zero."""
    if len(octets) % 2 or not octets:
        return False
    text = _units(octets)
    latin = sum(character in _ORDINARY or "\xa0" <= character <= "\xff" for character in text)
    return latin >= _LIKELY * len(text) and all(
        character.isprintable() or character in "\r\n" for character in text
    )


def _units(octets: bytes) -> str:
    return octets.decode("utf-16-be", "replace")


def _characters(octets: bytes) -> str:
    """8-bit data for people: UTF-8 if it can be."""
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("iso-8859-1")
