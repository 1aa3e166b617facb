"""Sealed means: nobody reads it, nobody changes it, nobody moves it."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core import full_disks
from otpbroker.errors import Misconfigured
from otpbroker.sealing import Sealer, key_file

KEY = bytes(range(32))


def test_what_is_sealed_opens_in_its_place_alone() -> None:
    sealed = Sealer(KEY).seal(b"OTP 1234", "message a")
    assert b"1234" not in sealed
    assert Sealer(KEY).open(sealed, "message a") == b"OTP 1234"
    for key, context in ((KEY, "message b"), (bytes(32), "message a")):
        with pytest.raises(Misconfigured):
            Sealer(key).open(sealed, context)


@pytest.mark.parametrize("place", [0, 12, -1])
def test_a_changed_octet_is_noticed(place: int) -> None:
    sealed = bytearray(Sealer(KEY).seal(b"OTP 1234", "a"))
    sealed[place] ^= 1
    with pytest.raises(Misconfigured):
        Sealer(KEY).open(bytes(sealed), "a")


@pytest.mark.parametrize("length", range(0, 30, 7))
def test_what_is_too_short_is_no_sealed_value(length: int) -> None:
    with pytest.raises(Misconfigured):
        Sealer(KEY).open(bytes(length), "a")


def test_nothing_is_sealed_alike_twice() -> None:
    sealer = Sealer(KEY)
    assert len({sealer.seal(b"x", "a") for _ in range(100)}) == 100


def test_a_key_file_is_made_once_for_the_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    old = os.umask(0)
    try:
        key = key_file(path)
    finally:
        os.umask(old)
    assert len(key) == 32
    assert key_file(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_bytes(b"short")
    with pytest.raises(Misconfigured, match="does not hold a key"):
        key_file(path)


def test_processes_that_make_the_key_at_once_have_the_same_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        keys = set(threads.map(key_file, [tmp_path / "key"] * 8))
    assert len(keys) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["key"]


def test_a_key_that_could_not_be_written_is_not_there(tmp_path: Path) -> None:
    """Half a key would be a device that does not start until somebody removes it."""
    path = tmp_path / "key"
    with full_disks(size=5), pytest.raises(OSError, match="File too large"):
        key_file(path)
    assert not list(tmp_path.iterdir())
    assert len(key_file(path)) == 32
