"""The groups of TP-DCS."""

import pytest

from otpbroker.sms.data_coding import DCS_OF, Alphabet, DataCoding, Waiting, WaitingIndication, decode_dcs
from otpbroker.sms.octets import PduError

GSM7, OCTETS, UCS2 = Alphabet.GSM7, Alphabet.OCTETS, Alphabet.UCS2


def waiting(kind: Waiting, *, active: bool, store: bool) -> WaitingIndication:
    return WaitingIndication(kind, active=active, store=store)


@pytest.mark.parametrize(
    ("dcs", "expected"),
    [
        (0x00, DataCoding(GSM7)),
        (0x01, DataCoding(GSM7)),  # class bits without meaning
        (0x04, DataCoding(OCTETS)),
        (0x08, DataCoding(UCS2)),
        (0x0C, DataCoding(GSM7)),  # reserved alphabet
        (0x10, DataCoding(GSM7, 0)),
        (0x15, DataCoding(OCTETS, 1)),
        (0x1A, DataCoding(UCS2, 2)),
        (0x13, DataCoding(GSM7, 3)),
        (0x40, DataCoding(GSM7)),  # automatic deletion
        (0x58, DataCoding(UCS2, 0)),
        (0x80, DataCoding(GSM7)),  # reserved groups
        (0xBF, DataCoding(GSM7)),
        (0xC8, DataCoding(GSM7, None, waiting(Waiting.VOICEMAIL, active=True, store=False))),
        (0xC1, DataCoding(GSM7, None, waiting(Waiting.FAX, active=False, store=False))),
        (0xDA, DataCoding(GSM7, None, waiting(Waiting.EMAIL, active=True, store=True))),
        (0xE0, DataCoding(UCS2, None, waiting(Waiting.VOICEMAIL, active=False, store=True))),
        (0xEB, DataCoding(UCS2, None, waiting(Waiting.OTHER, active=True, store=True))),
        (0xF0, DataCoding(GSM7, 0)),
        (0xF1, DataCoding(GSM7, 1)),
        (0xF6, DataCoding(OCTETS, 2)),
    ],
)
def test_groups(dcs: int, expected: DataCoding) -> None:
    assert decode_dcs(dcs) == expected


def test_compressed_text_is_refused_and_nothing_else() -> None:
    refused = set()
    for dcs in range(256):
        try:
            decode_dcs(dcs)
        except PduError:
            refused.add(dcs)
    assert refused == {dcs for dcs in range(0x80) if dcs & 0x20}


def test_what_is_written_means_what_was_meant() -> None:
    assert {alphabet: decode_dcs(dcs).alphabet for alphabet, dcs in DCS_OF.items()} == {a: a for a in Alphabet}
