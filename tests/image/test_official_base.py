"""The way from an official image: here one of the same layout, made from the packages that are here."""

import hashlib
import lzma
import os
import shutil
from pathlib import Path

import pytest

from image.assemble import Assembly, assemble
from image.base_image import OfficialImage, unpack_official
from image.commands import Commands
from image.errors import Refused
from image.profile import Layout
from image.provision import unpack
from image.tree import settle_times

EPOCH = 1_790_000_000


@pytest.fixture(scope="session")
def stand_in(stages: Path, in_ram: Path) -> Path:
    """bootfs and rootfs on a DOS table with its own identity, which fstab and cmdline.txt name; packed by xz."""
    commands = Commands(in_ram / "log")
    tree, boot = in_ram / "official-tree", in_ram / "official-boot"
    unpack(stages / "base/base.tar", tree, commands)
    (tree / "boot/firmware").rename(boot)
    (tree / "boot/firmware").mkdir()
    (boot / "cmdline.txt").write_text("root=PARTUUID=0badcafe-02 rootfstype=ext4 rootwait\n")
    (boot / "overlays").mkdir()
    (boot / "overlays/README").write_text("device tree overlays\n")
    (tree / "etc/fstab").write_text("PARTUUID=0badcafe-01 /boot/firmware vfat defaults 0 2\n")
    settle_times(tree, EPOCH)
    image = in_ram / "official.img"
    assemble(Assembly(boot, tree, Layout(spare_mib=64), EPOCH, disk_id="0badcafe"), image, commands)
    shutil.rmtree(boot)
    packed = image.with_suffix(".img.xz")
    packed.write_bytes(lzma.compress(image.read_bytes(), preset=0))
    image.unlink()
    return packed


def checksum(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_its_files_owners_and_rights_are_taken_over(stand_in: Path, in_ram: Path) -> None:
    folder = in_ram / "official-base"
    folder.mkdir()
    unpack_official(OfficialImage(stand_in, checksum(stand_in)), folder, Commands(in_ram / "log"))
    assert sorted(path.name for path in folder.iterdir()) == ["base.tar", "disk_id"]
    assert (folder / "disk_id").read_text() == "0badcafe"
    unpack(folder / "base.tar", folder / "tree", Commands(in_ram / "log"))
    original, taken = in_ram / "official-tree", folder / "tree"
    assert (taken / "boot/firmware/cmdline.txt").read_text().startswith("root=PARTUUID=0badcafe-02")
    assert (taken / "boot/firmware/overlays/README").exists()
    assert (taken / "etc/fstab").read_text() == (original / "etc/fstab").read_text()
    assert entries(taken) == entries(original)
    assert len(entries(taken)) > 5000
    assert capabilities(taken) == capabilities(original)


def entries(tree: Path) -> set[tuple[str, int, int, int, int]]:
    """Path, mode, owner, group and time of everything but the boot files and what every new ext4 has."""
    found = set()
    for path in tree.rglob("*"):
        name = str(path.relative_to(tree))
        if not name.startswith(("boot/firmware", "lost+found")):
            status = path.lstat()
            found.add((name, status.st_mode, status.st_uid, status.st_gid, int(status.st_mtime)))
    return found


def capabilities(tree: Path) -> dict[str, bytes]:
    """Programs with capabilities, by their raw attribute."""
    found = (
        path
        for path in (tree / "usr/bin").iterdir()
        if "security.capability" in os.listxattr(path, follow_symlinks=False)
    )
    return {path.name: os.getxattr(path, "security.capability") for path in found}


def test_another_checksum_is_refused_before_anything_is_read(stand_in: Path, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="download it again"):
        unpack_official(OfficialImage(stand_in, "0" * 64), tmp_path, Commands(tmp_path / "log"))
    assert [path.name for path in tmp_path.iterdir()] == []


def test_an_image_of_another_layout_is_refused(tmp_path: Path) -> None:
    image = tmp_path / "other.img"
    image.write_bytes(bytes(1 << 20))
    folder = tmp_path / "base"
    folder.mkdir()
    with pytest.raises(Refused, match="master boot record"):
        unpack_official(OfficialImage(image, checksum(image)), folder, Commands(tmp_path / "log"))
