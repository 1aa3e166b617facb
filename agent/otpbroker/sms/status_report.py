"""SMS-STATUS-REPORT: what became of a sent message (3GPP TS 23.040 section 9.2.2.3), SMSC field in front."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from otpbroker.sms.address import (
    Address,
    decode_address,
    decode_smsc,
    encode_address,
    encode_smsc,
    parse_address,
)
from otpbroker.sms.octets import Octets, PduError
from otpbroker.sms.timestamp import decode_timestamp, encode_timestamp

_STATUS_REPORT = 0x02
_NO_MORE_MESSAGES = 0x04

_VALIDITY_EXPIRED = 0x46


class Delivery(StrEnum):
    """TP-ST (section 9.2.3.15) by what it means for the sender."""

    DELIVERED = "delivered"  # transaction completed
    RETRYING = "retrying"  # temporary error, the service centre still tries
    EXPIRED = "expired"  # the validity period ended first
    FAILED = "failed"  # permanent error, or temporary and given up


@dataclass(frozen=True, slots=True)
class StatusReport:
    """`reference` is the TP-MR that `+CMGS` answered; times are None when they are no dates."""

    reference: int
    receiver: Address
    sent_at: datetime | None
    discharged_at: datetime | None  # of the delivery, or of the last attempt
    status: int  # TP-ST
    smsc: Address | None

    @property
    def delivery(self) -> Delivery:
        return fold_status(self.status)


def fold_status(status: int) -> Delivery:
    """A reserved value counts as the others of its class; with the top bit set it is a failure."""
    match status >> 5:
        case 0:
            return Delivery.DELIVERED
        case 1:
            return Delivery.RETRYING
        case _:
            return Delivery.EXPIRED if status == _VALIDITY_EXPIRED else Delivery.FAILED


def encode_status_report(
    receiver: str,
    *,
    reference: int,
    sent_at: datetime,
    discharged_at: datetime,
    status: int = 0,
    smsc: str | None = None,
) -> str:
    """As a service centre would send it, upper-case hexadecimal; addresses as of `parse_address`."""
    octets = (
        encode_smsc(parse_address(smsc) if smsc else None)
        + bytes((_STATUS_REPORT | _NO_MORE_MESSAGES, reference))
        + encode_address(parse_address(receiver))
        + encode_timestamp(sent_at)
        + encode_timestamp(discharged_at)
        + bytes((status,))
    )
    return octets.hex().upper()


def decode_status_report(pdu_hex: str) -> StatusReport:
    """An SMS-STATUS-REPORT with its SMSC field; the optional parameters after TP-ST are not read."""
    octets = Octets.from_hex(pdu_hex)
    smsc = decode_smsc(octets)
    if octets.octet("first octet") & 0x03 != _STATUS_REPORT:
        raise PduError("TP-MTI: not an SMS-STATUS-REPORT")
    return StatusReport(
        reference=octets.octet("TP-MR"),
        receiver=decode_address(octets, "TP-RA"),
        sent_at=decode_timestamp(octets, "TP-SCTS"),
        discharged_at=decode_timestamp(octets, "TP-DT"),
        status=octets.octet("TP-ST"),
        smsc=smsc,
    )
