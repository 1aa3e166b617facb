"""The one-time code of the first set-up."""

import re
from pathlib import Path

import pytest

from otpbroker.web.setup_code import SetupCode, setup_url


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "setup-code"


def test_it_is_easy_to_type_and_has_60_bits(file: Path) -> None:
    code = SetupCode(file).ensure()
    assert re.fullmatch(r"[2-9A-HJ-NP-Z]{4}(-[2-9A-HJ-NP-Z]{4}){2}", code)
    assert 32**12 == 2**60


def test_it_is_the_same_while_the_process_lives(file: Path) -> None:
    code = SetupCode(file)
    assert code.ensure() == code.ensure()


def test_a_later_process_makes_a_new_one(file: Path) -> None:
    first = SetupCode(file).ensure()
    later = SetupCode(file)
    assert later.check(first)
    assert later.ensure() != first
    assert not later.check(first)


def test_case_spaces_and_hyphens_are_forgiven(file: Path) -> None:
    code = SetupCode(file)
    plain = code.ensure()
    for typed in (plain, plain.lower(), plain.replace("-", ""), f" {plain.replace('-', ' ')}\n"):
        assert code.check(typed)


def test_anything_else_is_refused(file: Path) -> None:
    code = SetupCode(file)
    plain = code.ensure()
    changed = ("A" if plain[0] != "A" else "B") + plain[1:]
    for typed in ("", "-", changed, plain[:-1], plain + "A", plain * 8, "ü" * 12):
        assert not code.check(typed)


def test_it_works_until_it_is_spent(file: Path) -> None:
    code = SetupCode(file)
    plain = code.ensure()
    code.spend()
    code.spend()
    assert not code.check(plain)
    assert not code.check("")
    assert not file.exists()


def test_without_a_code_none_is_right(file: Path) -> None:
    assert not SetupCode(file).check("")


def test_the_file_is_the_owners_and_holds_a_hash(file: Path) -> None:
    plain = SetupCode(file).ensure()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text().startswith("$argon2id$")
    assert plain.replace("-", "") not in file.read_text()
    assert list(file.parent.iterdir()) == [file]


def test_the_address_holds_it_where_no_server_sees_it() -> None:
    assert setup_url("http://127.0.0.1:8888", "ABCD-EFGH-JKLM") == "http://127.0.0.1:8888/setup#ABCD-EFGH-JKLM"
    assert setup_url("http://127.0.0.1:8888/", "A") == "http://127.0.0.1:8888/setup#A"
