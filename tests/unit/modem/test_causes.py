"""Where and when a refused message may be tried again: field experience by number, the clause in `causes`."""

import pytest

from otpbroker.modem.causes import CMS, Trouble, meaning
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
    assert {number: meaning(AtError(kind, number)).retry for number in numbers} == dict.fromkeys(numbers, expected)


def test_only_a_missing_confirmation_is_unclear() -> None:
    assert [number for number in range(600) if meaning(AtError("cms", number)).unclear] == [332]


@pytest.mark.parametrize(
    ("kind", "numbers", "trouble"),
    [
        ("cms", (1, 28, 30, 95, 111, 195, 196, 197), Trouble.MESSAGE),
        ("cms", (310, 311, 312, 313, 315, 316, 317, 318), Trouble.SIM),
        ("cme", (10, 11, 12, 13, 15, 17, 18), Trouble.SIM),
        ("cms", (330,), Trouble.SERVICE_CENTRE),
        ("cms", (322,), Trouble.STORE_FULL),
        ("cms", (8, 10, 21, 38, 41, 42, 47, 304, 314, 331, 332, 500, 512, 515, 600), Trouble.MODEM),
        ("cme", (100, 14), Trouble.MODEM),
        ("at", (None,), Trouble.MODEM),
    ],
)
def test_a_number_says_whose_trouble_it_is(kind: str, numbers: tuple[int | None, ...], trouble: Trouble) -> None:
    assert {number: meaning(AtError(kind, number)).trouble for number in numbers} == dict.fromkeys(numbers, trouble)


def test_what_tells_nothing_of_the_modem_is_final_for_the_message() -> None:
    assert all((each.trouble is not Trouble.MESSAGE) or each.retry is Retry.NEVER for each in CMS.values())
