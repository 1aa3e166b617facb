"""The folder that builds work in: theirs alone while they do, and nothing but theirs is removed from it."""

import argparse
from pathlib import Path

import pytest

from image.build_command import clean_up
from image.errors import Refused
from image.workplace import claimed, clear, is_build


def clean(work: Path) -> None:
    clean_up(Path("/nowhere"), argparse.Namespace(work=work))


def made(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def test_what_builds_left_is_removed_with_their_folder(tmp_path: Path) -> None:
    folder = tmp_path / "debian-raspberry-pi"
    with claimed(folder):
        made(folder, "base/.key", "base/base.tar", "wheels.partial/x", "log/base.log", "log/ansible/tmp/x")
    clean(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_folders_of_others_stay_whatever_is_in_them(tmp_path: Path) -> None:
    theirs = made(tmp_path / "my-website", "log/access", "image/logo.png", "root/index.html", "base.partial/x")
    clean(tmp_path)
    assert sorted(path.name for path in theirs.iterdir()) == ["base.partial", "image", "log", "root"]


def test_what_somebody_put_beside_the_steps_stays_and_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made(tmp_path / "debian-virtual-pc", "base/.key", "notes.txt")
    clean(tmp_path)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    assert "all but notes.txt" in capsys.readouterr().out


def test_an_interrupted_build_is_known_by_its_mark(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), claimed(tmp_path / "debian-virtual-pc"):
        raise KeyboardInterrupt
    assert is_build(tmp_path / "debian-virtual-pc")


def test_a_second_build_in_the_same_folder_is_refused_and_so_is_cleaning_under_one(tmp_path: Path) -> None:
    """Each removes what the other is still writing, or gives its key to it."""
    with claimed(tmp_path):
        with pytest.raises(Refused, match="somebody else is at work"), claimed(tmp_path):
            pass
        with pytest.raises(Refused, match="somebody else is at work"):
            clear(tmp_path)
    with claimed(tmp_path):
        pass


def test_no_build_works_among_files_of_others(tmp_path: Path) -> None:
    made(tmp_path, "base/precious")
    with pytest.raises(Refused, match="name another --work"), claimed(tmp_path):
        pass
    assert (tmp_path / "base/precious").exists()
