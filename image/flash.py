"""`build.sh flash`: an image onto a disk, by its block map, every written byte read back."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from image.base_image import opened
from image.bmap import BlockMap, checksum, make_map, parse
from image.commands import Commands
from image.disks import Target
from image.errors import Failed, Refused
from image.layout import MIB, card_of
from image.parts import fat_of, put_on_boot

_CHUNK = 4 * MIB
PROVISIONING = "otpbroker/config.yaml"


@dataclass(frozen=True, slots=True)
class Source:
    """An image with its block map."""

    image: Path
    block_map: BlockMap


def source_of(image: Path) -> Source:
    """A compressed image needs its .bmap beside it; of a plain one without, every block is written."""
    if not image.is_file():
        raise Refused(f"there is no image {image}")
    plain = image.with_suffix("") if image.suffix == ".xz" else image
    beside = plain.with_name(plain.name + ".bmap")
    if beside.exists():
        return Source(image, parse(beside.read_text(encoding="utf-8")))
    if image.suffix == ".xz":
        raise Refused(f"{beside.name} is not beside {image.name}", remedy="put it there, or unpack the image")
    return Source(image, make_map(image, []))


def refuse_unfit(target: Target, source: Source) -> None:
    objections = target.objections(source.block_map.image_size)
    if objections:
        raise Refused(f"{target.path} is not written: {'; '.join(objections)}")


def write(source: Source, target: Target, say: Callable[[str], None]) -> None:
    """Write the mapped blocks and read them back. `refuse_unfit` comes before."""
    size = source.block_map.image_size
    # O_EXCL: the kernel itself refuses a disk that came into use since it was looked at.
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if target.kind == "file" else os.O_EXCL)
    try:
        descriptor = os.open(target.path, flags, 0o644)
    except OSError as error:
        raise Refused(f"{target.path}: {error.strerror}") from None
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        if target.kind == "file" and (target.size or 0) < size:
            file.truncate(size)
        with opened(source.image) as stream:
            _copy(stream, file, source.block_map, _Meter("written", source.block_map.mapped_bytes, say))
        os.fsync(file.fileno())
        # What is read back must come from the card, not from this machine's memory.
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        _verify(file, source.block_map, _Meter("verified", source.block_map.mapped_bytes, say))


def config_of(unit: Path) -> Path:
    """The provisioning file of a unit's folder; `Refused` when there is none."""
    config = unit / "config.yaml"
    if not config.is_file():
        raise Refused(f"{unit} has no config.yaml", remedy="build.sh personalise makes such folders")
    return config


def put_unit(target: Path, unit: Path, commands: Commands) -> None:
    """Make the card one unit's: its provisioning file goes to the boot partition, and is read back."""
    config = config_of(unit)
    card = card_of(target)
    put_on_boot(target, card, {PROVISIONING: config}, commands)
    with target.open("rb") as file:
        os.fsync(file.fileno())
    written = commands.read(["mtype", "-i", fat_of(target, card), f"::{PROVISIONING}"])
    if written != config.read_text(encoding="utf-8"):
        raise Failed("the provisioning file on the card is not what was written")


@dataclass(slots=True)
class _Meter:
    """Says how far it is, about every tenth."""

    what: str
    total: int
    say: Callable[[str], None]
    done: int = 0
    _said: int = 0
    _started: float = field(default_factory=time.monotonic)

    def add(self, count: int) -> None:
        self.done += count
        tenth = self.done * 10 // max(self.total, 1)
        if tenth > self._said:
            self._said = tenth
            rate = self.done / MIB / max(time.monotonic() - self._started, 0.001)
            self.say(f"{self.what} {tenth * 10:3d} % of {self.total // MIB} MiB, {rate:.0f} MiB/s")


def _copy(stream: BinaryIO, file: BinaryIO, block_map: BlockMap, meter: _Meter) -> None:
    """The stream is read once, from its beginning: it may be a decompressor."""
    position = 0
    for run, _ in block_map.runs:
        position += _skip(stream, run.offset - position)
        left = run.size(block_map.image_size)
        file.seek(run.offset)
        while left:
            chunk = stream.read(min(left, _CHUNK))
            if not chunk:
                raise Failed("the image ends before its block map does", remedy="download it again")
            _write_all(file, chunk)
            left -= len(chunk)
            position += len(chunk)
            meter.add(len(chunk))


def _skip(stream: BinaryIO, count: int) -> int:
    left = count
    while left:
        chunk = stream.read(min(left, _CHUNK))
        if not chunk:
            raise Failed("the image ends before its block map does", remedy="download it again")
        left -= len(chunk)
    return count


def _write_all(file: BinaryIO, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) :]


def _verify(file: BinaryIO, block_map: BlockMap, meter: _Meter) -> None:
    """Against the map's checksums, so that a damaged image is found as well as a bad card."""
    for run, expected in block_map.runs:
        size = run.size(block_map.image_size)
        if checksum(file, run.offset, size) != expected:
            raise Failed(
                f"blocks {run.first} to {run.last} read back are not the image's",
                remedy="try another card; if that fails too, download the image again",
            )
        meter.add(size)
