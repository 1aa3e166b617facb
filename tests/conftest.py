"""What every test may use."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from fakes import FakeClock

# How long an example takes says something of the machine alone.
settings.register_profile("ours", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")


@pytest.fixture
def fake_clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ram_folder() -> Iterator[Path]:
    """An empty folder on a RAM file system, as the journal wants it."""
    folder = Path(tempfile.mkdtemp(prefix="otpbroker-test-", dir="/dev/shm"))  # RAM is the point
    yield folder
    shutil.rmtree(folder)
