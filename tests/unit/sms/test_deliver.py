"""SMS-DELIVER."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otpbroker.sms.data_coding import Waiting, WaitingIndication
from otpbroker.sms.deliver import decode_deliver, encode_deliver
from otpbroker.sms.octets import PduError
from otpbroker.sms.user_data import Concatenation, join_texts

SENT_AT = datetime(2026, 11, 22, 14, 3, 7, tzinfo=UTC)
texts = st.one_of(
    st.text(st.sampled_from("ab€[ "), max_size=700),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
)


@given(texts, st.integers(0, 255))
@settings(deadline=None)
def test_what_is_delivered_is_what_is_read(text: str, reference: int) -> None:
    delivers = [
        decode_deliver(pdu) for pdu in encode_deliver("+6281266666712", text, sent_at=SENT_AT, reference=reference)
    ]
    total = len(delivers)
    assert join_texts(deliver.user_data for deliver in delivers) == text
    for index, deliver in enumerate(delivers, start=1):
        assert str(deliver.sender) == "+6281266666712"
        assert deliver.sent_at == SENT_AT
        assert deliver.concatenation == (Concatenation(reference, total, index) if total > 1 else None)


def test_a_name_of_seven_letters_stays_one() -> None:
    (pdu,) = encode_deliver("sipgate", "Testmail", sent_at=SENT_AT)
    assert str(decode_deliver(pdu).sender) == "sipgate"


def test_a_service_centre_without_a_clock_is_read() -> None:
    deliver = decode_deliver("00040B911346610089F60000000000000000000CC8F71D14969741F977FD07")
    assert deliver.sent_at is None
    assert deliver.text == "How are you?"


@pytest.mark.parametrize(
    ("dcs", "user_data", "text"),
    [
        ("C8", "0AE8329BFD4697D9EC37", "hellohello"),
        ("E0", "0400680069", "hi"),
        ("D0", "0AE8329BFD4697D9EC37", "hellohello"),
    ],
)
def test_message_waiting_indications_have_readable_text(dcs: str, user_data: str, text: str) -> None:
    deliver = decode_deliver(f"00040B911346610089F600{dcs}20806291731408{user_data}")
    assert deliver.text == text
    assert deliver.coding.waiting == WaitingIndication(Waiting.VOICEMAIL, active=dcs == "C8", store=dcs != "C8")


@pytest.mark.parametrize(
    ("pdu", "reason"),
    [
        ("00", "first octet"),
        ("0005", "TP-MTI: not an SMS-DELIVER"),
        ("00040B91134661", "TP-OA: 3 octet"),
        ("00040B911346610089F60000208062", "TP-SCTS: 4 octet"),
        ("00040B911346610089F60000208062917314", "TP-SCTS"),
        ("00040B911346610089F60000208062917314080CC8", "TP-UD: 10 octet"),
        ("00040B911346610089F6002020806291731408 00", "TP-DCS: compressed"),
    ],
)
def test_broken_pdus_are_named(pdu: str, reason: str) -> None:
    with pytest.raises(PduError, match=reason):
        decode_deliver(pdu)
