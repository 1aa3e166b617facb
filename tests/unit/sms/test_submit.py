"""SMS-SUBMIT, from the core's request to what the network reads."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otpbroker.sms.address import AddressError, TypeOfNumber
from otpbroker.sms.data_coding import Alphabet
from otpbroker.sms.gsm7 import UnencodableText
from otpbroker.sms.octets import PduError
from otpbroker.sms.segment import TextTooLong, measure
from otpbroker.sms.submission import Sms
from otpbroker.sms.submit import decode_submit, encode_submit, validity_octet, with_validity
from otpbroker.sms.user_data import Concatenation, join_texts

RECEIVER = "6281266666712"

receivers = st.text("0123456789", min_size=3, max_size=20)
texts = st.one_of(
    st.text(st.sampled_from("ab€[ "), max_size=700),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
)
lives = st.floats(-10, 1e8)


@given(receivers, texts, st.integers(0, 255), lives, st.booleans())
@settings(deadline=None)
def test_what_is_asked_for_is_what_is_sent(
    receiver: str, text: str, reference: int, life: float, status_report: bool
) -> None:
    pdus = encode_submit(receiver, text, reference=reference, life=life, status_report=status_report)
    submits = [decode_submit(pdu) for pdu in pdus]
    total = len(submits)
    assert join_texts(submit.user_data for submit in submits) == text
    assert total == measure(text).parts
    for index, submit in enumerate(submits, start=1):
        assert submit.receiver.value == receiver
        assert submit.concatenation == (Concatenation(reference, total, index) if total > 1 else None)
        assert submit.status_report is status_report
        assert submit.smsc is None
        assert (submit.reference, submit.protocol, submit.reply_path) == (0, 0, False)
        assert isinstance(submit.validity, float)
        assert submit.validity <= max(life, 300)


@given(texts)
@settings(deadline=None)
def test_a_pdu_is_ready_for_the_modem(text: str) -> None:
    for pdu in encode_submit(RECEIVER, text, reference=1, life=300):
        assert pdu == pdu.upper()
        assert pdu.startswith("00")
        assert len(pdu) == 2 * (1 + Sms.tpdu_length(pdu))
        assert Sms.tpdu_length(pdu) <= 164  # 27.005 section 3.5.1: the longest that +CMGS takes


def test_the_octets_of_a_short_message() -> None:
    first_octet, mr, da, pid, dcs, vp, udl = "11", "00", "0D91261862666617F2", "00", "00", "00", "0A"
    pdu = "00" + first_octet + mr + da + pid + dcs + vp + udl + "E8329BFD4697D9EC37"
    assert encode_submit(RECEIVER, "hellohello", reference=9, life=300) == (pdu,)


def test_the_octets_of_a_long_message() -> None:
    first_octet, mr, da, pid, dcs, vp = "71", "00", "0D91261862666617F2", "00", "08", "01"
    start = "00" + first_octet + mr + da + pid + dcs + vp
    first, second = encode_submit(RECEIVER, "ж" * 71, reference=9, life=600, status_report=True)
    assert first == start + "8C" + "050003090201" + "0436" * 67
    assert second == start + "0E" + "050003090202" + "0436" * 4


def test_short_codes_are_of_unknown_type() -> None:
    (pdu,) = encode_submit("5544", "Saldo", reference=0, life=300)
    assert decode_submit(pdu).receiver.type_of_number is TypeOfNumber.UNKNOWN
    (pdu,) = encode_submit("+1234567", "Saldo", reference=0, life=300)
    assert decode_submit(pdu).receiver.type_of_number is TypeOfNumber.INTERNATIONAL


def test_duplicates_can_be_rejected_by_the_service_centre() -> None:
    (pdu,) = encode_submit(RECEIVER, "a", reference=0, life=300, reject_duplicates=True)
    assert decode_submit(pdu).reject_duplicates
    assert not decode_submit(encode_submit(RECEIVER, "a", reference=0, life=300)[0]).reject_duplicates


@given(receivers, texts, lives, lives)
@settings(deadline=None)
def test_validity_is_renewed_without_encoding_again(receiver: str, text: str, old: float, new: float) -> None:
    pdus = encode_submit(receiver, text, reference=5, life=old)
    assert with_validity(pdus, new) == encode_submit(receiver, text, reference=5, life=new)


def test_an_otp_is_not_kept_longer_than_it_lives() -> None:
    (pdu,) = encode_submit(RECEIVER, "123456", reference=0, life=660)
    assert decode_submit(pdu).validity == 600
    assert validity_octet(660) == 1


@pytest.mark.parametrize(
    ("receiver", "text", "error"),
    [
        ("12", "a", AddressError),
        ("BANK", "a", AddressError),
        ("0" * 21, "a", AddressError),
        (RECEIVER, "a" * (153 * 255 + 1), TextTooLong),
        (RECEIVER, "\udc00", UnencodableText),
    ],
)
def test_what_cannot_be_sent(receiver: str, text: str, error: type[ValueError]) -> None:
    with pytest.raises(error):
        encode_submit(receiver, text, reference=0, life=300)


@pytest.mark.parametrize(
    ("pdu", "reason"),
    [
        ("", "SMSC: 1 octet"),
        ("00", "first octet"),
        ("0", "hexadecimal"),
        ("0011zz", "hexadecimal"),
        ("0004", "TP-MTI: not an SMS-SUBMIT"),
        ("0011000B916407281553F80020AA00", "TP-DCS: compressed"),
        ("0011000B916407281553F80000", "TP-VP: 1 octet"),
        ("0019000B916407281553F80000AA0AE832", "TP-VP: 3 octet"),
        ("0011000B916407281553F80000AA0AE8329BFD4697D9EC", "TP-UD: 1 octet"),
    ],
)
def test_broken_pdus_are_named(pdu: str, reason: str) -> None:
    with pytest.raises(PduError, match=reason):
        decode_submit(pdu)


def test_nothing_private_is_in_the_representation() -> None:
    (pdu,) = encode_submit(RECEIVER, "secret", reference=0, life=300)
    shown = repr(decode_submit(pdu))
    assert RECEIVER not in shown
    assert "secret" not in shown
    assert b"secret".hex() not in shown


def test_the_alphabet_is_the_smallest() -> None:
    assert decode_submit(encode_submit(RECEIVER, "€", reference=0, life=0)[0]).coding.alphabet is Alphabet.GSM7
    assert decode_submit(encode_submit(RECEIVER, "₽", reference=0, life=0)[0]).coding.alphabet is Alphabet.UCS2
