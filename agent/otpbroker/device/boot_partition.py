"""The folder `otpbroker` on the boot partition: what a person puts on the card, and what a unit tells by it.

It is FAT, which any computer reads: it knows no rights, and what is removed stays on it unless it is overwritten.
"""

import re
import secrets
from collections.abc import Sequence
from pathlib import Path

from otpbroker.config.document import Problem
from otpbroker.device.brochure import brochure_svg, brochure_txt
from otpbroker.device.unit import Unit
from otpbroker.files import erase_file, rename_file, replace_file, sync_folder

LARGEST = 256 * 1024  # octets of a provisioning file
_UNFINISHED = re.compile(r"\.(?P<name>config\.yaml|brochure\.(?:svg|txt)|PROBLEMS\.txt)\.[0-9a-f]{8}")
_SHOWN = re.compile(r"[a-z_]+|[0-9]+")  # parts of a place which can't be a value that slipped into a key


class BootPartition:
    """The boot partition mounted at `root`. Every method blocks; `OSError` when the card does not take it."""

    def __init__(self, root: Path) -> None:
        self._folder = root / "otpbroker"
        self._provisioning = self._folder / "config.yaml"
        self._brochure = {self._folder / "brochure.svg": brochure_svg, self._folder / "brochure.txt": brochure_txt}
        self._problems = self._folder / "PROBLEMS.txt"

    def make_way(self) -> Path | None:
        """Give a file that stands in place of the folder another name; that name, `None` when there was none."""
        if not self._folder.is_file():
            return None
        aside = self._folder.with_name(f"{self._folder.name}-{secrets.token_hex(4)}.txt")
        rename_file(self._folder, aside)
        return aside

    def tidy(self) -> None:
        """Erase what a power cut left: a provisioning file that was taken, files that were being written."""
        if not self._folder.is_dir():
            return
        # A cut into a renaming may leave both names on the same octets, and those are to be taken first.
        kept = self._provisioning.name if self._provisioning.exists() else None
        for path in list(self._folder.iterdir()):
            unfinished = _UNFINISHED.fullmatch(path.name)
            if unfinished and unfinished["name"] != kept:
                erase_file(path)

    def provisioning(self) -> bytes | None:
        """The provisioning file, `None` when there is none; one longer than `LARGEST` is cut, one octet later.

        Raises `IsADirectoryError` for a folder of that name.
        """
        try:
            with self._provisioning.open("rb") as file:
                return file.read(LARGEST + 1)
        except FileNotFoundError:
            return None

    def discard_provisioning(self) -> None:
        """Erase the provisioning file; as an unfinished one, so that half of it is never taken for a whole."""
        rename_file(self._provisioning, self._folder / f".{self._provisioning.name}.{secrets.token_hex(4)}")
        self.tidy()

    def write_brochure(self, unit: Unit) -> None:
        self._make_folder()
        for path, render in self._brochure.items():
            replace_file(path, render(unit))

    def _make_folder(self) -> None:
        """A folder whose own entry is not durable takes all its files along when the power goes."""
        self._folder.mkdir(exist_ok=True)
        sync_folder(self._folder)
        sync_folder(self._folder.parent)

    def discard_brochure(self) -> None:
        """Erase a brochure that is no longer true."""
        for path in self._brochure:
            erase_file(path)

    def tell(self, problems: Sequence[Problem]) -> None:
        """Leave word of what has to be put right, without any value of the document; nothing: take it away."""
        if problems:
            self._make_folder()
            replace_file(self._problems, _report(problems))
        else:
            self._problems.unlink(missing_ok=True)


def shown(problem: Problem) -> Problem:
    """The problem with a place in which nothing stands that could be a secret in the wrong column."""
    parts = (part if _SHOWN.fullmatch(part) else "(...)" for part in problem.place.split("."))
    return Problem(".".join(parts), problem.detail, problem.remedy)


def _report(problems: Sequence[Problem]) -> str:
    lines = (f"- {shown(problem)}" for problem in problems)
    return "\r\n".join(  # for every editor of every system
        (
            "OTP Broker",
            "",
            "Perbaiki yang berikut ini, lalu nyalakan ulang perangkat.",
            "Put the following right, then start the device again.",
            "",
            *lines,
            "",
        )
    )
