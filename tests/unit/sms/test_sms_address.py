"""Addresses of short messages."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otpbroker.sms.address import (
    Address,
    AddressError,
    TypeOfNumber,
    decode_address,
    decode_smsc,
    encode_address,
    encode_smsc,
    parse_address,
    receiver_address,
)
from otpbroker.sms.gsm7 import BASIC, EXTENSION
from otpbroker.sms.octets import Octets, PduError

numbers = st.builds(
    Address,
    st.text("0123456789*#abc", min_size=1, max_size=20),
    st.sampled_from([kind for kind in TypeOfNumber if kind is not TypeOfNumber.ALPHANUMERIC]),
    st.integers(0, 15),
)
letters = st.sampled_from(BASIC.replace("\x1b", "") + "".join(EXTENSION.values()))
names = st.lists(letters, min_size=1, max_size=11).map("".join)


def decode(octets: bytes) -> Address:
    return decode_address(Octets(octets), "TP-OA")


@given(numbers)
@settings(deadline=None)
def test_a_number_of_any_type_and_plan_comes_back(address: Address) -> None:
    assert decode(encode_address(address)) == address


@given(names)
@settings(deadline=None)
def test_a_name_comes_back_without_gaining_a_letter(name: str) -> None:
    address = Address(name, TypeOfNumber.ALPHANUMERIC, 0)
    try:
        octets = encode_address(address)
    except AddressError:
        assert sum(2 if letter in EXTENSION.values() else 1 for letter in name) > 11
        return
    # Eight septets that end in '@' cannot be told from seven that a sloppy sender rounded up.
    assert decode(octets).value in ({name, name[:-1]} if name.endswith("@") else {name})


@pytest.mark.parametrize("length", ["0D", "0E"])
def test_seven_letters_are_seven_also_when_the_length_is_rounded_up(length: str) -> None:
    assert decode(bytes.fromhex(length + "D0F334FC1CA69701")).value == "sipgate"


@pytest.mark.parametrize(
    ("receiver", "expected"),
    [
        ("6281266666712", "0D91261862666617F2"),
        ("+6281266666712", "0D91261862666617F2"),
        ("12345678901234567890", "149121436587092143658709"),
        ("1234567", "0791214365F7"),
        ("123456", "0681214365"),  # short codes: type unknown
        ("+363", "038163F3"),
    ],
)
def test_receivers(receiver: str, expected: str) -> None:
    assert encode_address(receiver_address(receiver)).hex().upper() == expected


@pytest.mark.parametrize("receiver", ["", "+", "12", "1" * 21, "0812a", "*100#", "62 812", "++62812345", "٣٤٥٦٧٨٩"])
def test_what_is_no_receiver(receiver: str) -> None:
    with pytest.raises(AddressError):
        receiver_address(receiver)


@pytest.mark.parametrize(
    ("written", "type_of_number"),
    [
        ("+6281266666712", TypeOfNumber.INTERNATIONAL),
        ("081266666712", TypeOfNumber.UNKNOWN),
        ("*100#", TypeOfNumber.UNKNOWN),
        ("BANK", TypeOfNumber.ALPHANUMERIC),
        ("abc", TypeOfNumber.ALPHANUMERIC),
        ("3", TypeOfNumber.UNKNOWN),
    ],
)
def test_addresses_as_written(written: str, type_of_number: TypeOfNumber) -> None:
    address = parse_address(written)
    assert address.type_of_number is type_of_number
    assert str(address) == written
    assert str(decode(encode_address(address))) == written


@pytest.mark.parametrize("name", ["", "twelve chars", "[[[[[[", "Жук"])
def test_names_that_do_not_fit(name: str) -> None:
    with pytest.raises(AddressError):
        encode_address(Address(name, TypeOfNumber.ALPHANUMERIC, 0))


def test_a_number_that_does_not_fit() -> None:
    for number in ("", "1" * 21, "12-34"):
        with pytest.raises(AddressError):
            encode_address(Address(number))


def test_the_service_centre_is_counted_in_octets() -> None:
    smsc = Address("31624000000")
    assert encode_smsc(smsc).hex().upper() == "07911326040000F0"
    assert decode_smsc(Octets(encode_smsc(smsc))) == smsc
    assert encode_smsc(None) == b"\0"
    assert decode_smsc(Octets(b"\0")) is None


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        ("", "missing"),
        ("0B91", "missing"),
        ("0B9113", "missing"),
        ("15911111111111111111111111", "20 semi-octets"),
        ("04911F11", "filler"),
    ],
)
def test_broken_addresses_are_named(octets: str, reason: str) -> None:
    with pytest.raises(PduError, match=f"TP-OA: .*{reason}"):
        decode(bytes.fromhex(octets))


def test_the_number_is_not_in_the_representation() -> None:
    assert "6281266666712" not in repr(parse_address("+6281266666712"))
