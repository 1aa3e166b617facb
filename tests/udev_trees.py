"""Golden files of `tests/contract/udev`: what udev tells of devices, in the format of `udevadm info --export-db`.

A comment in each names the public threads that its facts are from; then what we take the device for.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FOLDER = Path(__file__).parent / "contract" / "udev"


@dataclass(frozen=True, slots=True)
class UdevTree:
    """`kind`, `family` as `modem.families` calls them; `ports` that are asked, best first; `text` for umockdev."""

    name: str
    kind: str
    family: str
    ports: tuple[str, ...]
    text: str

    @property
    def properties(self) -> tuple[dict[str, str], ...]:
        """Of each device."""
        return tuple(
            dict(line.removeprefix("E: ").split("=", 1) for line in block.splitlines() if line.startswith("E: "))
            for block in self.text.split("\n\n")
        )


def udev_trees() -> Iterator[UdevTree]:
    for path in sorted(_FOLDER.glob("*.udev")):
        yield udev_tree(path.stem)


def udev_tree(name: str) -> UdevTree:
    head, _, text = (_FOLDER / f"{name}.udev").read_text("utf-8").partition("\n\n")
    told = dict(line.removeprefix("# ").split(": ", 1) for line in head.splitlines() if line.startswith("# is: "))
    ports = next(line for line in head.splitlines() if line.startswith("# ports:"))
    kind, _, family = told["is"].partition(" ")
    return UdevTree(name, kind, family, tuple(ports.removeprefix("# ports:").split()), text)
