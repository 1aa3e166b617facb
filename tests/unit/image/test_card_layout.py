"""Where the partitions of a card are, and how big its root has to be."""

from pathlib import Path

import pytest

from image.errors import Failed, Refused
from image.layout import MIB, Card, Partition, card, read_card, root_mib
from image.pipeline import require_boot_files
from image.profile import Layout, load_profile
from image.verify import layout_objections


def mbr(card_: Card, kinds: tuple[int, int] = (0x0C, 0x83)) -> bytes:
    """A master boot record as sfdisk writes it."""
    entries = b"".join(
        bytes([0x80 if kind == 0x0C else 0, 0, 0, 0, kind, 0, 0, 0])
        + part.start.to_bytes(4, "little")
        + part.sectors.to_bytes(4, "little")
        for kind, part in zip(kinds, (card_.boot, card_.root), strict=True)
    )
    head = bytes(440) + int(card_.disk_id, 16).to_bytes(4, "little") + bytes(2)
    return head + entries + bytes(32) + b"\x55\xaa"


def test_the_layout_is_that_of_raspberry_pi_os() -> None:
    it = card(Layout(), 800)
    assert it.boot == Partition(start=8192, sectors=512 * 2048)
    assert it.root.start == 8192 + 512 * 2048
    assert it.size == (4 + 512 + 800) * MIB


def test_the_root_begins_aligned_also_after_an_odd_boot_partition() -> None:
    it = card(Layout(boot_mib=65), 800)
    assert it.root.offset == 72 * MIB
    assert layout_objections(it, it.size) == []


def test_sfdisk_is_told_bytes_for_bytes_what_was_computed() -> None:
    assert card(Layout(), 100, disk_id="0badcafe").script() == (
        "label: dos\nlabel-id: 0x0badcafe\nunit: sectors\n"
        "start=8192, size=1048576, type=c, bootable\nstart=1056768, size=204800, type=83\n"
    )


def test_what_is_on_a_card_is_read_back() -> None:
    it = card(Layout(), 100, disk_id="0badcafe")
    assert read_card(mbr(it)) == it


@pytest.mark.parametrize("kinds", [(0x83, 0x83), (0x0C, 0x82), (0xEE, 0x00)])
def test_another_table_is_refused(kinds: tuple[int, int]) -> None:
    with pytest.raises(Refused, match="not a FAT followed by a Linux root"):
        read_card(mbr(card(Layout(), 100), kinds))


def test_no_table_is_refused() -> None:
    with pytest.raises(Refused, match="no master boot record"):
        read_card(bytes(512))


@pytest.mark.parametrize(
    ("content", "inodes"), [(0, 1), (400 * MIB, 14_000), (3_000 * MIB, 200_000), (MIB, 500_000)]
)
def test_the_root_holds_content_journal_inode_tables_and_what_is_to_be_free(content: int, inodes: int) -> None:
    size = root_mib(content, inodes, spare_mib=256)
    assert size % 4 == 0
    assert size * MIB >= content + inodes * 256 + (256 + 64) * MIB
    assert size * MIB <= content * 1.1 + inodes * 300 + 360 * MIB


def test_a_boot_partition_that_lacks_a_boards_files_is_not_assembled(tmp_path: Path) -> None:
    wanted = load_profile("debian").architectures["arm64"]
    for name in (*wanted.device_trees[1:], "config.txt", "cmdline.txt"):
        (tmp_path / name).touch()
    with pytest.raises(Failed, match=wanted.device_trees[0]):
        require_boot_files(tmp_path, wanted)
    (tmp_path / wanted.device_trees[0]).touch()
    require_boot_files(tmp_path, wanted)


def test_a_command_line_that_stops_a_raspberry_pi_4_is_not_assembled(tmp_path: Path) -> None:
    wanted = load_profile("debian").architectures["arm64"]
    for name in (*wanted.device_trees, "config.txt"):
        (tmp_path / name).touch()
    (tmp_path / "cmdline.txt").write_text("console=tty0 root=LABEL=rootfs rw cma=64M rootwait\n")
    with pytest.raises(Failed, match="sets cma="):
        require_boot_files(tmp_path, wanted)
    (tmp_path / "cmdline.txt").write_text("console=tty0 root=LABEL=rootfs rw rootwait schema=x\n")
    require_boot_files(tmp_path, wanted)


def test_a_card_that_does_not_fit_its_file_is_found() -> None:
    it = card(Layout(), 100)
    assert "its partitions end at" in layout_objections(it, it.size - 1)[0]
    overlapping = Card(it.boot, Partition(it.boot.start + 8192, it.root.sectors), it.disk_id)
    assert "the partitions overlap" in layout_objections(overlapping, overlapping.size)
