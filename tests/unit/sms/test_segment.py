"""How a text is cut into the parts of one message."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otpbroker.sms import gsm7
from otpbroker.sms.data_coding import Alphabet
from otpbroker.sms.segment import Measure, TextTooLong, measure, segment

texts = st.one_of(
    st.text(st.sampled_from("ab€[\n"), max_size=1200),
    st.text(st.sampled_from("aж😀\U0010ffff"), max_size=500),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
)


def joined(encoding: Alphabet, parts: tuple[bytes, ...]) -> str:
    units = b"".join(parts)
    return gsm7.decode(units) if encoding is Alphabet.GSM7 else units.decode("utf-16-be")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Measure(Alphabet.GSM7, 1, 0)),
        ("a" * 160, Measure(Alphabet.GSM7, 1, 160)),
        ("a" * 161, Measure(Alphabet.GSM7, 2, 161)),
        ("a" * 306, Measure(Alphabet.GSM7, 2, 306)),
        ("a" * 307, Measure(Alphabet.GSM7, 3, 307)),
        ("€" * 80, Measure(Alphabet.GSM7, 1, 160)),
        ("€" * 80 + "a", Measure(Alphabet.GSM7, 2, 161)),
        ("€" * 153, Measure(Alphabet.GSM7, 3, 306)),  # 76 pairs a part, one septet each left empty
        ("ж" * 70, Measure(Alphabet.UCS2, 1, 70)),
        ("ж" * 71, Measure(Alphabet.UCS2, 2, 71)),
        ("ж" * 134, Measure(Alphabet.UCS2, 2, 134)),
        ("ж" * 135, Measure(Alphabet.UCS2, 3, 135)),
        ("😀" * 35, Measure(Alphabet.UCS2, 1, 70)),
        ("😀" * 67, Measure(Alphabet.UCS2, 3, 134)),  # 33 pairs a part, one unit each left empty
        ("\U0010ffff" * 67, Measure(Alphabet.UCS2, 3, 134)),  # the last of the high surrogates
        ("a" * 159 + "ж", Measure(Alphabet.UCS2, 3, 160)),
    ],
)
def test_limits(text: str, expected: Measure) -> None:
    assert measure(text) == expected


@given(texts)
@settings(deadline=None)
def test_parts_join_to_the_text_and_fit(text: str) -> None:
    segments = segment(text)
    assert joined(segments.encoding, segments.parts) == text
    single, part = {Alphabet.GSM7: (160, 153), Alphabet.UCS2: (140, 134)}[segments.encoding]
    limit = single if len(segments.parts) == 1 else part
    assert max(map(len, segments.parts)) <= limit
    assert measure(text).parts == len(segments.parts)
    assert (segments.encoding is Alphabet.GSM7) == gsm7.encodable(text)


@given(texts)
@settings(deadline=None)
def test_no_part_ends_in_half_a_character(text: str) -> None:
    segments = segment(text)
    for part in segments.parts:
        if segments.encoding is Alphabet.GSM7:
            assert not part.endswith(b"\x1b")
        else:
            part.decode("utf-16-be")  # strict: half a surrogate pair is an error


@given(texts)
@settings(deadline=None)
def test_no_part_has_room_for_the_character_that_begins_the_next(text: str) -> None:
    segments = segment(text)
    limit = {Alphabet.GSM7: 153, Alphabet.UCS2: 134}[segments.encoding]
    unit = {Alphabet.GSM7: 1, Alphabet.UCS2: 2}[segments.encoding]
    assert all(len(part) >= limit - unit for part in segments.parts[:-1])


def test_255_parts_are_the_most() -> None:
    assert len(segment("a" * 153 * 255).parts) == 255
    for call in (segment, measure):
        with pytest.raises(TextTooLong):
            call("a" * (153 * 255 + 1))
        with pytest.raises(TextTooLong):
            call("ж" * (67 * 255 + 1))


def test_half_a_surrogate_pair_cannot_be_sent() -> None:
    for call in (segment, measure):
        with pytest.raises(gsm7.UnencodableText) as error:
            call("secret \ud83d")
        assert "secret" not in str(error.value)
        assert error.value.__suppress_context__


def test_the_text_is_not_in_the_representation() -> None:
    assert "736563726574" not in repr(segment("secret"))
    assert "secret" not in repr(segment("secret"))
