"""What the tests of the image share: the image that was built before, and copies of it to boot."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from card_copy import CardCopy, copy_of
from machine import SHELL_DEVICE, Kind

_BOARDS: dict[Kind, str] = {"q35": "virtual-pc", "virt": "raspberry-pi", "raspi3b": "raspberry-pi"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--work", type=Path, help="the --work that build.sh image was given")
    parser.addoption("--events", type=int, default=20, help="of the chaos with USB modems (default: 20)")
    parser.addoption("--machine", choices=list(_BOARDS), default="q35", help="which machine boots (default: q35)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A boot without acceleration takes its time, above all on a busy machine."""
    on_a_pi = config.getoption("--machine") == "raspi3b"
    for item in items:
        if on_a_pi != (item.path.name == "test_raspberry_pi_3.py"):
            item.add_marker(pytest.mark.skip(reason="another machine's: --machine"))
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(1200))


@pytest.fixture(scope="session")
def work(request: pytest.FixtureRequest) -> Path:
    folder: Path | None = request.config.getoption("--work")
    if folder is None:
        pytest.fail("name the folder that the image was built in: --work; make test-image does both")
    if os.geteuid() != 0:
        pytest.fail("the tests of the image need root")
    return folder


@pytest.fixture(scope="session")
def kind(request: pytest.FixtureRequest) -> Kind:
    chosen: Kind = request.config.getoption("--machine")
    return chosen


@pytest.fixture(scope="session")
def stages(work: Path, kind: Kind) -> Path:
    """What the stages of the build left: base, wheels, root, image."""
    return work / f"debian-{_BOARDS[kind]}"


@pytest.fixture(scope="session")
def image(stages: Path, work: Path) -> Path:
    """The image as it would be flashed; never written by a test."""
    found = list((stages / "image").glob("*.img"))
    if len(found) != 1:
        pytest.fail(f"there is not one image in {work}: build.sh image --arch ... --until image --work {work}")
    return found[0]


@pytest.fixture(scope="session")
def in_ram() -> Iterator[Path]:
    """For files as big as a card."""
    folder = Path(tempfile.mkdtemp(prefix="otpbroker-test-image-", dir="/dev/shm"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def card(image: Path, kind: Kind, in_ram: Path) -> CardCopy:
    """The image with the tests' shell in it. Machines write to overlays, so all tests may boot this one."""
    return copy_of(image, in_ram / "card", device=SHELL_DEVICE[kind])
