"""A build goes on where it was interrupted, and never uses what was made from something else."""

import io
from pathlib import Path

import pytest

from image.errors import Refused
from image.progress import Progress
from image.stages import Workshop, digest_of, key_of, mount_points, remove_tree


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path / "work", Progress(total=2, stream=io.StringIO()))


class Maker:
    """Makes an artefact and counts how often it had to."""

    def __init__(self, content: str = "made") -> None:
        self.content = content
        self.times = 0

    def __call__(self, folder: Path) -> None:
        self.times += 1
        (folder / "artefact").write_text(self.content)


def interrupted(folder: Path) -> None:
    (folder / "artefact").write_text("half")
    raise KeyboardInterrupt


def test_the_same_inputs_keep_the_artefact(workshop: Workshop) -> None:
    make = Maker()
    folders = {workshop.stage("base", "packages", "key-1", make) for _ in range(2)}
    assert make.times == 1
    assert (folders.pop() / "artefact").read_text() == "made"


def test_other_inputs_make_it_anew_and_leave_nothing_of_the_old(workshop: Workshop) -> None:
    (workshop.stage("base", "packages", "key-1", Maker()) / "leftover").touch()
    folder = workshop.stage("base", "packages", "key-2", Maker("anew"))
    assert sorted(path.name for path in folder.iterdir()) == [".key", "artefact"]
    assert (folder / "artefact").read_text() == "anew"


def test_an_interrupted_stage_counts_as_not_made(workshop: Workshop) -> None:
    with pytest.raises(KeyboardInterrupt):
        workshop.stage("base", "packages", "key-1", interrupted)
    assert not (workshop.folder / "base").exists()
    assert (workshop.stage("base", "packages", "key-1", Maker()) / "artefact").read_text() == "made"


def test_a_stage_that_fails_has_destroyed_the_outdated_one(workshop: Workshop) -> None:
    """Else the next run could keep it although a later stage was made from neither."""
    workshop.stage("base", "packages", "key-1", Maker())
    with pytest.raises(KeyboardInterrupt):
        workshop.stage("base", "packages", "key-2", interrupted)
    assert not (workshop.folder / "base").exists()


def test_the_person_sees_what_was_kept_and_how_long_the_rest_took(workshop: Workshop) -> None:
    workshop.stage("base", "packages", "key-1", Maker())
    workshop.stage("base", "packages", "key-1", Maker())
    shown = workshop.progress.stream
    assert isinstance(shown, io.StringIO)
    assert "[1/2] base: packages\n" in shown.getvalue()
    assert "[2/2] base: packages: kept" in shown.getvalue()
    assert "kept" in workshop.progress.table()


def test_a_key_depends_on_every_input_and_not_on_their_order() -> None:
    assert key_of({"a": 1, "b": ["x"]}) == key_of({"b": ["x"], "a": 1})
    assert len({key_of({"a": 1}), key_of({"a": 2}), key_of({"a": "1"}), key_of({"b": 1}), key_of({})}) == 5


def test_a_digest_sees_contents_names_programs_links_and_absence(tmp_path: Path) -> None:
    source = tmp_path / "role"
    source.mkdir()
    (source / "main.yml").write_text("a")
    seen = {digest_of([source], root=tmp_path)}
    (source / "main.yml").write_text("b")
    seen.add(digest_of([source], root=tmp_path))
    (source / "main.yml").chmod(0o755)
    seen.add(digest_of([source], root=tmp_path))
    (source / "main.yml").rename(source / "other.yml")
    seen.add(digest_of([source], root=tmp_path))
    (source / "link").symlink_to("other.yml")
    seen.add(digest_of([source], root=tmp_path))
    seen.add(digest_of([tmp_path / "absent"], root=tmp_path))
    assert len(seen) == 6


def test_a_digest_does_not_see_what_python_compiled(tmp_path: Path) -> None:
    (tmp_path / "module.py").touch()
    before = digest_of([tmp_path], root=tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__/module.pyc").touch()
    assert digest_of([tmp_path], root=tmp_path) == before


def test_a_tree_with_a_mount_in_it_is_not_removed(tmp_path: Path) -> None:
    tree = tmp_path / "a tree"
    tree.mkdir()
    mounts = f"36 35 0:5 / {str(tree).replace(' ', chr(92) + '040')}/dev rw - devtmpfs udev rw\n"
    with pytest.raises(Refused, match="is mounted"):
        remove_tree(tree, mounts=mounts)
    assert tree.exists()
    remove_tree(tree, mounts=mounts.replace("a\\040tree", "another"))
    assert not tree.exists()


def test_mount_points_with_blanks_are_read() -> None:
    assert mount_points("1 2 8:1 / /media/a\\040b rw - ext4 /dev/sda1 rw\n") == [Path("/media/a b")]
