"""The block map of an image (bmap 2.0): which blocks must be written, and their checksums.

A hole in the image's file is not the same as a block that need not be written: inode tables and the journal are
zeros that matter. So the map is made from what the file systems say is free, not from the holes of the file.
"""

import hashlib
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from image.errors import Refused
from image.layout import MIB

BLOCK = 4096
_CHUNK = 4 * MIB
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Run:
    """Blocks `first` to `last`, both included."""

    first: int
    last: int

    @property
    def offset(self) -> int:
        return self.first * BLOCK

    def size(self, image_size: int) -> int:
        return min((self.last + 1) * BLOCK, image_size) - self.offset


@dataclass(frozen=True, slots=True)
class BlockMap:
    """What a .bmap file says: the image's size in bytes and each run of mapped blocks with its SHA-256."""

    image_size: int
    runs: tuple[tuple[Run, str], ...]

    @property
    def mapped_bytes(self) -> int:
        return sum(run.size(self.image_size) for run, _ in self.runs)

    def text(self) -> str:
        """The XML document, whose own checksum is taken with that checksum as 64 zeros."""
        blocks = -(-self.image_size // BLOCK)
        mapped = sum(run.last - run.first + 1 for run, _ in self.runs)
        ranges = "".join(
            f'        <Range chksum="{checksum}"> {run.first}-{run.last} </Range>\n' for run, checksum in self.runs
        )
        zeros = "0" * 64
        text = (
            '<?xml version="1.0" ?>\n<bmap version="2.0">\n'
            f"    <ImageSize> {self.image_size} </ImageSize>\n    <BlockSize> {BLOCK} </BlockSize>\n"
            f"    <BlocksCount> {blocks} </BlocksCount>\n    <MappedBlocksCount> {mapped} </MappedBlocksCount>\n"
            "    <ChecksumType> sha256 </ChecksumType>\n"
            f"    <BmapFileChecksum> {zeros} </BmapFileChecksum>\n"
            f"    <BlockMap>\n{ranges}    </BlockMap>\n</bmap>\n"
        )
        return text.replace(zeros, hashlib.sha256(text.encode()).hexdigest(), 1)


def parse(text: str) -> BlockMap:
    """A checked map; `Refused` when it was altered or is of another kind."""
    stated = re.search(r"<BmapFileChecksum>\s*([0-9a-f]{64})\s*</BmapFileChecksum>", text)
    if stated is None or hashlib.sha256(text.replace(stated[1], "0" * 64, 1).encode()).hexdigest() != stated[1]:
        raise Refused("the block map's own checksum does not hold")
    root = ET.fromstring(text)  # noqa: S314 - its checksum held, and it has no entities that we made
    if (
        root.findtext("BlockSize", "").strip() != str(BLOCK)
        or root.findtext("ChecksumType", "").strip() != "sha256"
    ):
        raise Refused("the block map is of another kind: blocks of 4096 bytes and SHA-256 are wanted")
    runs = []
    for element in root.iterfind("BlockMap/Range"):
        first, _, last = (element.text or "").strip().partition("-")
        checksum = element.get("chksum", "")
        if not _SHA256.fullmatch(checksum):
            raise Refused("a range of the block map has no checksum")
        runs.append((Run(int(first), int(last or first)), checksum))
    return BlockMap(int(root.findtext("ImageSize", "")), tuple(runs))


def make_map(image: Path, free: Iterable[Run]) -> BlockMap:
    """Everything but the `free` runs that hold nothing but zeros."""
    size = image.stat().st_size
    blocks = -(-size // BLOCK)
    with image.open("rb") as file:
        left_out = [run for run in free if _is_zero(file, run, size)]
        runs = tuple((run, checksum(file, run.offset, run.size(size))) for run in _complement(left_out, blocks))
    return BlockMap(size, runs)


def free_in_fat(image: Path, offset: int) -> Iterator[Run]:
    """Runs of the image's blocks in which no cluster of the FAT32 at `offset` is in use."""
    with image.open("rb") as file:
        file.seek(offset)
        boot = file.read(512)
        sector = int.from_bytes(boot[11:13], "little")
        cluster = boot[13] * sector
        reserved = int.from_bytes(boot[14:16], "little") * sector
        fat = int.from_bytes(boot[36:40], "little") * sector
        total = int.from_bytes(boot[32:36], "little") * sector
        data = reserved + boot[16] * fat
        file.seek(offset + reserved)
        table = memoryview(file.read(fat)).cast("I")
    clusters = (total - data) // cluster
    # The upper four bits of an entry are reserved (FAT specification, 4.1).
    free = (number for number in range(2, clusters + 2) if not table[number] & 0x0FFFFFFF)
    for first, last in _merged(free):
        start = offset + data + (first - 2) * cluster
        yield from _inner_blocks(start, start + (last - first + 1) * cluster)


def free_in_ext4(dump: str, offset: int) -> Iterator[Run]:
    """The same for an ext4 at `offset`, from what dumpe2fs says of its groups. Its blocks are of 4096 bytes."""
    for line in re.findall(r"^  Free blocks: (.+)$", dump, re.MULTILINE):
        for part in line.split(", "):
            first, _, last = part.partition("-")
            yield from _inner_blocks(offset + int(first) * BLOCK, offset + (int(last or first) + 1) * BLOCK)


def checksum(file: BinaryIO, offset: int, size: int) -> str:
    digest = hashlib.sha256()
    file.seek(offset)
    while size:
        chunk = file.read(min(size, _CHUNK))
        if not chunk:
            break
        digest.update(chunk)
        size -= len(chunk)
    return digest.hexdigest()


def _is_zero(file: BinaryIO, run: Run, image_size: int) -> bool:
    file.seek(run.offset)
    left = run.size(image_size)
    while left:
        chunk = file.read(min(left, _CHUNK))
        if chunk.count(0) != len(chunk):
            return False
        left -= len(chunk)
    return True


def _inner_blocks(start: int, end: int) -> Iterator[Run]:
    first, last = -(-start // BLOCK), end // BLOCK - 1
    if first <= last:
        yield Run(first, last)


def _merged(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    first = last = -1
    for number in numbers:
        if number != last + 1 or first < 0:
            if first >= 0:
                yield first, last
            first = number
        last = number
    if first >= 0:
        yield first, last


def _complement(left_out: Iterable[Run], blocks: int) -> Iterator[Run]:
    following = 0
    for run in sorted(left_out, key=lambda run: run.first):
        if run.first > following:
            yield Run(following, run.first - 1)
        following = max(following, run.last + 1)
    if following < blocks:
        yield Run(following, blocks - 1)
