"""Codes for paper: no look-alikes, and forgiving when they are typed."""

import re

import pytest

from otpbroker.codes import canonical, new_code


@pytest.mark.parametrize("groups", [1, 3, 4])
def test_a_code_is_groups_of_four_signs_without_look_alikes(groups: int) -> None:
    for _ in range(200):
        assert re.fullmatch(rf"[2-9A-HJ-NP-Z]{{4}}(-[2-9A-HJ-NP-Z]{{4}}){{{groups - 1}}}", new_code(groups))


def test_every_sign_comes_up_and_no_code_twice() -> None:
    codes = [new_code(4) for _ in range(500)]
    assert len(set(codes)) == 500
    assert len(set("".join(codes))) == 32 + 1  # and the hyphen


def test_what_is_typed_otherwise_is_the_same_code() -> None:
    assert {canonical(typed) for typed in ("7KQM-AB2C", "7kqm ab2c", " 7KQMAB2C\n")} == {"7KQMAB2C"}
