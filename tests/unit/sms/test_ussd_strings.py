"""USSD strings: packing (3GPP TS 23.038 section 6.1.2.3), data coding schemes (section 5), telling them apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otpbroker.sms import gsm7
from otpbroker.sms.data_coding import Alphabet
from otpbroker.sms.ussd import LONGEST, Writing, alphabet_of, pack, read, unpack, write

SEPTETS = st.binary(max_size=LONGEST).map(lambda octets: bytes(octet & 0x7F for octet in octets))
CR = b"\r"

BALANCE = "Sisa pulsa Anda Rp 12.345 aktif s/d 31/12/2026"
MENU = "1. Cek Pulsa\n2. Paket\n99. Lainnya"
TEXTS = (BALANCE, MENU, "Maaf, layanan ini tidak tersedia", "Pulsa Rp0", "Halo", "Sisa 1234 menit", "*888#")


@pytest.mark.parametrize(
    ("text", "packed"),
    [
        ("*100#", "AA180C3602"),  # as asterisk-chan-dongle's users send it to Huawei sticks
        ("*123#", "AA986C3602"),
        ("1", "31"),
        ("1234567", "31D98C56B3DD1A"),  # seven septets: seven bits are left, and a carriage return fills them
        ("12345678", "31D98C56B3DD70"),
        ("hellohello", "E8329BFD4697D9EC37"),
    ],
)
def test_packing_vectors(text: str, packed: str) -> None:
    assert write(text, Writing.PACKED) == packed
    assert gsm7.decode(unpack(bytes.fromhex(packed))) == text


def test_seven_spare_bits_are_a_carriage_return_and_not_an_at_sign() -> None:
    assert gsm7.unpack(pack(b"1234567"), 8) == b"1234567\r"
    assert unpack(pack(b"1234567")) == b"1234567"


def test_a_wanted_carriage_return_on_the_border_is_written_twice() -> None:
    assert unpack(pack(b"1234567\r")) == b"1234567\r\r"  # "the receiving entity will perform it twice"


@given(SEPTETS)
def test_what_is_packed_comes_back(septets: bytes) -> None:
    doubled = len(septets) % 8 == 0 and septets.endswith(CR)
    assert unpack(pack(septets)) == septets + (CR if doubled else b"")


@given(SEPTETS)
def test_packing_adds_at_most_one_septet(septets: bytes) -> None:
    assert len(pack(septets)) in {(7 * len(septets) + 7) // 8, (7 * (len(septets) + 1) + 7) // 8}


@pytest.mark.parametrize(
    ("dcs", "alphabet"),
    [
        (0x00, Alphabet.GSM7),  # German
        (0x0F, Alphabet.GSM7),  # language not specified
        (0x24, Alphabet.GSM7),  # reserved
        (0x44, Alphabet.OCTETS),
        (0x48, Alphabet.UCS2),
        (0x4C, Alphabet.GSM7),  # reserved
        (0x58, Alphabet.UCS2),  # with a class
        (0x80, Alphabet.GSM7),  # reserved
        (0x94, Alphabet.OCTETS),  # with a user data header
        (0xD0, Alphabet.GSM7),
        (0xF0, Alphabet.GSM7),
        (0xF4, Alphabet.OCTETS),
    ],
)
def test_data_coding_schemes_of_cell_broadcast(dcs: int, alphabet: Alphabet) -> None:
    assert alphabet_of(dcs) == (alphabet, False)


def test_texts_that_begin_with_their_language() -> None:
    assert read("id\rSaldo Rp 5", 0x10) == "Saldo Rp 5"
    assert read(write("id\rSaldo Rp 5", Writing.PACKED), 0x10) == "Saldo Rp 5"
    assert read("6934" + write("Сальдо", Writing.UCS2), 0x11) == "Сальдо"


@pytest.mark.parametrize("dcs", [15, 0, None, 0xF0])
@pytest.mark.parametrize("asked", Writing)
@pytest.mark.parametrize("given", Writing)
@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_read_however_the_modem_writes_it(
    text: str, given: Writing, asked: Writing, dcs: int | None
) -> None:
    assert read(write(text, given), dcs, asked) == text
    assert read(write(text, given).lower() if given is not Writing.PLAIN else text, dcs, asked) == text


@pytest.mark.parametrize("text", TEXTS)
def test_hexadecimal_of_ascii(text: str) -> None:
    assert read(text.encode().hex().upper(), 68) == text
    assert read(text.encode().hex().upper(), 15, Writing.PACKED) == text or text == "Halo"


def test_hexadecimal_of_single_septets_as_under_the_character_set_hex() -> None:
    assert read("53616C646F2002313030", 15) == "Saldo $100"


@pytest.mark.parametrize(
    ("text", "dcs"),
    [
        ("Сальдо: 100 руб.", 72),
        ("Сальдо: 100 руб.", 15),  # said to be of the default alphabet, which it can't be
        ("餘額 100 元", 72),
        ("Hugi keret: 300Ft. Felt\u00f6lt\u00f6tt egyenleg", 15),  # gammu issue 358
        ("5000", 72),
    ],
)
def test_sixteen_bit_units(text: str, dcs: int) -> None:
    assert read(write(text, Writing.UCS2), dcs) == text


def test_sixteen_bit_units_under_the_coding_of_octets() -> None:
    assert read(write(BALANCE, Writing.UCS2), 68) == BALANCE


@pytest.mark.parametrize(
    "plain", ["5000", "12345678", "081234567890", "ABBA", "FACE", "A1", "Rp 5", "0812-1", "", "DEADBEEF01"]
)
@pytest.mark.parametrize("dcs", [15, 0, None])
def test_numbers_and_words_that_could_be_hexadecimal_stay_what_they_are(plain: str, dcs: int | None) -> None:
    assert read(plain, dcs) == plain


def test_a_modem_that_decodes_by_itself_and_says_otherwise_is_believed_by_its_words() -> None:
    assert read("Saldo Rp 5", 72) == "Saldo Rp 5"
    assert read("Saldo Rp 5", 68) == "Saldo Rp 5"


def test_line_ends_and_padding_are_made_plain() -> None:
    assert read("1. A\r\n2. B\r", 15) == "1. A\n2. B"
    assert read(write("Saldo\r2. B", Writing.PACKED), 15) == "Saldo\n2. B"
    assert read("00410000", 72) == "A"


@given(st.text(), st.none() | st.integers(0, 255), st.sampled_from(Writing))
def test_whatever_a_modem_says_is_read_without_an_error(given: str, dcs: int | None, asked: Writing) -> None:
    read(given, dcs, asked)


@given(st.text("0123456789ABCDEF", max_size=900), st.none() | st.integers(0, 255), st.sampled_from(Writing))
def test_any_hexadecimal_is_read_without_an_error(given: str, dcs: int | None, asked: Writing) -> None:
    read(given, dcs, asked)


@given(st.text(gsm7.BASIC.replace("\x1b", ""), max_size=LONGEST).filter(lambda text: not text.endswith("\r")))
def test_any_text_of_the_alphabet_can_be_packed(text: str) -> None:
    assert gsm7.decode(unpack(bytes.fromhex(write(text, Writing.PACKED)))) == text
