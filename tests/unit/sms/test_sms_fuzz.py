"""Whatever a modem may print as a PDU: it is read, or refused by PduError and by nothing else."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from otpbroker.sms.deliver import decode_deliver
from otpbroker.sms.octets import PduError
from otpbroker.sms.status_report import decode_status_report
from otpbroker.sms.submit import decode_submit

DECODERS: tuple[Callable[[str], object], ...] = (decode_deliver, decode_submit, decode_status_report)
GOOD = (
    "07911326040000F0040B911346610089F60000208062917314480CC8F71D14969741F977FD07",
    "07912160130320F6440B916171056429F500002140529165156917050003" + "4C0202E9E8301D444797" * 2,
    "0791447758100650040DD0F334FC1CA6970100008080312170224008D4F29CDE0EA7D9",
    "0019000B917228001011F100003170013193008017D474BB3CA787DB70903DCC4E93D3F43C885E9ED301",
    "0006D60B911326880736F4111011719551401110117195714000",
)


def read(pdu: str) -> None:
    for decode in DECODERS:
        try:
            decoded = decode(pdu)
        except PduError:
            continue
        user_data = getattr(decoded, "user_data", None)
        if user_data is not None:
            user_data.text.encode()
            assert user_data.concatenation is None or user_data.concatenation.index >= 1
            assert user_data.approximate in {True, False}


@pytest.mark.parametrize("pdu", GOOD)
def test_what_is_changed_below_can_be_read_as_it_is(pdu: str) -> None:
    readable = 0
    for decode in DECODERS:
        with suppress(PduError):
            decode(pdu)
            readable += 1
    assert readable == 1


@given(st.binary(max_size=200))
@example(b"\xff" * 200)
@example(b"\x00\x44\x00\xd0" + bytes(160))
@settings(deadline=None, max_examples=500)
def test_any_octets(octets: bytes) -> None:
    read(octets.hex())


@given(st.text(max_size=60))
@settings(deadline=None)
def test_any_text(text: str) -> None:
    read(text)


@given(st.sampled_from(GOOD), st.data())
@settings(deadline=None, max_examples=1000)
def test_good_pdus_with_a_few_octets_changed_or_the_end_cut_off(pdu: str, data: st.DataObject) -> None:
    octets = bytearray.fromhex(pdu)
    for _ in range(data.draw(st.integers(0, 3))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    del octets[data.draw(st.integers(0, len(octets))) :]
    read(octets.hex().upper())
