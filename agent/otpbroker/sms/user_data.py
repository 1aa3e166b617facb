"""TP-UD: the text of one short message with its user data header (3GPP TS 23.040 section 9.2.3.24)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby

from otpbroker.sms import gsm7, national
from otpbroker.sms.data_coding import Alphabet
from otpbroker.sms.octets import Octets, PduError
from otpbroker.sms.segment import Segments

_MAX_OCTETS = 140

_CONCATENATION_8BIT = 0x00
_CONCATENATION_16BIT = 0x08
_SINGLE_SHIFT = 0x24
_LOCKING_SHIFT = 0x25


@dataclass(frozen=True, slots=True)
class InformationElement:
    identifier: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Concatenation:
    """Which part of which long message this is; `index` counts from 1 to `total`."""

    reference: int
    total: int
    index: int


@dataclass(frozen=True, slots=True)
class UserData:
    """`units` is the content without header: one septet a byte for GSM7, octets (UTF-16BE for UCS2) else."""

    alphabet: Alphabet
    units: bytes = field(repr=False)
    header: tuple[InformationElement, ...] = ()

    @property
    def concatenation(self) -> Concatenation | None:
        """None also when the numbers make no sense: then the message stands alone (9.2.3.24.1)."""
        data = self._element(_CONCATENATION_8BIT, 3) or self._element(_CONCATENATION_16BIT, 4)
        if data is None:
            return None
        *reference, total, index = data
        if not 1 <= index <= total:
            return None
        return Concatenation(int.from_bytes(reference, "big"), total, index)

    @property
    def text(self) -> str:
        return join_texts((self,))

    @property
    def approximate(self) -> bool:
        """The header names a national language table unknown here: some letters may be wrong."""
        single, locking = self.languages
        return single not in {0, *national.SINGLE_SHIFT} or locking not in {0, *national.LOCKING_SHIFT}

    @property
    def languages(self) -> tuple[int, int]:
        """National language identifiers of the single and the locking shift table; 0 is the default."""
        single, locking = self._element(_SINGLE_SHIFT, 1), self._element(_LOCKING_SHIFT, 1)
        return single[0] if single else 0, locking[0] if locking else 0

    def _element(self, identifier: int, size: int) -> bytes | None:
        """The data of an element; the last one counts when there are several (9.2.3.24)."""
        for element in reversed(self.header):
            if element.identifier == identifier and len(element.data) == size:
                return element.data
        return None


def part_of_text(segments: Segments, index: int, reference: int) -> UserData:
    """The user data of one part (from 1); the parts of a long message carry the 8-bit `reference`."""
    total = len(segments.parts)
    numbers = InformationElement(_CONCATENATION_8BIT, bytes((reference, total, index)))
    return UserData(segments.encoding, segments.parts[index - 1], (numbers,) if total > 1 else ())


def join_texts(parts: Iterable[UserData]) -> str:
    """The text of parts in their order, also where a sender cut an escape or surrogate pair between two."""
    return "".join(
        _decode(alphabet, b"".join(part.units for part in run), languages)
        for (alphabet, languages), run in groupby(parts, lambda part: (part.alphabet, part.languages))
    )


def encode_user_data(user_data: UserData) -> bytes:
    """TP-UDL and TP-UD; ValueError when it is more than 140 octets."""
    header = _encode_header(user_data.header)
    if user_data.alphabet is Alphabet.GSM7:
        header_septets, fill_bits = _header_septets(len(header))
        length = header_septets + len(user_data.units)
        content = gsm7.pack(user_data.units, fill_bits)
    else:
        length = len(header) + len(user_data.units)
        content = user_data.units
    if len(header) + len(content) > _MAX_OCTETS:
        raise ValueError("the user data is longer than 140 octets")
    return bytes((length,)) + header + content


def decode_user_data(octets: Octets, alphabet: Alphabet, *, has_header: bool) -> UserData:
    """What follows TP-UDL is ignored when there is more than it promises, PduError when less."""
    length = octets.octet("TP-UDL")
    size = (7 * length + 7) // 8 if alphabet is Alphabet.GSM7 else length
    if size > _MAX_OCTETS:
        raise PduError("TP-UDL: more than 140 octets")
    content = octets.take(size, "TP-UD")
    header, header_size = _decode_header(content) if has_header else ((), 0)
    content = content[header_size:]
    if alphabet is Alphabet.GSM7:
        header_septets, fill_bits = _header_septets(header_size)
        if header_septets > length:
            raise PduError("TP-UDL: shorter than the header")
        content = gsm7.unpack(content, length - header_septets, fill_bits)
    return UserData(alphabet, content, header)


def _header_septets(header_size: int) -> tuple[int, int]:
    """Septets that a header of so many octets takes, and the fill bits after it that make them whole."""
    fill_bits = -8 * header_size % 7
    return (8 * header_size + fill_bits) // 7, fill_bits


def _encode_header(header: tuple[InformationElement, ...]) -> bytes:
    if not header:
        return b""
    elements = b"".join(bytes((element.identifier, len(element.data))) + element.data for element in header)
    return bytes((len(elements),)) + elements


def _decode_header(content: bytes) -> tuple[tuple[InformationElement, ...], int]:
    """The elements, and the octets that they take with TP-UDHL."""
    octets = Octets(content)
    size = octets.octet("TP-UDHL")
    return tuple(_elements(Octets(octets.take(size, "TP-UDH")))), 1 + size


def _elements(octets: Octets) -> Iterator[InformationElement]:
    while not octets.at_end:
        identifier, size = octets.take(2, "TP-UDH")
        yield InformationElement(identifier, octets.take(size, "TP-UDH"))


def _decode(alphabet: Alphabet, units: bytes, languages: tuple[int, int]) -> str:
    match alphabet:
        case Alphabet.GSM7:
            single, locking = languages
            basic = national.LOCKING_SHIFT.get(locking, gsm7.BASIC)
            return gsm7.decode(units, basic, national.SINGLE_SHIFT.get(single, gsm7.EXTENSION))
        case Alphabet.UCS2:
            return units.decode("utf-16-be", "replace")
        case Alphabet.OCTETS:  # data of no alphabet: one character an octet loses nothing
            return units.decode("iso-8859-1")
