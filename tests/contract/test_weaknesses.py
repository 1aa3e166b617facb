"""The 25 weaknesses of the older products: each has a test by name, and those that belong to no module are here."""

import ast
import re
import subprocess
from ipaddress import ip_address
from pathlib import Path

import pytest

from otpbroker.config.model import Config
from otpbroker.messaging.journal import Journal
from otpbroker.sealing import key_file
from otpbroker.web.setup_code import SetupCode

ROOT = Path(__file__).parents[2]
ROWS = re.findall(r"^\| (\d+) \| .* \| (?:`([^`]+)`)? ?\|$", (ROOT / "docs/security.md").read_text(), re.MULTILINE)
NOT_YET = {8}  # forgotten passwords


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / line for line in listed.stdout.splitlines()]


def test_every_weakness_has_a_row_and_all_but_those_of_parts_to_come_a_test() -> None:
    assert [int(number) for number, _ in ROWS] == list(range(1, 26))
    assert {int(number) for number, name in ROWS if not name} == NOT_YET


@pytest.mark.parametrize("name", [name for _, name in ROWS if name])
def test_the_named_test_exists(name: str) -> None:
    path, _, wanted = name.partition("::")
    tree = ast.parse((ROOT / path).read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    assert wanted in {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


def test_the_repository_holds_no_secret() -> None:
    """[3] Private keys, key stores, sessions and password hashes do not belong there."""
    argon2id = rb"\$argon2id\$v=19\$[^$\s]+\$[A-Za-z0-9+/]{16,}\$[A-Za-z0-9+/]{40,}"
    suspicious = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY|" + argon2id)
    for path in tracked():
        assert path.suffix not in {".jks", ".p12", ".pfx", ".key", ".pem", ".db"}, path
        # Links of overlays lead to what is only on the device.
        if "tests" not in path.relative_to(ROOT).parts and not path.is_symlink():
            assert not suspicious.search(path.read_bytes()), path


def test_two_units_share_no_secret(ram_folder: Path) -> None:
    """[4] Every unit makes its own keys and codes; there is no account before somebody makes one."""
    secrets = []
    for unit in ("a", "b"):
        folder = ram_folder / unit
        folder.mkdir()
        journal = Journal(folder)
        secrets.append((key_file(folder / "secret.key"), journal.key, SetupCode(folder / "setup-code").ensure()))
        journal.close()
    for first, second in zip(*secrets, strict=True):
        assert first != second
    assert Config().admin.administrators == ()
    assert Config().api.users == ()


def test_listeners_are_on_loopback_by_default() -> None:
    """[21]"""
    config = Config()
    for listener in (config.admin.listen, config.api.http, config.api.https):
        assert ip_address(listener.address).is_loopback


def test_no_code_rewrites_an_imei_or_stores_a_message() -> None:
    """[25] and promise 1: neither command is anywhere in what drives modems."""
    for path in (ROOT / "agent/otpbroker").rglob("*.py"):
        if "simulator" not in path.parts:
            assert not re.search(r"\+EGMR|\+CMGW|\+CMSS", path.read_text().replace("`+CMGW`", "")), path
