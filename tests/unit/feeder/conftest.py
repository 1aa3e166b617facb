"""The core behind the feeders runs on virtual time, as the core's own tests do."""

import pytest

from core import Core, StartCore
from fakes import FakeSender, modem
from intakes import an_intake
from otpbroker.feeder.intake import Intake
from unit.messaging.conftest import pytest_asyncio_loop_factories, start_core

__all__ = ["pytest_asyncio_loop_factories", "start_core"]


@pytest.fixture
def sender() -> FakeSender:
    return FakeSender(modem("m1"))


@pytest.fixture
async def core(start_core: StartCore, sender: FakeSender) -> Core:
    return await start_core(sender)


@pytest.fixture
async def intake(core: Core) -> Intake:
    return an_intake(core)
