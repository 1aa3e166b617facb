"""Passwords: argon2id, and a rule for new ones."""

import pytest

from otpbroker.errors import Rejected
from otpbroker.passwords import check_strength, hash_password, verify_password


def test_the_hash_is_argon2id_salted_and_verifies_only_its_password() -> None:
    first, second = hash_password("empat kuda hijau"), hash_password("empat kuda hijau")
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert first != second
    assert verify_password(first, "empat kuda hijau")
    assert not verify_password(first, "empat kuda biru")
    assert not verify_password(first, first), "the hash is no password"


def test_a_broken_hash_verifies_nothing() -> None:
    assert not verify_password("empat kuda hijau", "empat kuda hijau")
    assert not verify_password("", "")


def test_half_a_surrogate_pair_is_no_password() -> None:
    assert not verify_password(hash_password("empat kuda hijau"), "\ud83d")


@pytest.mark.parametrize(
    "password",
    [
        "",
        "short",
        "elevenchars",
        "password1234",
        "Password-2026",
        "aaaaaaaaaaaaaaaa",
        "my-budi-password",
        "x" * 257,
    ],
)
def test_a_weak_password_is_refused_with_a_remedy(password: str) -> None:
    with pytest.raises(Rejected) as refused:
        check_strength(password, "budi")
    assert (refused.value.code, refused.value.field) == ("weak-password", "password")
    assert refused.value.remedy
    assert not password or password not in str(refused.value)


@pytest.mark.parametrize("password", ["empat kuda hijau", "correct horse battery", "Zx8!kQ2#mW5$"])
def test_a_phrase_passes(password: str) -> None:
    check_strength(password, "budi")
