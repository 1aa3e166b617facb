"""The maker's units: no two of one list have the same network's name, which is all that a phone shows of them."""

import csv
from pathlib import Path

import pytest

from image.errors import Failed
from image.personalise import append_line, draw_unit, given_names


def facts(ssid: str) -> dict[str, str]:
    return {"ssid": ssid, "passphrase": f"of {ssid}", "setup_url": "u", "reset_code": "r", "address": "a"}


class Draws:
    """Stands for the agent: units with these names one after another, each with a file in its folder."""

    def __init__(self, *names: str) -> None:
        self._names = list(names)

    def __call__(self, folder: Path) -> dict[str, str]:
        name = self._names.pop(0)
        folder.mkdir()  # the agent refuses a folder that holds a unit
        (folder / "config.yaml").write_text(name)
        return facts(name)


def test_a_name_that_was_given_already_is_drawn_again(tmp_path: Path) -> None:
    unit = tmp_path / "unit-003"
    made = draw_unit(unit, {"OTP-Broker-AAAA", "OTP-Broker-BBBB"}, Draws(*(f"OTP-Broker-{s * 4}" for s in "ABC")))
    assert made == facts("OTP-Broker-CCCC")
    assert (unit / "config.yaml").read_text() == "OTP-Broker-CCCC", "nothing of the others is left"


def test_a_new_name_is_taken_at_once(tmp_path: Path) -> None:
    assert draw_unit(tmp_path / "unit-001", set(), Draws("OTP-Broker-AAAA")) == facts("OTP-Broker-AAAA")


def test_a_base_that_allows_no_new_name_ends(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="another --out"):
        draw_unit(tmp_path / "unit-002", {"OTP-Broker-AAAA"}, Draws(*["OTP-Broker-AAAA"] * 1000))
    assert not (tmp_path / "unit-002").exists()


def test_the_list_knows_what_was_given(tmp_path: Path) -> None:
    table = tmp_path / "units.csv"
    assert given_names(table) == set()
    for number in (1, 2):
        append_line(table, {"unit": f"unit-00{number}", **facts(f"OTP-Broker-{number}")})
    assert given_names(table) == {"OTP-Broker-1", "OTP-Broker-2"}
    with table.open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 2


@pytest.mark.parametrize(
    "octets", [b"unit;ssid\r\nunit-001;OTP-Broker-AAAA\r\n", "ssid\r\n\u00e9\r\n".encode("latin-1")]
)
def test_a_list_that_another_program_saved_in_its_own_form_is_told(tmp_path: Path, octets: bytes) -> None:
    (tmp_path / "units.csv").write_bytes(octets)
    with pytest.raises(Failed, match="is not read as the list of the units"):
        given_names(tmp_path / "units.csv")
