"""Partitions of an image as files of their own, and files of its FAT, without mounting anything."""

from pathlib import Path

from image.commands import Commands
from image.layout import MIB, Card, Partition

_MTOOLS = {"MTOOLS_SKIP_CHECK": "1"}
_ZERO = bytes(MIB)


def copy_out(image: Path, partition: Partition, target: Path) -> None:
    """Sparse: what is zero stays a hole."""
    with image.open("rb") as source, target.open("wb") as file:
        source.seek(partition.offset)
        file.truncate(partition.size)
        for position in range(0, partition.size, MIB):
            chunk = source.read(min(MIB, partition.size - position))
            if chunk != _ZERO:
                file.seek(position)
                file.write(chunk)


def fat_of(image: Path, card: Card) -> str:
    """How mtools(1) is told where the FAT is."""
    return f"{image}@@{card.boot.offset}"


def copy_boot(image: Path, card: Card, folder: Path, commands: Commands) -> None:
    """All files of the FAT, with their times, into a folder that is there."""
    commands.run(["mcopy", "-s", "-m", "-n", "-i", fat_of(image, card), "::", folder], env=_MTOOLS)


def put_on_boot(image: Path, card: Card, files: dict[str, Path], commands: Commands) -> None:
    """Copy files to paths of the FAT; folders are made, files there are replaced."""
    fat = fat_of(image, card)
    present = set(boot_files(image, card, commands))
    folders = {str(parent) for name in files for parent in Path(name).parents if str(parent) != "."}
    for folder in sorted(folders - {name.rstrip("/") for name in present}):
        commands.run(["mmd", "-i", fat, f"::{folder}"], env=_MTOOLS)
    for name, source in files.items():
        commands.run(["mcopy", "-o", "-i", fat, source, f"::{name}"], env=_MTOOLS)


def boot_files(image: Path, card: Card, commands: Commands) -> list[str]:
    """Paths of the FAT, sorted; folders end with a slash."""
    told = commands.read(["mdir", "-/", "-b", "-i", fat_of(image, card), "::"], env=_MTOOLS)
    return sorted(line.removeprefix("::/") for line in told.splitlines())
