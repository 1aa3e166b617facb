"""What stands at the place that somebody wants to write a card to, and every reason not to."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from image.errors import Refused
from image.layout import MIB
from image.stages import mount_points

# A disk with one of these mounted runs this machine.
_SYSTEM = {"/", "/boot", "/boot/efi", "/boot/firmware", "/home", "/usr", "/var"}


@dataclass(frozen=True, slots=True)
class Target:
    """A disk, or a plain file that stands for one. `size` is None for a file that is still to be made."""

    path: Path
    kind: Literal["disk", "partition", "file"]
    size: int | None
    model: str = ""
    removable: bool = False
    read_only: bool = False
    mounted: tuple[str, ...] = ()
    used_by: tuple[str, ...] = ()
    partitions: tuple[str, ...] = ()

    def objections(self, wanted: int) -> list[str]:
        """Why `wanted` bytes must not be written here; empty when they may."""
        found = []
        if self.kind == "partition":
            found.append("it is a partition: name the whole disk")
        if _SYSTEM.intersection(self.mounted):
            found.append("this machine runs from it")
        if self.mounted:
            found.append(f"it is mounted at {', '.join(self.mounted)}: unmount it first")
        if self.used_by:
            found.append(f"it is in use by {', '.join(self.used_by)}")
        if self.read_only:
            found.append("it is read-only: look for the lock switch of the card")
        if self.size is not None and self.size < wanted:
            found.append(f"it has {self.size // MIB} MiB, and {-(-wanted // MIB)} MiB are needed")
        return found

    def description(self) -> str:
        """What will be erased, for the person who is asked."""
        size = "new" if self.size is None else f"{self.size / 1e9:.1f} GB"
        facts = [
            self.model or self.kind,
            size,
            *([] if self.kind == "file" or self.removable else ["not removable"]),
        ]
        return "\n".join([f"{self.path}: {', '.join(facts)}", *(f"  {partition}" for partition in self.partitions)])


def target_at(path: Path, *, sys: Path = Path("/sys"), proc: Path = Path("/proc")) -> Target:
    """Links such as /dev/disk/by-id/... are followed, so that what is shown is what is written."""
    try:
        real = path.resolve()
        status = real.stat()
    except FileNotFoundError:
        if not path.parent.is_dir() or (path.parent.resolve().is_relative_to("/dev") and not _in_ram(path)):
            raise Refused(f"there is no {path}") from None
        return Target(path, "file", None)
    if stat.S_ISBLK(status.st_mode):
        number = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
        return disk_at(real, number, sys=sys, proc=proc)
    if stat.S_ISREG(status.st_mode):
        return Target(real, "file", status.st_size or None, read_only=not os.access(real, os.W_OK))
    raise Refused(f"{path} is neither a disk nor a file")


def disk_at(path: Path, number: str, *, sys: Path, proc: Path) -> Target:
    """The block device with this major:minor, as sysfs and procfs show it."""
    device = (sys / "dev/block" / number).resolve()
    is_partition = (device / "partition").exists()
    parts = sorted(part.parent for part in device.glob("*/partition"))
    numbers = {number, *(_text(part / "dev") for part in parts)}
    if is_partition:  # of a mounted disk, the sisters count as well
        numbers |= {_text(part) for part in device.parent.glob("*/dev")}
    names = {path.name, device.name, *(part.name for part in parts)}
    return Target(
        path=path,
        kind="partition" if is_partition else "disk",
        size=int(_text(device / "size") or 0) * 512,
        model=" ".join(filter(None, (_text(device / "device/vendor"), _text(device / "device/model")))),
        removable=_text(device / "removable") == "1",
        read_only=_text(device / "ro") == "1",
        mounted=_mounted(proc, numbers),
        used_by=(*_holders(device, parts), *_swaps(proc, names)),
        partitions=tuple(f"{part.name}, {int(_text(part / 'size') or 0) * 512 / 1e9:.1f} GB" for part in parts),
    )


def _mounted(proc: Path, numbers: set[str]) -> tuple[str, ...]:
    table = (proc / "self/mountinfo").read_text(encoding="utf-8").splitlines()
    lines = [line for line in table if line.split(" ")[2] in numbers]
    return tuple(dict.fromkeys(str(point) for point in mount_points("\n".join(lines))))


def _holders(device: Path, parts: list[Path]) -> list[str]:
    return sorted(holder.name for part in (device, *parts) for holder in (part / "holders").glob("*"))


def _swaps(proc: Path, names: set[str]) -> list[str]:
    lines = _text(proc / "swaps").splitlines()[1:]
    return [f"swap on {line.split()[0]}" for line in lines if Path(line.split()[0]).name in names]


def _in_ram(path: Path) -> bool:
    return path.parent.resolve().is_relative_to("/dev/shm")  # noqa: S108


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
