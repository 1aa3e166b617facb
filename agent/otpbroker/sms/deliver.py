"""SMS-DELIVER: what a modem receives (3GPP TS 23.040 section 9.2.2.1), with the SMSC field in front."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from otpbroker.sms.address import (
    Address,
    decode_address,
    decode_smsc,
    encode_address,
    encode_smsc,
    parse_address,
)
from otpbroker.sms.data_coding import DCS_OF, DataCoding, decode_dcs
from otpbroker.sms.octets import Octets, PduError
from otpbroker.sms.segment import segment
from otpbroker.sms.timestamp import decode_timestamp, encode_timestamp
from otpbroker.sms.user_data import (
    Concatenation,
    UserData,
    decode_user_data,
    encode_user_data,
    part_of_text,
)

_DELIVER = 0x00
_NO_MORE_MESSAGES = 0x04
_HAS_HEADER = 0x40


@dataclass(frozen=True, slots=True)
class Deliver:
    """A decoded SMS-DELIVER; `sent_at` is the service centre's time, None when it gave none that is a date."""

    sender: Address
    user_data: UserData
    coding: DataCoding
    sent_at: datetime | None
    protocol: int  # TP-PID
    smsc: Address | None

    @property
    def text(self) -> str:
        return self.user_data.text

    @property
    def concatenation(self) -> Concatenation | None:
        return self.user_data.concatenation

    @property
    def fingerprint(self) -> bytes:
        """The same whenever and wherever it is read; of another message it differs."""
        header = ((element.identifier, element.data) for element in self.user_data.header)
        content = (*header, self.user_data.units, self.user_data.alphabet, str(self.sender), str(self.sent_at))
        return hashlib.sha256(repr(content).encode()).digest()


def encode_deliver(
    sender: str, text: str, *, sent_at: datetime, reference: int = 0, smsc: str | None = None
) -> tuple[str, ...]:
    """The parts of a message as a service centre would deliver them, upper-case hexadecimal.

    `sender` and `smsc` as of `parse_address`; `sent_at` knows its time zone. ValueError as of `encode_submit`.
    """
    segments = segment(text)
    first_octet = _DELIVER | _NO_MORE_MESSAGES | (_HAS_HEADER if len(segments.parts) > 1 else 0)
    start = (
        encode_smsc(parse_address(smsc) if smsc else None)
        + bytes((first_octet,))
        + encode_address(parse_address(sender))
        + bytes((0, DCS_OF[segments.encoding]))
        + encode_timestamp(sent_at)
    )
    return tuple(
        (start + encode_user_data(part_of_text(segments, index, reference))).hex().upper()
        for index in range(1, len(segments.parts) + 1)
    )


def decode_deliver(pdu_hex: str) -> Deliver:
    """An SMS-DELIVER with its SMSC field; PduError when it is none."""
    octets = Octets.from_hex(pdu_hex)
    smsc = decode_smsc(octets)
    first_octet = octets.octet("first octet")
    if first_octet & 0x03 != _DELIVER:
        raise PduError("TP-MTI: not an SMS-DELIVER")
    sender = decode_address(octets, "TP-OA")
    protocol = octets.octet("TP-PID")
    coding = decode_dcs(octets.octet("TP-DCS"))
    sent_at = decode_timestamp(octets, "TP-SCTS")
    user_data = decode_user_data(octets, coding.alphabet, has_header=bool(first_octet & _HAS_HEADER))
    return Deliver(sender, user_data, coding, sent_at, protocol, smsc)
