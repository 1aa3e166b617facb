"""What `build.sh image` makes of its surroundings before it builds."""

import io
import subprocess
from pathlib import Path

import pytest

from image.archives import Archives
from image.build_command import epoch_of, git_head
from image.errors import Refused
from image.pipeline import SOURCES, WHEEL_SOURCES, Pipeline, Plan
from image.profile import choose
from image.progress import Progress
from image.stages import key_of


def git(clone: Path, *words: str) -> None:
    name = ["-c", "user.name=maker", "-c", "user.email=maker@example.org"]
    subprocess.run(["git", "-C", clone, *name, *words], check=True, capture_output=True)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository in which everything that an image is made from was committed at once."""
    for source in SOURCES:
        path = tmp_path / source
        if path.suffix or source == "LICENSE":
            path.parent.mkdir(exist_ok=True)
            path.write_text("first")
        else:
            path.mkdir(exist_ok=True)
            (path / "file").write_text("first")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "First")
    return tmp_path


@pytest.mark.parametrize("name", [name for name in WHEEL_SOURCES if name != "agent"])
def test_the_manifests_commit_gives_these_bytes_also_where_only_the_wheel_differs(clone: Path, name: str) -> None:
    first, _ = git_head(clone)
    (clone / name).write_text("second")
    assert git_head(clone)[0] == f"{first}-changed"
    git(clone, "commit", "--quiet", "--all", "--message", "Second")
    assert git_head(clone)[0] not in {first, f"{first}-changed"}


def test_what_no_image_is_made_from_does_not_change_its_commit(clone: Path) -> None:
    first = git_head(clone)
    (clone / "tests").mkdir()
    (clone / "tests/test_x.py").touch()
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "--message", "Tests")
    assert git_head(clone) == first


def test_an_image_is_packed_anew_when_it_is_to_be_packed_harder(clone: Path) -> None:
    keys = set()
    profile, board = choose("debian", None, None)
    for preset in (2, 2, 9):
        layout = profile.layout.model_copy(update={"xz_preset": preset})
        plan = Plan(
            repo=clone,
            profile=profile.model_copy(update={"layout": layout}),
            board=board,
            archives=Archives({}, {}),
            playbook=clone / "ansible/file",
            work=clone / "build",
            version="0.1.0",
            commit="0" * 40,
            epoch=1_790_000_000,
        )
        _, inputs, _ = Pipeline(plan, Progress(stream=io.StringIO())).stage("outputs", {}, {"image": "key"})
        keys.add(key_of(inputs))
    assert len(keys) == 2


def test_the_newest_time_of_a_file_is_the_commits_unless_somebody_names_another() -> None:
    assert epoch_of(None, 1_790_000_000) == 1_790_000_000
    assert epoch_of("1760000000", 1_790_000_000) == 1_760_000_000


@pytest.mark.parametrize("wish", ["", "abc", "-1", "1.5", "1_0"])
def test_a_time_that_is_no_number_of_seconds_is_refused(wish: str) -> None:
    with pytest.raises(Refused, match=r"SOURCE_DATE_EPOCH is .*unset it"):
        epoch_of(wish, 1_790_000_000)
