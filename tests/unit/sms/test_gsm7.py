"""The GSM 7 bit default alphabet and its packing."""

import pytest
from gsm0338 import SINGLE_SHIFT_CHARACTER_SET_SPANISH, Codec
from hypothesis import given, settings
from hypothesis import strategies as st

from otpbroker.sms import gsm7, national

ORACLE = Codec()
ALPHABET = [chr(code) for code in range(0x10000) if chr(code) in (*gsm7.BASIC, *gsm7.EXTENSION.values())]
ALPHABET.remove("\x1b")

gsm_texts = st.text(st.sampled_from(ALPHABET), max_size=200)
septet_runs = st.binary(max_size=160).map(lambda octets: bytes(octet & 0x7F for octet in octets))
quick = settings(deadline=None)


def spelled_out(septets: bytes, fill_bits: int) -> bytes:
    """Packing as 23.038 section 6.1.2.1 draws it: bit after bit, the lowest first."""
    bits = [0] * fill_bits + [septet >> bit & 1 for septet in septets for bit in range(7)]
    bits += [0] * (-len(bits) % 8)
    return bytes(sum(bit << place for place, bit in enumerate(bits[at : at + 8])) for at in range(0, len(bits), 8))


@given(st.characters(exclude_characters="\x1b"))
@settings(deadline=None, max_examples=500)
def test_a_character_is_encoded_as_another_implementation_does(character: str) -> None:
    try:
        expected, _ = ORACLE.encode(character)
    except UnicodeEncodeError:
        assert not gsm7.encodable(character)
    else:
        assert gsm7.encode(character) == expected


def test_the_whole_alphabet_is_the_one_of_another_implementation() -> None:
    assert len(ALPHABET) == 127 + 10
    for character in ALPHABET:
        assert gsm7.encode(character) == ORACLE.encode(character)[0]


@given(gsm_texts)
@quick
def test_text_comes_back(text: str) -> None:
    assert gsm7.encodable(text)
    assert gsm7.decode(gsm7.encode(text)) == text


@pytest.mark.parametrize("text", ["`", "ç", "\x1b", "\x00", "ё", "😀", "ok but \u2019curly", "\ud800", "\xff"])
def test_what_the_alphabet_lacks_is_refused_without_telling_the_text(text: str) -> None:
    assert not gsm7.encodable(text)
    with pytest.raises(gsm7.UnencodableText) as error:
        gsm7.encode(text)
    assert text not in str(error.value)
    assert error.value.__suppress_context__


@pytest.mark.parametrize(
    ("septets", "text"),
    [
        (b"\x1b", " "),  # nothing follows
        (b"a\x1b", "a "),
        (b"\x1b\x1b", " "),  # reserved for a further extension table (6.2.1.1 note 1)
        (b"\x1b\x1be", " e"),
        (b"\x1b\x1b\x1be", " €"),
        (b"\x1bA", "A"),  # not in the extension table: the default one
        (b"\x1b\x00", "@"),
        (b"\x1b\x0d", "\r"),
        (b"\x1b\x0a", "\f"),
        (b"\x1b<\x1b>", "[]"),
    ],
)
def test_escapes_that_lead_elsewhere_or_nowhere(septets: bytes, text: str) -> None:
    assert gsm7.decode(septets) == text


@given(septet_runs)
@quick
def test_any_septets_decode_to_at_most_as_many_characters(septets: bytes) -> None:
    assert len(gsm7.decode(septets)) <= len(septets)


@given(septet_runs, st.integers(0, 6))
@quick
def test_packing_is_the_drawing_of_the_specification(septets: bytes, fill_bits: int) -> None:
    packed = gsm7.pack(septets, fill_bits)
    assert packed == spelled_out(septets, fill_bits)
    assert gsm7.unpack(packed, len(septets), fill_bits) == septets


@given(st.integers(0, 22))
@quick
def test_seven_spare_bits_do_not_become_a_character(eighths: int) -> None:
    septets = b"\x7f" * (8 * eighths + 7)
    packed = gsm7.pack(septets)
    assert packed[-1] == 0x01  # the last bit of the last septet, then padding
    assert gsm7.unpack(packed, len(septets)) == septets


def test_fewer_septets_than_promised_are_refused() -> None:
    with pytest.raises(ValueError, match="fewer septets"):
        gsm7.unpack(b"\xff", 2)
    with pytest.raises(ValueError, match="more septets"):
        gsm7.pack(bytes(257))


def test_the_spanish_table_is_the_one_of_another_implementation() -> None:
    oracle = Codec(single_shift_decode_map=SINGLE_SHIFT_CHARACTER_SET_SPANISH)
    for septet in national.SINGLE_SHIFT[national.SPANISH]:
        escaped = bytes((gsm7.ESC, septet))
        expected, _ = oracle.decode(escaped)
        assert gsm7.decode(escaped, extension=national.SINGLE_SHIFT[national.SPANISH]) == expected
