"""Stage `base` from an official image that somebody downloaded: its root and its boot files, as base.tar."""

import hashlib
import lzma
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from image.commands import Commands, require_root
from image.errors import Failed, Refused
from image.layout import MIB, card_of
from image.parts import copy_boot

# Both partitions are mounted read-only in mounts that only this command has; they are gone when it ends.
_COPY = """
set -eu
image=$1 root_offset=$2 root_size=$3 boot=$4 tar=$5 mount_point=$6
mount -t ext4 -o "ro,noload,loop,offset=$root_offset,sizelimit=$root_size" "$image" "$mount_point"
mount --bind "$boot" "$mount_point/boot/firmware"
tar --create --numeric-owner --xattrs --xattrs-include='*' --sort=name --file "$tar" --directory "$mount_point" .
"""


@dataclass(frozen=True, slots=True)
class OfficialImage:
    """An image file (.img or .img.xz) and the SHA-256 that its publisher states for that file."""

    file: Path
    checksum: str


def unpack_official(official: OfficialImage, folder: Path, commands: Commands) -> None:
    """FOLDER gets base.tar and disk_id: the image's PARTUUIDs, which its own files name, must stay true."""
    require_root("reading the root file system of an image")
    require_checksum(official)
    image = folder / "official.img"
    with opened(official.file) as source, image.open("wb") as target:
        shutil.copyfileobj(source, target, 4 * MIB)
    card = card_of(image)
    boot, mount_point = folder / "boot", folder / "mounted"
    boot.mkdir()
    mount_point.mkdir()
    copy_boot(image, card, boot, commands)
    words: list[str | Path] = [
        image,
        str(card.root.offset),
        str(card.root.size),
        boot,
        folder / "base.tar",
        mount_point,
    ]
    commands.run(["sh", "-c", _COPY, "copy", *words], contained=True)
    (folder / "disk_id").write_text(card.disk_id, encoding="ascii")
    image.unlink()
    shutil.rmtree(boot)
    mount_point.rmdir()


def require_checksum(official: OfficialImage) -> None:
    with official.file.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != official.checksum.lower():
        raise Refused(
            f"{official.file.name} has the SHA-256 {actual}, not {official.checksum}", remedy="download it again"
        )


@contextmanager
def opened(file: Path) -> Iterator[BinaryIO]:
    """The image's bytes, decompressed when the name says so; `Failed` where a packed one is damaged."""
    if file.suffix == ".xz":
        try:
            with lzma.open(file) as packed:
                yield cast(BinaryIO, packed)
        except (EOFError, lzma.LZMAError) as error:
            raise Failed(f"{file.name} is damaged: {error}", remedy="download it again") from None
    else:
        with file.open("rb") as plain:
            yield plain
