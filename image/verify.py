"""`build.sh verify`: whether an image is sound, and whether anything of its build or of a unit is in it."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from image.base_image import opened
from image.commands import Commands, require
from image.errors import Failed
from image.layout import MIB, Card, card_of
from image.parts import boot_files, copy_boot, copy_out
from image.private import BOOT, Marks, file_objections, is_published, published

# Where a build or a unit leaves its own; the rest of the root is files of packages as they were published.
SCANNED = ("etc", "home", "opt", "root", "srv", "usr/lib", "usr/local", "var")


def verify(image: Path, marks: Marks, scratch: Path, commands: Commands, say: Callable[[str], None]) -> None:
    """`Failed` with every objection, after all checks were made."""
    require("fsck.fat", "e2fsck", "debugfs", "mdir")
    with _unpacked(image, scratch) as raw:
        card = card_of(raw)
        objections: list[str] = []
        checks: tuple[tuple[str, Callable[[], list[str]]], ...] = (
            ("layout", lambda: layout_objections(card, raw.stat().st_size)),
            ("file systems", lambda: _file_systems(raw, card, scratch, commands)),
            ("boot partition", lambda: _boot(raw, card, scratch, marks, commands)),
            ("files of a unit or of the build", lambda: _tree(raw, card, scratch, marks, commands)),
            ("traces in any block", lambda: trace_objections(raw, marks)),
        )
        for name, check in checks:
            found = check()
            say(f"{'ok' if not found else 'NOT OK':<6} {name}")
            objections += found
    if objections:
        raise Failed("the image is not fit to be handed out:\n  " + "\n  ".join(objections))


def layout_objections(card: Card, size: int) -> list[str]:
    objections = []
    if card.boot.offset % (4 * MIB) or card.root.offset % (4 * MIB):
        objections.append("the partitions do not begin at multiples of 4 MiB")
    if card.boot.offset + card.boot.size > card.root.offset:
        objections.append("the partitions overlap")
    if card.size != size:
        objections.append(f"the image has {size} bytes, but its partitions end at {card.size}")
    return objections


def boot_objections(names: list[str]) -> list[str]:
    """An image for everybody has no provisioning file and no brochure."""
    return [
        f"bootfs:{name}: made for one unit"
        for name in names
        if name.lower().startswith("otpbroker/") and name[-1] != "/"
    ]


def trace_objections(image: Path, marks: Marks) -> list[str]:
    """Looked for in every byte, deleted files included."""
    found: set[str] = set()
    longest = max(len(folder) for folder in marks.folders) if marks.folders else 0
    with image.open("rb") as file:
        tail = b""
        while chunk := file.read(16 * MIB):
            window = tail + chunk
            found |= {folder for folder in marks.folders if folder.encode() in window}
            tail = window[-longest:] if longest else b""
    return [f"the build's folder {folder} is named somewhere in the image" for folder in sorted(found)]


def _file_systems(image: Path, card: Card, scratch: Path, commands: Commands) -> list[str]:
    objections = []
    for name, partition, check in (
        ("bootfs", card.boot, ["fsck.fat", "-n"]),
        ("rootfs", card.root, ["e2fsck", "-f", "-n"]),
    ):
        part = scratch / name
        copy_out(image, partition, part)
        try:
            commands.run([*check, part])
        except Failed as failed:
            objections.append(f"{name}: {failed.detail}")
        finally:
            part.unlink()
    return objections


def _boot(image: Path, card: Card, scratch: Path, marks: Marks, commands: Commands) -> list[str]:
    folder = scratch / "boot"
    folder.mkdir()
    copy_boot(image, card, folder, commands)
    objections = boot_objections(boot_files(image, card, commands))
    for name, content in _files(folder):
        objections += file_objections(BOOT + name, content, marks)
    shutil.rmtree(folder)
    return objections


def _tree(image: Path, card: Card, scratch: Path, marks: Marks, commands: Commands) -> list[str]:
    tree = scratch / "tree"
    tree.mkdir()
    for folder in SCANNED:
        target = (tree / folder).parent
        target.mkdir(parents=True, exist_ok=True)
        commands.run(["debugfs", "-R", f"rdump /{folder} {target}", f"{image}?offset={card.root.offset}"])
    objections = tree_objections(tree, marks)
    shutil.rmtree(tree)
    return objections


def tree_objections(tree: Path, marks: Marks) -> list[str]:
    """Of a root file system, or of its folders `SCANNED` alone."""
    digests = published(tree / "var/lib/dpkg/info")
    objections = []
    for name, content in _files(tree):
        # Libraries hold keys to test themselves with.
        if not (name.startswith("usr/lib/") and is_published(name, content, digests)):
            objections += file_objections(name, content, marks)
    return objections


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink()):
        yield str(path.relative_to(folder)), path.read_bytes()


@contextmanager
def _unpacked(image: Path, scratch: Path) -> Iterator[Path]:
    if image.suffix != ".xz":
        yield image
        return
    raw = scratch / image.stem
    with opened(image) as source, raw.open("wb") as target:
        shutil.copyfileobj(source, target, 4 * MIB)
    yield raw
    raw.unlink()
