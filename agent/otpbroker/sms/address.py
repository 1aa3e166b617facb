"""Addresses of short messages: TP-OA, TP-DA, TP-RA (3GPP TS 23.040 section 9.1.2.5) and the SMSC of 27.005."""

import re
from dataclasses import dataclass, field
from enum import IntEnum

from otpbroker.sms import gsm7
from otpbroker.sms.octets import Octets, PduError

ISDN = 1  # the numbering plan of E.164 telephone numbers

_MAX_SEMI_OCTETS = 20
_MAX_NAME_SEPTETS = 11
_TO_SEMI_OCTETS = str.maketrans("*#abc", "ABCDE")
_FROM_SEMI_OCTETS = str.maketrans("ABCDE", "*#abc")
_NUMBER = re.compile(r"[0-9*#abc]{1,20}", re.ASCII)
_WRITTEN_NUMBER = re.compile(r"(\+?)([0-9*#]{1,20})", re.ASCII)
_RECEIVER = re.compile(r"[0-9]{3,20}", re.ASCII)
_SHORT_CODE_DIGITS = 6


class AddressError(ValueError):
    """The number or name cannot be the address of a short message."""


class TypeOfNumber(IntEnum):
    UNKNOWN = 0
    INTERNATIONAL = 1
    NATIONAL = 2
    NETWORK_SPECIFIC = 3
    SUBSCRIBER = 4
    ALPHANUMERIC = 5
    ABBREVIATED = 6
    RESERVED = 7


@dataclass(frozen=True, slots=True)
class Address:
    """`value` is the digits (also `*`, `#`, `a`, `b`, `c`) without '+', or the letters of an alphanumeric one."""

    value: str = field(repr=False)
    type_of_number: TypeOfNumber = TypeOfNumber.INTERNATIONAL
    numbering_plan: int = ISDN

    def __str__(self) -> str:
        return f"+{self.value}" if self.type_of_number is TypeOfNumber.INTERNATIONAL else self.value

    @property
    def type_of_address(self) -> int:
        return 0x80 | self.type_of_number << 4 | self.numbering_plan


def parse_address(written: str) -> Address:
    """`+62812...` is international, other digits are of unknown type, the rest is a name (11 letters at most)."""
    if number := _WRITTEN_NUMBER.fullmatch(written):
        plus, digits = number.groups()
        return Address(digits, TypeOfNumber.INTERNATIONAL if plus else TypeOfNumber.UNKNOWN)
    return Address(written, TypeOfNumber.ALPHANUMERIC, numbering_plan=0)


def receiver_address(receiver: str) -> Address:
    """The destination of a message: 3-20 digits in international form with or without '+'.

    Fewer than seven digits are a short code of the network, whose type is unknown.
    """
    digits = receiver.removeprefix("+")
    if not _RECEIVER.fullmatch(digits):
        raise AddressError("a receiver is 3 to 20 digits")
    if len(digits) <= _SHORT_CODE_DIGITS:
        return Address(digits, TypeOfNumber.UNKNOWN)
    return Address(digits)


def encode_address(address: Address) -> bytes:
    """Length in useful semi-octets, type of address, value; AddressError for what does not fit."""
    if address.type_of_number is TypeOfNumber.ALPHANUMERIC:
        length, value = _encode_name(address.value)
    elif _NUMBER.fullmatch(address.value):
        length, value = len(address.value), _encode_semi_octets(address.value)
    else:
        raise AddressError("a number is 1 to 20 digits, '*' and '#' included")
    return bytes((length, address.type_of_address)) + value


def decode_address(octets: Octets, name: str) -> Address:
    length = octets.octet(name)
    type_of_address = octets.octet(name)
    return _decode_value(octets.take((length + 1) // 2, name), length, type_of_address, name)


def encode_smsc(smsc: Address | None) -> bytes:
    """The SMSC field in front of a TPDU: a length in octets; None is the SIM's own service centre."""
    if smsc is None:
        return b"\0"
    address = encode_address(smsc)[1:]
    return bytes((len(address),)) + address


def decode_smsc(octets: Octets) -> Address | None:
    length = octets.octet("SMSC")
    if length == 0:
        return None
    type_of_address = octets.octet("SMSC")
    return _decode_value(octets.take(length - 1, "SMSC"), 2 * (length - 1), type_of_address, "SMSC")


def _decode_value(value: bytes, length: int, type_of_address: int, name: str) -> Address:
    if length > _MAX_SEMI_OCTETS:
        raise PduError(f"{name}: longer than 20 semi-octets")
    type_of_number = TypeOfNumber(type_of_address >> 4 & 7)
    numbering_plan = type_of_address & 0xF
    if type_of_number is TypeOfNumber.ALPHANUMERIC:
        return Address(_decode_name(value, length), type_of_number, numbering_plan)
    digits = _swap(value.hex().upper())[:length].rstrip("F").translate(_FROM_SEMI_OCTETS)
    if "F" in digits:
        raise PduError(f"{name}: a filler inside the number")
    return Address(digits, type_of_number, numbering_plan)


def _encode_name(name: str) -> tuple[int, bytes]:
    try:
        septets = gsm7.encode(name)
    except gsm7.UnencodableText:
        raise AddressError("a name is written in the GSM 7 bit default alphabet") from None
    if not 1 <= len(septets) <= _MAX_NAME_SEPTETS:
        raise AddressError("a name is 1 to 11 characters")
    return (7 * len(septets) + 3) // 4, gsm7.pack(septets)


def _decode_name(value: bytes, length: int) -> str:
    septets = gsm7.unpack(value, 4 * length // 7)
    if len(septets) % 8 == 0 and septets.endswith(b"\0"):
        # Seven letters leave seven spare bits, and senders that round the length up count them as an '@'.
        septets = septets[:-1]
    return gsm7.decode(septets)


def _encode_semi_octets(digits: str) -> bytes:
    return bytes.fromhex(_swap(digits.translate(_TO_SEMI_OCTETS) + "F" * (len(digits) % 2)))


def _swap(nibbles: str) -> str:
    """The two digits of each octet change places."""
    swapped = [""] * len(nibbles)
    swapped[0::2], swapped[1::2] = nibbles[1::2], nibbles[0::2]
    return "".join(swapped)
