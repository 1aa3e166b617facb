"""Units for the maker: secrets of their own, a brochure to print, a list; made by the agent itself."""

import csv
import re
from pathlib import Path

import pytest

from image.commands import Commands
from image.personalise import Wishes, personalise


@pytest.fixture(scope="module")
def units(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("maker") / "units"
    for count in (1, 2):  # two orders, one list
        personalise(count, folder, Wishes(country="ID"), Commands(folder.parent / "log"))
    return folder


def rows(units: Path) -> list[dict[str, str]]:
    with (units / "units.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_unit_has_a_folder_and_a_line(units: Path) -> None:
    assert sorted(path.name for path in units.iterdir()) == ["unit-001", "unit-002", "unit-003", "units.csv"]
    assert [row["unit"] for row in rows(units)] == ["unit-001", "unit-002", "unit-003"]


def test_no_two_units_share_a_secret(units: Path) -> None:
    for column in ("ssid", "passphrase", "setup_url", "reset_code"):
        assert len({row[column] for row in rows(units)}) == 3


def test_the_provisioning_file_is_that_units_and_holds_its_codes_only_as_hashes(units: Path) -> None:
    for row in rows(units):
        config = (units / row["unit"] / "config.yaml").read_text()
        assert row["ssid"] in config
        assert row["passphrase"] in config
        assert row["reset_code"] not in config
        assert row["setup_url"].rpartition("#")[2] not in config


def test_the_brochure_is_one_page_of_a6(units: Path) -> None:
    for unit in units.glob("unit-*"):
        pdf = (unit / "brochure.pdf").read_bytes()
        width, height = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+)", pdf).groups()  # type: ignore[union-attr]
        assert float(width) == pytest.approx(297.6, abs=1)
        assert float(height) == pytest.approx(419.5, abs=1)
        png = (unit / "brochure.png").read_bytes()
        assert int.from_bytes(png[16:20], "big") == pytest.approx(105 / 25.4 * 300, abs=3)


def test_only_the_owner_reads_them(units: Path) -> None:
    assert [path for path in units.rglob("*") if path.stat().st_mode & 0o077] == []
