"""Writing a card: never the wrong disk, never half, never without looking."""

import lzma
import random
from argparse import Namespace
from pathlib import Path

import pytest

from image.bmap import BLOCK, Run, make_map
from image.card_command import run_flash
from image.disks import Target, disk_at, target_at
from image.errors import Failed, Refused
from image.flash import refuse_unfit, source_of, write

GIB = 1 << 30


class Machine:
    """The part of /sys and /proc that tells about disks, as files."""

    def __init__(self, root: Path) -> None:
        self.sys, self.proc = root / "sys", root / "proc"
        (self.sys / "dev/block").mkdir(parents=True)
        (self.proc / "self").mkdir(parents=True)
        (self.proc / "self/mountinfo").touch()
        (self.proc / "swaps").write_text("Filename Type Size Used Priority\n")

    def add(self, number: str, name: str, size: int, *, partition_of: str = "", **facts: str) -> Path:
        folder = self.sys / "block" / (f"{partition_of}/{name}" if partition_of else name)
        (folder / "holders").mkdir(parents=True)
        values = {"dev": number, "size": str(size // 512), "ro": "0", **facts}
        values |= {"partition": "1"} if partition_of else {"removable": facts.get("removable", "1")}
        for fact, value in values.items():
            (folder / fact).parent.mkdir(exist_ok=True)
            (folder / fact).write_text(value + "\n")
        (self.sys / "dev/block" / number).symlink_to(folder)
        return folder

    def mount(self, number: str, point: str) -> None:
        with (self.proc / "self/mountinfo").open("a") as table:
            table.write(f"30 1 {number} / {point} rw,noatime - ext4 /dev/x rw\n")

    def disk(self, number: str, name: str) -> Target:
        return disk_at(Path("/dev") / name, number, sys=self.sys, proc=self.proc)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    it = Machine(tmp_path)
    it.add("8:16", "sdb", 8 * GIB, **{"device/vendor": "Generic", "device/model": "SD Reader"})
    it.add("8:17", "sdb1", GIB, partition_of="sdb")
    it.add("8:18", "sdb2", 7 * GIB, partition_of="sdb")
    return it


def test_a_card_that_is_nobodys_may_be_written(machine: Machine) -> None:
    card = machine.disk("8:16", "sdb")
    assert card.objections(2 * GIB) == []
    assert card.description() == "/dev/sdb: Generic SD Reader, 8.6 GB\n  sdb1, 1.1 GB\n  sdb2, 7.5 GB"


def test_a_card_with_a_mounted_partition_is_refused(machine: Machine) -> None:
    machine.mount("8:17", "/media/some\\040body/bootfs")
    assert machine.disk("8:16", "sdb").objections(2 * GIB) == [
        "it is mounted at /media/some body/bootfs: unmount it first"
    ]


@pytest.mark.parametrize("point", ["/", "/boot/firmware", "/home"])
def test_the_disk_that_this_machine_runs_from_is_refused(machine: Machine, point: str) -> None:
    machine.mount("8:18", point)
    assert "this machine runs from it" in machine.disk("8:16", "sdb").objections(2 * GIB)


def test_a_partition_is_not_a_card(machine: Machine) -> None:
    assert "it is a partition: name the whole disk" in machine.disk("8:17", "sdb1").objections(GIB)


def test_a_disk_behind_a_mapping_or_with_swap_is_refused(machine: Machine) -> None:
    (machine.sys / "block/sdb/sdb2/holders/dm-0").mkdir()
    (machine.proc / "swaps").write_text("Filename Type Size Used Priority\n/dev/sdb1 partition 100 0 -2\n")
    assert machine.disk("8:16", "sdb").objections(GIB) == ["it is in use by dm-0, swap on /dev/sdb1"]


def test_a_card_that_is_too_small_or_locked_is_refused(machine: Machine) -> None:
    machine.add("8:32", "sdc", GIB, ro="1")
    assert machine.disk("8:32", "sdc").objections(2 * GIB) == [
        "it is read-only: look for the lock switch of the card",
        "it has 1024 MiB, and 2048 MiB are needed",
    ]


def test_a_disk_that_cannot_be_taken_out_is_called_so(machine: Machine) -> None:
    machine.add("259:0", "nvme0n1", 500 * GIB, removable="0")
    assert "not removable" in machine.disk("259:0", "nvme0n1").description()


def test_a_folder_a_device_of_characters_and_a_misspelt_disk_are_refused(tmp_path: Path) -> None:
    for wrong in (tmp_path, Path("/dev/null"), Path("/dev/sdzz"), tmp_path / "absent/card"):
        with pytest.raises(Refused):
            target_at(wrong)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Data, a hole that is not mapped, data."""
    numbers = random.Random(7)
    path = tmp_path / "card.img"
    path.write_bytes(numbers.randbytes(3 * BLOCK) + bytes(4 * BLOCK) + numbers.randbytes(2 * BLOCK))
    (tmp_path / "card.img.bmap").write_text(make_map(path, [Run(3, 6)]).text())
    return path


def flash(image: Path, target: Path) -> list[str]:
    said: list[str] = []
    source = source_of(image)
    place = target_at(target)
    refuse_unfit(place, source)
    write(source, place, said.append)
    return said


def test_a_new_file_becomes_the_image(image: Path, tmp_path: Path) -> None:
    said = flash(image, tmp_path / "new")
    assert (tmp_path / "new").read_bytes() == image.read_bytes()
    assert said[-1].startswith("verified 100 %")


def test_a_packed_image_becomes_the_same(image: Path, tmp_path: Path) -> None:
    packed = tmp_path / "card.img.xz"
    packed.write_bytes(lzma.compress(image.read_bytes()))
    flash(packed, tmp_path / "new")
    assert (tmp_path / "new").read_bytes() == image.read_bytes()


def test_what_is_not_mapped_stays_as_it_was(image: Path, tmp_path: Path) -> None:
    target = tmp_path / "used"
    target.write_bytes(b"\xee" * 20 * BLOCK)
    flash(image, target)
    content = target.read_bytes()
    assert content[: 3 * BLOCK] == image.read_bytes()[: 3 * BLOCK]
    assert content[3 * BLOCK : 7 * BLOCK] == b"\xee" * 4 * BLOCK
    assert content[9 * BLOCK :] == b"\xee" * 11 * BLOCK


def test_a_file_that_is_too_small_is_left_as_it_was(image: Path, tmp_path: Path) -> None:
    target = tmp_path / "small"
    target.write_bytes(b"precious")
    with pytest.raises(Refused, match="are needed"):
        flash(image, target)
    assert target.read_bytes() == b"precious"


def test_a_damaged_image_is_found_out(image: Path, tmp_path: Path) -> None:
    damaged = bytearray(image.read_bytes())
    damaged[8 * BLOCK] ^= 1
    image.write_bytes(damaged)
    with pytest.raises(Failed, match="blocks 7 to 8 read back"):
        flash(image, tmp_path / "new")


def test_an_image_that_was_cut_short_is_found_out(image: Path, tmp_path: Path) -> None:
    packed = tmp_path / "card.img.xz"
    packed.write_bytes(lzma.compress(image.read_bytes()[: 8 * BLOCK]))
    with pytest.raises(Failed, match="ends before its block map"):
        flash(packed, tmp_path / "new")


@pytest.mark.parametrize("how", ["cut", "altered", "another file"])
def test_a_packed_image_that_is_damaged_is_called_so(image: Path, tmp_path: Path, how: str) -> None:
    content = bytearray(lzma.compress(image.read_bytes()))
    match how:
        case "cut":
            del content[len(content) // 2 :]
        case "altered":
            content[len(content) // 2] ^= 1
        case _:
            content[:] = b"<!doctype html><title>Not found</title>"
    packed = tmp_path / "card.img.xz"
    packed.write_bytes(content)
    with pytest.raises(Failed, match=r"card\.img\.xz is damaged: .*download it again"):
        flash(packed, tmp_path / "new")


def test_a_folder_that_is_no_units_is_refused_before_anything_is_erased(image: Path, tmp_path: Path) -> None:
    card = tmp_path / "card"
    card.write_bytes(b"precious" * BLOCK)
    (tmp_path / "unit/config.yaml").mkdir(parents=True)
    for unit in ("absent", "unit"):
        wishes = Namespace(image=image, target=card, unit=tmp_path / unit, yes=True)
        with pytest.raises(Refused, match=r"has no config\.yaml"):
            run_flash(wishes)
    assert card.read_bytes() == b"precious" * BLOCK


def test_a_packed_image_without_its_map_is_refused(image: Path, tmp_path: Path) -> None:
    packed = tmp_path / "other.img.xz"
    packed.write_bytes(lzma.compress(image.read_bytes()))
    with pytest.raises(Refused, match=r"other\.img\.bmap is not beside"):
        source_of(packed)


def test_a_plain_image_without_a_map_is_written_whole(image: Path, tmp_path: Path) -> None:
    (tmp_path / "card.img.bmap").unlink()
    assert source_of(image).block_map.mapped_bytes == 9 * BLOCK
