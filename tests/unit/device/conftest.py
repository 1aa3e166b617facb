"""What several tests of the device share."""

from pathlib import Path

import pytest
from cards import Card


@pytest.fixture
def card(tmp_path: Path) -> Card:
    made = Card(tmp_path / "boot", tmp_path / "state")
    made.boot.mkdir()
    made.state.mkdir(mode=0o700)
    return made
