"""`build.sh personalise`: every unit its own secrets, as a folder to flash with, a brochure, a line of a list."""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from image.commands import Commands, require
from image.errors import Failed, Missing

COLUMNS = ("unit", "ssid", "passphrase", "setup_url", "reset_code", "address")
_PRINT_DPI = "300"
_DRAWS = 100  # of a name; with 10000 units out of a million names the second is new in 99 cases of 100


@dataclass(frozen=True, slots=True)
class Wishes:
    """What all units of this batch have in common; None leaves it to the agent."""

    country: str | None = None
    config: Path | None = None


def personalise(count: int, out: Path, wishes: Wishes, commands: Commands) -> list[Path]:
    """Make `count` more units in OUT: unit-001, ... and their lines in units.csv, for the owner's eyes only."""
    require("rsvg-convert")
    os.umask(0o077)
    out.mkdir(parents=True, exist_ok=True)
    first = next_number([path.name for path in out.iterdir()])
    names = given_names(out / "units.csv")
    units = []
    for number in range(first, first + count):
        unit = out / f"unit-{number:03d}"
        facts = draw_unit(unit, names, partial(new_unit, wishes=wishes))
        names.add(facts["ssid"])
        print_brochure(unit, commands)
        append_line(out / "units.csv", {"unit": unit.name, **facts})
        units.append(unit)
    return units


def next_number(names: list[str]) -> int:
    """One more than the highest unit there: a folder that went out with a device is never made anew."""
    taken = [int(name[5:]) for name in names if name.startswith("unit-") and name[5:].isdecimal()]
    return max(taken, default=0) + 1


def given_names(table: Path) -> set[str]:
    """The networks' names of the maker's list; `Failed` where it was saved in another form."""
    if not table.exists():
        return set()
    with table.open(encoding="utf-8", newline="") as file:
        try:
            return {row["ssid"] for row in csv.DictReader(file)}
        except (KeyError, UnicodeDecodeError, csv.Error):
            remedy = f"save it with commas, as UTF-8, its first line {','.join(COLUMNS)}; or begin another --out"
            raise Failed(f"{table} is not read as the list of the units", remedy=remedy) from None


def draw_unit(folder: Path, given: Collection[str], make: Callable[[Path], dict[str, str]]) -> dict[str, str]:
    """The facts of a unit made in `folder`; one whose network's name was given already is thrown away."""
    for _ in range(_DRAWS):
        facts = make(folder)
        if facts["ssid"] not in given:
            return facts
        shutil.rmtree(folder)
    raise Failed("there is no new name for the unit's network", remedy="begin another --out")


def new_unit(folder: Path, wishes: Wishes) -> dict[str, str]:
    """The agent makes the secrets; its one line of JSON comes back. Nothing secret is in an argument."""
    agent = Path(sys.executable).with_name("otpbroker")
    if not agent.exists():
        raise Missing("the agent is not in this environment", remedy="tools/setup.sh image installs it")
    words = [str(agent), "new-unit", "--out", str(folder)]
    words += ["--country", wishes.country] if wishes.country else []
    words += ["--config", str(wishes.config)] if wishes.config else []
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise Failed(done.stderr.strip() or f"otpbroker new-unit: exit code {done.returncode}")
    facts = json.loads(done.stdout.strip().splitlines()[-1])
    return {name: str(facts[name]) for name in COLUMNS[1:]}


def print_brochure(unit: Path, commands: Commands) -> None:
    """PDF for the printer, PNG for everything else, of the brochure that the agent drew."""
    drawing = unit / "brochure.svg"
    commands.run(["rsvg-convert", "--format", "pdf", "--output", unit / "brochure.pdf", drawing])
    dpi = ["--dpi-x", _PRINT_DPI, "--dpi-y", _PRINT_DPI]
    commands.run(["rsvg-convert", *dpi, "--format", "png", "--output", unit / "brochure.png", drawing])


def append_line(table: Path, facts: dict[str, str]) -> None:
    """The maker's list; its first line names the columns."""
    new = not table.exists()
    with table.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if new:
            writer.writeheader()
        writer.writerow(facts)
