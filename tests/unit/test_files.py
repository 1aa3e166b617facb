"""Files are whole or not there, and for their owner alone."""

import os
import stat
from pathlib import Path

import pytest

from otpbroker.files import replace_file


def test_a_file_is_replaced_whole_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("old and longer")
    path.chmod(0o644)
    replace_file(path, "new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


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
