"""Stage `image`: FAT and ext4 made from folders and put into one file, without mounts and loop devices."""

import re
from dataclasses import dataclass
from pathlib import Path

from image.commands import Commands, require, require_root
from image.errors import Failed, Missing
from image.layout import MIB, Card, card, root_mib
from image.profile import Layout
from image.tree import content_size

# The first release whose `mke2fs -d` gives the same bytes for the same tree.
_E2FSPROGS = (1, 47, 1)


@dataclass(frozen=True, slots=True)
class Assembly:
    """What becomes the card: `boot` is the content of the FAT, `root` the tree without it."""

    boot: Path
    root: Path
    layout: Layout
    epoch: int
    disk_id: str | None = None


def assemble(assembly: Assembly, image: Path, commands: Commands) -> Card:
    """Write `image` (sparse). The same folders and epoch give the same bytes."""
    require("mkfs.vfat", "mcopy", "mmd", "mke2fs", "sfdisk")
    require_root("making a file system with other owners")
    require_e2fsprogs(commands)
    fat, root = image.with_suffix(".fat"), image.with_suffix(".ext4")
    content, inodes = content_size(assembly.root)
    size = root_mib(content, inodes, assembly.layout.spare_mib)
    card_layout = card(assembly.layout, size, disk_id=assembly.disk_id)
    environment = {"SOURCE_DATE_EPOCH": str(assembly.epoch), "E2FSPROGS_FAKE_TIME": str(assembly.epoch)}
    make_fat(assembly.boot, fat, assembly.layout, environment, commands)
    make_ext4(assembly.root, root, size, assembly.layout, environment, commands)
    with image.open("wb") as file:
        file.truncate(card_layout.size)
    commands.run(["sfdisk", "--quiet", image], text=card_layout.script())
    for part, partition in ((fat, card_layout.boot), (root, card_layout.root)):
        commands.run(
            ["dd", f"if={part}", f"of={image}", "bs=1M", f"seek={partition.offset // MIB}", "conv=notrunc,sparse"]
        )
        part.unlink()
    commands.note(f"card of {card_layout.size // MIB} MiB, {inodes} files in its root")
    return card_layout


def make_fat(content: Path, fat: Path, layout: Layout, environment: dict[str, str], commands: Commands) -> None:
    with fat.open("wb") as file:
        file.truncate(layout.boot_mib * MIB)
    commands.run(
        ["mkfs.vfat", "-F", "32", "-n", layout.boot_label, "-i", layout.boot_id, "--invariant", fat],
        env=environment,
    )
    # In sorted order, so that clusters and directory entries are in the same places each time.
    paths = sorted(content.rglob("*"))
    environment = {**environment, "MTOOLS_SKIP_CHECK": "1"}
    folders = [f"::{path.relative_to(content)}" for path in paths if path.is_dir()]
    if folders:
        commands.run(["mmd", "-i", fat, *folders], env=environment)
    for path in (path for path in paths if path.is_file()):
        commands.run(["mcopy", "-m", "-i", fat, path, f"::{path.relative_to(content)}"], env=environment)


def make_ext4(
    tree: Path, ext4: Path, size_mib: int, layout: Layout, environment: dict[str, str], commands: Commands
) -> None:
    with ext4.open("wb") as file:
        file.truncate(size_mib * MIB)
    commands.run(
        [
            *(
                "mke2fs",
                "-q",
                "-t",
                "ext4",
                "-L",
                layout.root_label,
                "-U",
                layout.root_uuid,
                "-m",
                "2",
                "-i",
                "16384",
            ),
            *("-E", f"hash_seed={layout.root_uuid},lazy_itable_init=0,lazy_journal_init=0,nodiscard"),
            *("-O", "^metadata_csum_seed,^orphan_file", "-d", tree, ext4),
        ],
        env=environment,
    )


def require_e2fsprogs(commands: Commands) -> None:
    """`Missing` with a remedy when mke2fs is too old to be reproducible."""
    version = commands.read(["dpkg-query", "-W", "-f", "${Version}", "e2fsprogs"])
    if parse_version(version) < _E2FSPROGS:
        raise Missing(
            f"e2fsprogs {version} does not make reproducible file systems",
            remedy="tools/setup.sh image installs a newer one (on Debian 12 from its backports)",
        )


def parse_version(text: str) -> tuple[int, ...]:
    match = re.match(r"(?:\d+:)?(\d+(?:\.\d+)*)", text)
    if match is None:
        raise Failed(f"{text!r} is no version")
    return tuple(int(part) for part in match[1].split("."))
