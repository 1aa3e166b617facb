"""SMS-STATUS-REPORT."""

from datetime import UTC, datetime

import pytest

from otpbroker.sms.octets import PduError
from otpbroker.sms.status_report import Delivery, decode_status_report, encode_status_report, fold_status

SENT_AT = datetime(2026, 11, 22, 14, 3, 7, tzinfo=UTC)
DISCHARGED_AT = datetime(2026, 11, 22, 14, 3, 11, tzinfo=UTC)


@pytest.mark.parametrize("status", [0x00, 0x30, 0x46, 0x63])
def test_a_report_comes_back(status: int) -> None:
    pdu = encode_status_report(
        "+6281266666712",
        reference=214,
        sent_at=SENT_AT,
        discharged_at=DISCHARGED_AT,
        status=status,
        smsc="+31624000000",
    )
    report = decode_status_report(pdu)
    assert (report.reference, str(report.receiver), report.status) == (214, "+6281266666712", status)
    assert (report.sent_at, report.discharged_at) == (SENT_AT, DISCHARGED_AT)
    assert str(report.smsc) == "+31624000000"
    assert report.delivery is fold_status(status)


@pytest.mark.parametrize(
    ("statuses", "delivery"),
    [
        ((0x00, 0x01, 0x02, 0x10, 0x1F), Delivery.DELIVERED),
        ((0x20, 0x21, 0x25, 0x30, 0x3F), Delivery.RETRYING),
        ((0x46,), Delivery.EXPIRED),
        ((0x40, 0x41, 0x45, 0x47, 0x48, 0x49, 0x5F), Delivery.FAILED),
        ((0x60, 0x65, 0x7F), Delivery.FAILED),
        ((0x80, 0xC6, 0xFF), Delivery.FAILED),
    ],
)
def test_states(statuses: tuple[int, ...], delivery: Delivery) -> None:
    assert {fold_status(status) for status in statuses} == {delivery}


def test_optional_parameters_are_not_needed_and_not_read() -> None:
    pdu = encode_status_report("5544", reference=1, sent_at=SENT_AT, discharged_at=DISCHARGED_AT)
    assert decode_status_report(pdu + "07000000") == decode_status_report(pdu)


@pytest.mark.parametrize(
    ("pdu", "reason"),
    [
        ("0004", "TP-MTI: not an SMS-STATUS-REPORT"),
        ("0006", "TP-MR"),
        ("0006D60B911326880736F411101171955140111011719571", "TP-DT: 1 octet"),
        ("0006D60B911326880736F41110117195514011101171957140", "TP-ST"),
    ],
)
def test_broken_pdus_are_named(pdu: str, reason: str) -> None:
    with pytest.raises(PduError, match=reason):
        decode_status_report(pdu)
