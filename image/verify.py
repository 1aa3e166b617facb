"""`build.sh verify`: whether an image is sound, and whether anything of its build or of a unit is in it."""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from image.base_image import opened
from image.commands import Commands, require
from image.errors import Failed
from image.layout import MIB, Card, card_of
from image.parts import boot_files, copy_out

# Where a build or a unit leaves its own; the rest of the root is files of packages as they were published.
SCANNED = ("etc", "home", "opt", "root", "srv", "usr/local", "var")
UNIT_FILES = (
    re.compile(r"etc/ssh/ssh_host_\w+_key(\.pub)?"),
    re.compile(r"var/lib/otpbroker/.+"),
    re.compile(r"var/lib/NetworkManager/(secret_key|.*\.lease)"),
    re.compile(r"etc/NetworkManager/system-connections/.+"),
    re.compile(r"var/lib/systemd/(random-seed|credential\.secret)"),
    re.compile(r"var/lib/dbus/machine-id"),
    re.compile(r"(root|home/[^/]+)/\.(ssh/authorized_keys|bash_history|ansible|cache)(/.*)?"),
    re.compile(r"var/log/.+"),
    re.compile(r"var/lib/apt/lists/.*(Packages|InRelease|Release).*"),
)
_PRIVATE_KEY = re.compile(rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s+[A-Za-z0-9+/=\s]{64}")
_PASSWORD_HASH = re.compile(
    rb"\$argon2id?\$v=\d+\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]{8}|^[\w-]+:\$[0-9a-z]+\$", re.MULTILINE
)
# Files that tell a hash's form or hold keys for everybody to see: tests and examples of libraries.
_EXAMPLES = re.compile(r"opt/otpbroker/venv/lib/.*/site-packages/.*\.(py|pyc|pyi)$|.*/site-packages/.*/METADATA$")
_SHORTEST_NAME = 5
_NAMING_FILES = {"etc/hostname", "etc/hosts", "etc/mailname"}


@dataclass(frozen=True, slots=True)
class Marks:
    """What would tell of the build: its folders and its host."""

    folders: tuple[str, ...]
    host_name: str


def verify(image: Path, marks: Marks, scratch: Path, commands: Commands, say: Callable[[str], None]) -> None:
    """`Failed` with every objection, after all checks were made."""
    require("fsck.fat", "e2fsck", "debugfs", "mdir")
    with _unpacked(image, scratch) as raw:
        card = card_of(raw)
        objections: list[str] = []
        checks: tuple[tuple[str, Callable[[], list[str]]], ...] = (
            ("layout", lambda: layout_objections(card, raw.stat().st_size)),
            ("file systems", lambda: _file_systems(raw, card, scratch, commands)),
            ("boot partition", lambda: boot_objections(boot_files(raw, card, commands))),
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


def file_objections(name: str, content: bytes, marks: Marks) -> list[str]:
    """What is wrong with one file of the root file system; `name` is relative to the root."""
    objections = []
    if any(pattern.fullmatch(name) for pattern in UNIT_FILES) and content:
        objections.append(f"{name}: belongs to one unit or to the build")
    if name == "etc/machine-id" and content:
        objections.append(f"{name}: every unit would have the same")
    if not _EXAMPLES.fullmatch(name):
        if _PRIVATE_KEY.search(content):
            objections.append(f"{name}: a private key")
        if _PASSWORD_HASH.search(content):
            objections.append(f"{name}: the hash of a password")
    # A short name is also a part of many other things: it is looked for where names of hosts are.
    if len(marks.host_name) >= _SHORTEST_NAME or (marks.host_name and name in _NAMING_FILES):
        word = re.escape(marks.host_name.encode())
        if re.search(rb"(?<![\w.-])" + word + rb"(?![\w.-])", content):
            objections.append(f"{name}: the name of the build host")
    return objections


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


def _tree(image: Path, card: Card, scratch: Path, marks: Marks, commands: Commands) -> list[str]:
    tree = scratch / "tree"
    tree.mkdir()
    for folder in SCANNED:
        target = (tree / folder).parent
        target.mkdir(parents=True, exist_ok=True)
        commands.run(["debugfs", "-R", f"rdump /{folder} {target}", f"{image}?offset={card.root.offset}"])
    objections = []
    for path in sorted(p for p in tree.rglob("*") if p.is_file() and not p.is_symlink()):
        objections += file_objections(str(path.relative_to(tree)), path.read_bytes(), marks)
    shutil.rmtree(tree)
    return objections


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
