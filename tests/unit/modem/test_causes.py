"""Where and when a refused message may be tried again: field experience by number, the clause in `causes`."""

import pytest

from otpbroker.modem.causes import retry, unclear
from otpbroker.modem.results import AtError
from otpbroker.sms.submission import Retry

NEVER, ELSEWHERE, ONCE, LATER = Retry.NEVER, Retry.ELSEWHERE, Retry.ONCE, Retry.LATER


@pytest.mark.parametrize(
    ("kind", "numbers", "expected"),
    [
        ("cms", (1, 28, 30, 304, 305), NEVER),
        ("cms", (8, 10, 310, 311, 312, 313, 316, 317, 318), ELSEWHERE),
        ("cme", (10, 11, 12, 13, 17, 18), ELSEWHERE),
        ("cms", (21,), ONCE),
        ("cms", (38, 41, 42, 47, 314, 322, 330, 331, 500, 512, 515), LATER),
        ("cme", (100, 14), LATER),
        ("at", (None,), LATER),
    ],
)
def test_a_number_says_where_the_message_may_go(
    kind: str, numbers: tuple[int | None, ...], expected: Retry
) -> None:
    assert {number: retry(AtError(kind, number)) for number in numbers} == dict.fromkeys(numbers, expected)


def test_only_a_missing_confirmation_is_unclear() -> None:
    assert [number for number in range(600) if unclear(AtError("cms", number))] == [332]
