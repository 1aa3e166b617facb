"""Arithmetic of the card: where its two partitions begin and end. Sectors of 512 bytes, aligned to 4 MiB."""

from dataclasses import dataclass
from pathlib import Path

from image.errors import Refused
from image.profile import Layout

SECTOR = 512
MIB = 1024 * 1024
ALIGN_MIB = 4
_JOURNAL_MIB = 64
_BYTES_PER_INODE = 16384
_INODE = 256


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition by its first sector and its length in sectors."""

    start: int
    sectors: int

    @property
    def offset(self) -> int:
        return self.start * SECTOR

    @property
    def size(self) -> int:
        return self.sectors * SECTOR


@dataclass(frozen=True, slots=True)
class Card:
    """The partitions of one image; `disk_id` is the MBR's signature, from which PARTUUIDs are made."""

    boot: Partition
    root: Partition
    disk_id: str

    @property
    def size(self) -> int:
        return self.root.offset + self.root.size

    def script(self) -> str:
        """For sfdisk(8)."""
        return (
            f"label: dos\nlabel-id: 0x{self.disk_id}\nunit: sectors\n"
            f"start={self.boot.start}, size={self.boot.sectors}, type=c, bootable\n"
            f"start={self.root.start}, size={self.root.sectors}, type=83\n"
        )


def root_mib(content: int, inodes: int, spare_mib: int) -> int:
    """Size of an ext4 file system for `content` bytes in `inodes` files with `spare_mib` free, a multiple of 4 MiB.

    Beside the content there are the inode tables, the journal, and about 1.5 % for bitmaps, group descriptors,
    extents and the growth of directories.
    """
    wanted = int(content * 1.015) + (spare_mib + _JOURNAL_MIB) * MIB
    tables = max(wanted // _BYTES_PER_INODE, int(inodes * 1.1)) * _INODE
    mib = -(-(wanted + tables) // MIB)
    return -(-mib // ALIGN_MIB) * ALIGN_MIB


def card(layout: Layout, root_size_mib: int, *, disk_id: str | None = None) -> Card:
    """A gap of 4 MiB, the FAT, the root: as on cards of Raspberry Pi OS."""
    per_mib = MIB // SECTOR
    boot = Partition(ALIGN_MIB * per_mib, layout.boot_mib * per_mib)
    end = boot.start + boot.sectors
    start = -(-end // (ALIGN_MIB * per_mib)) * ALIGN_MIB * per_mib
    return Card(boot, Partition(start, root_size_mib * per_mib), disk_id or layout.disk_id)


def read_card(mbr: bytes) -> Card:
    """The card that a master boot record describes; `Refused` unless it is FAT32 (LBA) followed by Linux."""
    if len(mbr) < SECTOR or mbr[510:512] != b"\x55\xaa":
        raise Refused("there is no master boot record")
    entries = [mbr[446 + 16 * index : 462 + 16 * index] for index in range(4)]
    if [entry[4] for entry in entries] != [0x0C, 0x83, 0, 0]:
        raise Refused("the partitions are not a FAT followed by a Linux root, as on a card of Raspberry Pi OS")
    parts = [Partition(int.from_bytes(e[8:12], "little"), int.from_bytes(e[12:16], "little")) for e in entries[:2]]
    return Card(parts[0], parts[1], f"{int.from_bytes(mbr[440:444], 'little'):08x}")


def card_of(image: Path) -> Card:
    with image.open("rb") as file:
        return read_card(file.read(SECTOR))
