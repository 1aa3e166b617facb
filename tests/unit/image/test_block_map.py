"""The block map: every block that matters is in it, and only blocks that nobody reads are left out."""

import random
from pathlib import Path

import pytest

from image.bmap import BLOCK, BlockMap, Run, free_in_ext4, free_in_fat, make_map, parse
from image.errors import Refused
from image.layout import MIB


def image_of(path: Path, blocks: list[bytes]) -> Path:
    path.write_bytes(b"".join(block.ljust(BLOCK, b"\0") for block in blocks))
    return path


def mapped(block_map: BlockMap) -> list[tuple[int, int]]:
    return [(run.first, run.last) for run, _ in block_map.runs]


def test_zeros_in_use_are_mapped_and_free_ones_are_not(tmp_path: Path) -> None:
    """An inode table of zeros is not the same as whatever an old card has there."""
    image = image_of(tmp_path / "card.img", [b"boot", b"", b"", b"data", b""])
    assert mapped(make_map(image, [])) == [(0, 4)]
    assert mapped(make_map(image, [Run(2, 2), Run(4, 4)])) == [(0, 1), (3, 3)]


def test_what_is_free_but_not_empty_is_mapped(tmp_path: Path) -> None:
    """The map belongs to these bytes: an image with something there is written with it."""
    image = image_of(tmp_path / "card.img", [b"boot", b"remains"])
    assert mapped(make_map(image, [Run(1, 1)])) == [(0, 1)]


def test_a_map_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    image = tmp_path / "card.img"
    image.write_bytes(random.Random(1).randbytes(5 * BLOCK + 17))
    block_map = make_map(image, [])
    assert parse(block_map.text()) == block_map
    assert block_map.mapped_bytes == 5 * BLOCK + 17
    assert "<BlocksCount> 6 </BlocksCount>" in block_map.text()


def test_an_altered_map_is_refused(tmp_path: Path) -> None:
    text = make_map(image_of(tmp_path / "card.img", [b"boot", b""]), []).text()
    with pytest.raises(Refused, match="own checksum"):
        parse(text.replace("> 0-1 <", "> 0-0 <"))
    with pytest.raises(Refused, match="own checksum"):
        parse("<bmap/>")


def fat32(*, clusters: int, used: set[int]) -> bytes:
    """A FAT32 of one sector per cluster, as far as the map looks at it."""
    sectors_of_fat = -(-(clusters + 2) * 4 // 512)
    reserved = 32
    total = reserved + 2 * sectors_of_fat + clusters
    boot = bytearray(512)
    boot[11:13] = (512).to_bytes(2, "little")
    boot[13] = 1
    boot[14:16] = reserved.to_bytes(2, "little")
    boot[16] = 2
    boot[32:36] = total.to_bytes(4, "little")
    boot[36:40] = sectors_of_fat.to_bytes(4, "little")
    table = bytearray(sectors_of_fat * 512)
    for number in {0, 1} | used:
        table[number * 4 : number * 4 + 4] = (0x0FFFFFFF).to_bytes(4, "little")
    return bytes(boot) + bytes((reserved - 1) * 512) + bytes(table) * 2 + bytes(clusters * 512)


def test_only_blocks_without_a_used_cluster_are_free_in_a_fat(tmp_path: Path) -> None:
    """With 512 bytes a cluster, a block of 4096 is free only when all of its eight are."""
    image = tmp_path / "card.img"
    content = fat32(clusters=4096, used={2, 3, 500})
    image.write_bytes(bytes(MIB) + content)
    runs = list(free_in_fat(image, MIB))
    data = MIB + (32 + 2 * 33) * 512  # 33 sectors hold 4098 entries
    used = [data + (number - 2) * 512 for number in (2, 3, 500)]
    assert all(not (run.offset <= place < run.offset + run.size(1 << 40)) for run in runs for place in used)
    assert sum(run.size(1 << 40) for run in runs) > 4080 * 512 - 4 * BLOCK
    assert max(run.offset + run.size(1 << 40) for run in runs) <= MIB + len(content)


def test_free_blocks_of_an_ext4_are_those_that_dumpe2fs_names() -> None:
    dump = "Group 0: (Blocks 0-32767)\n  Free blocks: 5-6, 9\n  Free inodes: 12-100\nGroup 1:\n  Free blocks: \n"
    assert list(free_in_ext4(dump, 2 * BLOCK)) == [Run(7, 8), Run(11, 11)]
