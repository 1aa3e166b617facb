"""What every test may use."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes import FakeClock


@pytest.fixture
def fake_clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ram_folder() -> Iterator[Path]:
    """An empty folder on a RAM file system, as the journal wants it."""
    folder = Path(tempfile.mkdtemp(prefix="otpbroker-test-", dir="/dev/shm"))  # RAM is the point
    yield folder
    shutil.rmtree(folder)
