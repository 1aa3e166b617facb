"""SMS-SUBMIT: what a modem sends (3GPP TS 23.040 section 9.2.2.2), in PDU mode with the SMSC field in front."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from otpbroker.sms.address import Address, decode_address, decode_smsc, encode_address, receiver_address
from otpbroker.sms.data_coding import DCS_OF, DataCoding, decode_dcs
from otpbroker.sms.octets import Octets, PduError
from otpbroker.sms.segment import segment
from otpbroker.sms.user_data import (
    Concatenation,
    UserData,
    decode_user_data,
    encode_user_data,
    part_of_text,
)
from otpbroker.sms.validity import ValidityFormat, decode_validity, validity_octet

__all__ = ["Submit", "asks_report", "decode_submit", "encode_submit", "validity_octet", "with_validity"]

_SUBMIT = 0x01
_REJECT_DUPLICATES = 0x04
_RELATIVE_VALIDITY = ValidityFormat.RELATIVE << 3
_STATUS_REPORT_REQUEST = 0x20
_HAS_HEADER = 0x40
_REPLY_PATH = 0x80

_SIM_SMSC = b"\0"
_SET_BY_MODEM = 0  # TP-MR
_NO_INTERWORKING = 0  # TP-PID


@dataclass(frozen=True, slots=True)
class Submit:
    """A decoded SMS-SUBMIT; `validity` is seconds, a point in time, or None when the service centre decides."""

    receiver: Address
    user_data: UserData
    coding: DataCoding
    validity: float | datetime | None
    reference: int  # TP-MR
    status_report: bool
    reject_duplicates: bool
    reply_path: bool
    protocol: int  # TP-PID
    smsc: Address | None

    @property
    def text(self) -> str:
        return self.user_data.text

    @property
    def concatenation(self) -> Concatenation | None:
        return self.user_data.concatenation


def encode_submit(
    receiver: str,
    text: str,
    *,
    reference: int,
    life: float,
    status_report: bool = False,
    reject_duplicates: bool = False,
) -> tuple[str, ...]:
    """The parts of a message for `+CMGS` as upper-case hexadecimal, with the SIM's own service centre.

    `receiver` is 3-20 digits in international form with or without '+', fewer than seven being a short code;
    `reference` (0-255) marks the parts of a long message; `life` is the seconds for which the text is of use.
    AddressError, TextTooLong, UnencodableText (all ValueError) for what cannot be sent.
    """
    segments = segment(text)
    total = len(segments.parts)
    first_octet = (
        _SUBMIT
        | _RELATIVE_VALIDITY
        | (_STATUS_REPORT_REQUEST if status_report else 0)
        | (_REJECT_DUPLICATES if reject_duplicates else 0)
        | (_HAS_HEADER if total > 1 else 0)
    )
    start = (
        _SIM_SMSC
        + bytes((first_octet, _SET_BY_MODEM))
        + encode_address(receiver_address(receiver))
        + bytes((_NO_INTERWORKING, DCS_OF[segments.encoding], validity_octet(life)))
    )
    return tuple(
        (start + encode_user_data(part_of_text(segments, index, reference))).hex().upper()
        for index in range(1, total + 1)
    )


def with_validity(pdus: Iterable[str], life: float) -> tuple[str, ...]:
    """The same parts with TP-VP anew for the `life` that is left; for PDUs of `encode_submit`."""
    validity = f"{validity_octet(life):02X}"
    return tuple(pdu[:at] + validity + pdu[at + 2 :] for pdu in pdus for at in (_validity_position(pdu),))


def asks_report(pdu: str) -> bool:
    """Whether a delivery report is requested (TP-SRR, section 9.2.3.5); for PDUs of `encode_submit`."""
    return bool(int(pdu[2:4], 16) & _STATUS_REPORT_REQUEST)


def _validity_position(pdu: str) -> int:
    """Where TP-VP stands among the hexadecimal digits: SMSC, two octets, TP-DA, TP-PID and TP-DCS precede it."""
    address = 2 * (1 + int(pdu[:2], 16) + 2)
    digits = int(pdu[address : address + 2], 16)
    return address + 2 * (2 + (digits + 1) // 2 + 2)


def decode_submit(pdu_hex: str) -> Submit:
    """An SMS-SUBMIT with its SMSC field; PduError when it is none."""
    octets = Octets.from_hex(pdu_hex)
    smsc = decode_smsc(octets)
    first_octet = octets.octet("first octet")
    if first_octet & 0x03 != _SUBMIT:
        raise PduError("TP-MTI: not an SMS-SUBMIT")
    reference = octets.octet("TP-MR")
    receiver = decode_address(octets, "TP-DA")
    protocol = octets.octet("TP-PID")
    coding = decode_dcs(octets.octet("TP-DCS"))
    validity = decode_validity(octets, ValidityFormat(first_octet >> 3 & 3))
    user_data = decode_user_data(octets, coding.alphabet, has_header=bool(first_octet & _HAS_HEADER))
    return Submit(
        receiver=receiver,
        user_data=user_data,
        coding=coding,
        validity=validity,
        reference=reference,
        status_report=bool(first_octet & _STATUS_REPORT_REQUEST),
        reject_duplicates=bool(first_octet & _REJECT_DUPLICATES),
        reply_path=bool(first_octet & _REPLY_PATH),
        protocol=protocol,
        smsc=smsc,
    )
