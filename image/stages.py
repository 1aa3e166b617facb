"""Artefacts of the stages, keyed by what they were made from, so that a build goes on where it was interrupted."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from image.errors import Refused
from image.progress import Progress

STAGES = ("base", "wheels", "root", "image", "outputs")
Input = str | int | bool | list[str] | dict[str, "Input"]


def key_of(inputs: Mapping[str, Input]) -> str:
    """The same for the same inputs, whatever their order; another one when any of them differs."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def digest_of(paths: Iterable[Path], *, root: Path) -> str:
    """Over names, contents and executable bits of files and of all in folders; what is absent counts as that."""
    digest = hashlib.sha256()
    for path in sorted(_files(paths)):
        kind = "link" if path.is_symlink() else "program" if path.stat().st_mode & 0o100 else "file"
        content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        digest.update(json.dumps([str(path.relative_to(root)), kind, len(content)]).encode() + content)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Workshop:
    """A folder with one per finished stage: `STAGE/`, and in it `.key`, written before the folder gets its name."""

    folder: Path
    progress: Progress

    def stage(self, name: str, summary: str, key: str, build: Callable[[Path], None]) -> Path:
        """The stage's folder: kept when made with the same key, else made anew. `build` fills an empty folder."""
        done = self.folder / name
        if self._key(done) == key:
            self.progress.kept(name, summary)
            return done
        partial = self.folder / f"{name}.partial"
        with self.progress.step(name, summary):
            for stale in (partial, done):
                remove_tree(stale)
            partial.mkdir(parents=True)
            build(partial)
            (partial / ".key").write_text(key, encoding="ascii")
            partial.rename(done)
        return done

    @staticmethod
    def _key(stage: Path) -> str | None:
        try:
            return (stage / ".key").read_text(encoding="ascii")
        except FileNotFoundError:
            return None


def remove_tree(folder: Path, *, mounts: str | None = None) -> None:
    """Remove a folder; `Refused` while something is mounted in it: its files would go too."""
    table = Path("/proc/self/mountinfo").read_text(encoding="utf-8") if mounts is None else mounts
    inside = [point for point in mount_points(table) if point == folder or point.is_relative_to(folder)]
    if inside:
        raise Refused(f"{inside[0]} is mounted: {folder} is not removed", remedy=f"umount {inside[0]}")
    if folder.exists():
        shutil.rmtree(folder)


def mount_points(table: str) -> list[Path]:
    """Of a /proc/self/mountinfo (proc_pid_mountinfo(5), field 5, octal escapes)."""
    fields = [line.split(" ")[4] for line in table.splitlines() if line]
    return [Path(field.encode("latin-1", "replace").decode("unicode_escape")) for field in fields]


def _files(paths: Iterable[Path]) -> Iterable[Path]:
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            inside = (p for p in path.rglob("*") if "__pycache__" not in p.parts)
            yield from (p for p in inside if p.is_symlink() or p.is_file())
        elif path.is_symlink() or path.exists():
            yield path
