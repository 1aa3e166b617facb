"""Files are whole or not there, and for their owner alone."""

import os
import stat
from pathlib import Path

import pytest

from otpbroker.files import erase_file, make_folder, replace_file


def test_a_file_is_replaced_whole_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("old and longer")
    path.chmod(0o644)
    replace_file(path, "new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


def test_a_file_that_others_read_keeps_its_mode_where_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "users.yaml"
    replace_file(path, "first", keep_access=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o664)
    replace_file(path, "second", keep_access=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o664, "whatever the umask is"


def test_a_new_file_that_others_may_read_has_its_mode_whatever_the_umask_is(tmp_path: Path) -> None:
    path = tmp_path / "users.yaml"
    umask = os.umask(0o077)
    try:
        replace_file(path, "first", mode=0o640, keep_access=True)
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "target"
    folder.mkdir()  # a folder can't be replaced by a file
    with pytest.raises(OSError, match="directory"):
        replace_file(folder, "new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["target"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_leaves_the_file_to_the_owner_of_its_folder(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12346)
    replace_file(tmp_path / "config.yaml", "x")
    made = (tmp_path / "config.yaml").stat()
    assert (made.st_uid, made.st_gid) == (12345, 12346)


def test_what_is_erased_is_written_over_before_it_is_removed(tmp_path: Path) -> None:
    path, witness = tmp_path / "secret", tmp_path / "witness"
    path.write_text("kata sandi")
    witness.hardlink_to(path)  # the octets as the disk has them after the removal
    erase_file(path)
    assert not path.exists()
    assert witness.read_bytes() == bytes(len("kata sandi"))
    erase_file(path)


def test_no_link_leads_the_erasing_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="symbolic links"):
        erase_file(tmp_path / "link")
    assert (tmp_path / "other").read_text() == "mine"


def test_a_folder_is_made_for_its_owner_alone_and_one_that_is_there_stays(tmp_path: Path) -> None:
    make_folder(tmp_path / "made")
    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o700
    (tmp_path / "made" / "file").touch()
    make_folder(tmp_path / "made")
    assert (tmp_path / "made" / "file").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")
def test_root_leaves_the_folder_to_the_owner_of_the_one_it_is_in(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12346)
    make_folder(tmp_path / "revisions")
    made = (tmp_path / "revisions").stat()
    assert (made.st_uid, made.st_gid) == (12345, 12346)
