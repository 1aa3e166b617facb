"""Leniency has bounds: size, depth, numbers, and the time that a hostile body can take."""

import contextlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otpbroker.errors import Rejected
from otpbroker.messaging.wire.lenient_json import DEEPEST, LARGEST_BODY, loads

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def rejection(body: bytes) -> Rejected:
    with pytest.raises(Rejected) as refusal:
        loads(body)
    return refusal.value


@given(JSON_VALUES)
def test_json_is_read_as_json(value: object) -> None:
    assert loads(json.dumps(value).encode()) == value


@given(JSON_VALUES)
def test_a_comma_before_every_closing_bracket_changes_nothing(value: object) -> None:
    assert loads(_with_trailing_commas(value).encode()) == value


def _with_trailing_commas(value: object) -> str:
    match value:
        case list():
            return "[" + "".join(f"{_with_trailing_commas(item)} ,\n" for item in value) + "]"
        case dict():
            pairs = (f"{json.dumps(key)}:{_with_trailing_commas(item)}," for key, item in value.items())
            return "{" + "".join(pairs) + "\t}"
    return json.dumps(value)


@given(st.binary(max_size=200))
def test_any_octets_are_read_or_rejected(body: bytes) -> None:
    with contextlib.suppress(Rejected):
        loads(body)


def test_a_body_of_64_kib_is_read_and_one_more_octet_is_not() -> None:
    body = b'"' + b"x" * (LARGEST_BODY - 2) + b'"'

    assert loads(body) == "x" * (LARGEST_BODY - 2)
    assert rejection(body + b" ").code == "body-too-large"


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_nesting_is_bounded(opening: str, closing: str) -> None:
    def nested(levels: int) -> bytes:
        return (opening * levels + "1" + closing * levels).encode()

    loads(nested(DEEPEST))
    assert "levels deep" in rejection(nested(DEEPEST + 1)).detail
    assert "levels deep" in rejection(nested(10_000)).detail


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert loads(b"[" + b",".join([b"[]"] * 1000) + b"]") == [[]] * 1000


def test_a_number_too_long_to_compute_is_refused() -> None:
    assert rejection(b"[" + b"9" * 5000 + b"]").code == "invalid-json"


def test_other_encodings_than_utf8_are_refused() -> None:
    assert "UTF-8" in rejection('{"command":"echo"}'.encode("utf-16")).detail
    assert "UTF-8" in rejection('{"message":"é"}'.encode("latin-1")).detail


@pytest.mark.parametrize(
    "body",
    [
        b'"\\' * (LARGEST_BODY // 3),
        b'{"a":"' + b'\\"' * (LARGEST_BODY // 2 - 10),
        b"," * LARGEST_BODY,
        b", " * (LARGEST_BODY // 2),
        b"[" + b"1,\n" * (LARGEST_BODY // 3 - 2) + b"]",
        b"," + b" " * (LARGEST_BODY - 1),
        b"[" * LARGEST_BODY,
    ],
)
def test_no_body_takes_long(body: bytes) -> None:
    started = time.process_time()
    with contextlib.suppress(Rejected):
        loads(body)
    assert time.process_time() - started < 0.5  # quadratic work takes tens of seconds


def test_the_error_never_repeats_the_body() -> None:
    refusal = rejection(b'{"command":"send-sms","data":{"message":"secret-4711"')

    assert "4711" not in str(refusal)
    assert refusal.__cause__ is None
    assert refusal.__suppress_context__
