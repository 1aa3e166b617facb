"""The folder of one plan: one build at a time is at work in it, and `build.sh clean` knows it for a build's."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from image.errors import Refused
from image.stages import STAGES, remove_tree

MARK = ".otpbroker-build"


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Until the end nobody else builds or cleans here; the folder is made when there is none.

    `Refused` when somebody does already, and when the folder holds something and is no build's.
    """
    if folder.exists() and not is_build(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(f"{folder} holds what no build made", remedy="name another --work")
    folder.mkdir(parents=True, exist_ok=True)
    # The kernel lets go of it when this process ends, however it does; the mark stays.
    with (folder / MARK).open("a") as mark:
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(
                f"somebody else is at work in {folder}", remedy="wait for its end, or name another --work"
            ) from None
        yield


def is_build(folder: Path) -> bool:
    """Whether a build left its mark here, or a finished step."""
    return any((folder / name).is_file() for name in (MARK, *(f"{stage}/.key" for stage in STAGES)))


def clear(folder: Path) -> list[str]:
    """Remove what builds made here, and the folder if nothing else is in it; the names of what is."""
    with claimed(folder):
        for name in (*(kind for stage in STAGES for kind in (stage, f"{stage}.partial")), "log"):
            remove_tree(folder / name)
        (folder / MARK).unlink()
    left = sorted(path.name for path in folder.iterdir())
    if not left:
        folder.rmdir()
    return left
