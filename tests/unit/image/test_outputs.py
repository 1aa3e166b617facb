"""What is handed out beside the image, and how units are numbered and listed."""

import csv
import hashlib
import json
from pathlib import Path

import pytest

from image.errors import Refused
from image.personalise import COLUMNS, append_line, next_number
from image.profile import load_profile
from image.sbom import bill, debian_components, python_components
from image.wheelhouse import applicable, environment, needed, read_lock, requirements_text

STATUS = """Package: udev
Status: install ok installed
Maintainer: Debian systemd Maintainers <list@example.org>
Architecture: arm64
Version: 1:257.13-1~deb13u1
Description: dynamic devices
 Package: not-a-package

Package: sudo
Status: deinstall ok config-files
Architecture: arm64
Version: 1.9

"""
DIGEST = "0" * 64


def test_the_bill_names_what_is_installed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "var/lib/dpkg").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").write_text(STATUS)
    (component,) = debian_components(tmp_path, load_profile("debian"))
    assert component["purl"] == "pkg:deb/debian/udev@1%3A257.13-1~deb13u1?arch=arm64&distro=debian-trixie"
    assert component["supplier"] == {"name": "Debian systemd Maintainers"}


def test_the_bill_holds_the_hashes_of_python_packages() -> None:
    (component,) = python_components(f"quart==0.23.1 --hash=sha256:{DIGEST}\n")
    assert component["purl"] == "pkg:pypi/quart@0.23.1"
    assert component["hashes"] == [{"alg": "SHA-256", "content": DIGEST}]


def test_the_same_components_give_the_same_bill_in_any_order() -> None:
    components = python_components(f"a==1 --hash=sha256:{DIGEST}\nb==2 --hash=sha256:{DIGEST}\n")
    profile = load_profile("debian")
    first = bill(profile, "0.1.0", 1_790_000_000, components)
    assert first == bill(profile, "0.1.0", 1_790_000_000, components[::-1])
    assert first != bill(profile, "0.1.0", 1_790_000_000, components[:1])
    document = json.loads(first)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert document["metadata"]["timestamp"] == "2026-09-21T14:13:20Z"


LOCK = f"""
quart==0.22.0 ; python_full_version < '3.13' \\
    --hash=sha256:{"1" * 64}
    # via otpbroker
quart==0.23.1 ; python_full_version >= '3.13' \\
    --hash=sha256:{"2" * 64} \\
    --hash=sha256:{"3" * 64}
"""


def test_markers_are_decided_for_the_image_not_for_the_build_host() -> None:
    (entry,) = applicable(read_lock(LOCK), environment("arm64", "3.13.5"))
    assert (entry.version, len(entry.hashes)) == ("0.23.1", 2)
    (older,) = applicable(read_lock(LOCK), environment("arm64", "3.11.2"))
    assert older.version == "0.22.0"


@pytest.mark.parametrize("line", ["quart==0.23.1", "quart>=0.23 --hash=sha256:" + "1" * 64])
def test_an_entry_that_is_not_locked_is_refused(line: str) -> None:
    with pytest.raises(Refused, match="quart is not locked"):
        read_lock(line)


def test_only_what_the_agent_needs_is_installed() -> None:
    wants = {
        "otpbroker": ["quart~=0.23", "pyserial ; sys_platform == 'linux'", "colorama ; sys_platform == 'win32'"],
        "quart": ["flask>=3", "python-dotenv ; extra == 'dotenv'"],
        "flask": ["quart"],
        "hatchling": ["packaging"],
    }
    found = needed("otpbroker", wants, environment("arm64", "3.13.5"))  # type: ignore[arg-type]
    assert found == {"otpbroker", "quart", "flask", "pyserial"}


def test_the_wheels_are_listed_with_their_own_hashes(tmp_path: Path) -> None:
    wheel = tmp_path / "otpbroker-0.1.0-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    assert requirements_text([wheel]) == f"otpbroker==0.1.0 --hash=sha256:{hashlib.sha256(b'wheel').hexdigest()}\n"


def test_units_are_numbered_on_from_the_highest() -> None:
    assert next_number([]) == 1
    assert next_number(["unit-001", "unit-041", "units.csv", "unit-x"]) == 42


def test_the_makers_list_has_a_line_for_each_unit_under_one_heading(tmp_path: Path) -> None:
    table = tmp_path / "units.csv"
    facts = dict.fromkeys(COLUMNS, "x") | {"passphrase": 'with, comma and "quotes"'}
    append_line(table, facts | {"unit": "unit-001"})
    append_line(table, facts | {"unit": "unit-002"})
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["unit"] for row in rows] == ["unit-001", "unit-002"]
    assert rows[1]["passphrase"] == 'with, comma and "quotes"'
