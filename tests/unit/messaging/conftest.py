"""The core under test runs on virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest

from core import Core, StartCore, settings
from fakes import FakeSender
from otpbroker.config.model import Config
from otpbroker.messaging.journal import Journal
from virtual_time import VirtualClock, VirtualTimeLoop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"virtual": VirtualTimeLoop}


@pytest.fixture
async def start_core(ram_folder: Path) -> AsyncIterator[StartCore]:
    running: list[Core] = []
    plugged: list[FakeSender] = []
    clock = VirtualClock()

    async def start(*senders: FakeSender, config: Config = settings(), folder: Path | None = None) -> Core:  # noqa: B008 # frozen
        if folder is None:
            folder = ram_folder / f"core{len(running)}"
            folder.mkdir()
        plugged.extend(senders)
        core = Core(folder, senders, config, clock)
        running.append(core)
        return await core.start()

    yield start
    for core in running:
        for sender in plugged:  # a test that failed leaves them hanging, and would hang with them
            sender.wake()
        await core.stop()
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    assert not loop.defects


@pytest.fixture
async def journal(ram_folder: Path) -> AsyncIterator[Journal]:
    journal = Journal(ram_folder)
    yield journal
    journal.close()
