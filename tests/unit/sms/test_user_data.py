"""User data with its header."""

import pytest

from otpbroker.sms import gsm7
from otpbroker.sms.data_coding import Alphabet
from otpbroker.sms.octets import Octets, PduError
from otpbroker.sms.user_data import (
    Concatenation,
    InformationElement,
    UserData,
    decode_user_data,
    encode_user_data,
    join_texts,
)


def gsm(septets: bytes, *header: InformationElement) -> UserData:
    return UserData(Alphabet.GSM7, septets, header)


def concatenated(*elements: tuple[int, str]) -> Concatenation | None:
    return gsm(
        b"", *(InformationElement(identifier, bytes.fromhex(data)) for identifier, data in elements)
    ).concatenation


@pytest.mark.parametrize("header_octets", range(3, 12))
def test_text_begins_on_a_septet_boundary_after_any_header(header_octets: int) -> None:
    element = InformationElement(0x70, bytes(header_octets - 3))
    user_data = gsm(b"seven-bit", element)
    octets = encode_user_data(user_data)
    assert octets[0] == -(-8 * header_octets // 7) + 9  # TP-UDL counts header and fill bits as septets
    assert decode_user_data(Octets(octets), Alphabet.GSM7, has_header=True) == user_data


def test_140_octets_are_the_most() -> None:
    assert len(encode_user_data(gsm(bytes(160)))) == 141
    assert len(encode_user_data(gsm(bytes(153), InformationElement(0, bytes(3))))) == 141
    for user_data in (
        gsm(bytes(161)),
        gsm(bytes(154), InformationElement(0, bytes(3))),
        UserData(Alphabet.UCS2, bytes(142)),
    ):
        with pytest.raises(ValueError, match="140 octets"):
            encode_user_data(user_data)


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ([(0x00, "4C0201")], Concatenation(0x4C, 2, 1)),
        ([(0x08, "010C0303")], Concatenation(0x010C, 3, 3)),
        ([(0x00, "4C0101")], Concatenation(0x4C, 1, 1)),
        ([(0x04, "2345"), (0x00, "4C0202")], Concatenation(0x4C, 2, 2)),
        ([(0x00, "010201"), (0x00, "020202")], Concatenation(2, 2, 2)),  # the last one counts
        ([(0x00, "4C0001")], None),
        ([(0x00, "4C0200")], None),
        ([(0x00, "4C0203")], None),
        ([(0x08, "010C0304")], None),
        ([(0x00, "4C02")], None),
        ([(0x08, "010C03")], None),
        ([], None),
    ],
)
def test_concatenation(elements: list[tuple[int, str]], expected: Concatenation | None) -> None:
    assert concatenated(*elements) == expected


def test_national_tables_named_in_the_header() -> None:
    turkish_single, turkish_locking = InformationElement(0x24, b"\x01"), InformationElement(0x25, b"\x01")
    assert gsm(b"\x1bS\x1be", turkish_single).text == "Ş€"
    assert gsm(b"\x0b\x1c\x1bg", turkish_locking).text == "ĞŞg"
    assert gsm(b"\x0b\x1bg", turkish_single, turkish_locking).text == "Ğğ"
    assert not gsm(b"", turkish_single, turkish_locking).approximate


@pytest.mark.parametrize(("identifier", "language"), [(0x24, 6), (0x25, 2), (0x25, 13)])
def test_a_table_that_is_not_known_is_marked(identifier: int, language: int) -> None:
    user_data = gsm(b"abc", InformationElement(identifier, bytes((language,))))
    assert user_data.approximate
    assert user_data.text == "abc"


def test_pairs_cut_between_parts_are_joined() -> None:
    assert join_texts([gsm(b"price \x1b"), gsm(b"e5")]) == "price €5"
    smile = "😀".encode("utf-16-be")
    assert join_texts([UserData(Alphabet.UCS2, smile[:2]), UserData(Alphabet.UCS2, smile[2:])]) == "😀"


def test_parts_of_different_alphabets_are_joined() -> None:
    assert join_texts([gsm(gsm7.encode("a€")), UserData(Alphabet.UCS2, "ж".encode("utf-16-be"))]) == "a€ж"


@pytest.mark.parametrize("octets", ["d83d", "de000041", "00410042ff"])
def test_half_a_character_is_shown_as_replaced(octets: str) -> None:
    text = UserData(Alphabet.UCS2, bytes.fromhex(octets)).text
    assert "\ufffd" in text
    text.encode()  # no lone surrogate gets further


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        ("", "TP-UDL: 1 octet"),
        ("A1" + "00" * 141, "TP-UDL: more than 140 octets"),
        ("0AE8329BFD4697D9EC", "TP-UD: 1 octet"),
        ("0707000301020100", "TP-UDH"),  # UDHL beyond the user data
        ("0705000401020100", "TP-UDH"),  # element beyond the header
        ("0706000301020100", "TP-UDH"),  # half an element
        ("00", "TP-UDHL"),
        ("0100", "TP-UDL: shorter than the header"),
    ],
)
def test_broken_user_data_is_named(octets: str, reason: str) -> None:
    with pytest.raises(PduError, match=reason):
        decode_user_data(
            Octets(bytes.fromhex(octets)), Alphabet.GSM7, has_header=octets[:2] not in {"A1", "0A", ""}
        )


def test_octets_after_the_user_data_are_ignored() -> None:
    assert decode_user_data(Octets(b"\x01\x61\xff\xff"), Alphabet.GSM7, has_header=False) == gsm(b"a")


def test_the_content_is_not_in_the_representation() -> None:
    assert "secret" not in repr(gsm(b"secret", InformationElement(0x70, b"secret")))
