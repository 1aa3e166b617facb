"""Real peers that several files share."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from brokers.publisher import Publisher, publisher
from brokers.rabbitmq import RabbitMq, Vhost


def _broker() -> Iterator[RabbitMq]:
    folder = Path(tempfile.mkdtemp(prefix="otpbroker-rabbit-", dir="/dev/shm"))  # quicker by far
    broker = RabbitMq(folder)
    try:
        asyncio.run(broker.start())
        yield broker
    finally:
        broker.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def rabbit() -> Iterator[RabbitMq]:
    """One for all tests, which leave it running."""
    yield from _broker()


@pytest.fixture(scope="session")
def mortal_rabbit() -> Iterator[RabbitMq]:
    """Another one, to be killed, frozen and started again."""
    yield from _broker()


@pytest.fixture
async def vhost(rabbit: RabbitMq) -> AsyncIterator[Vhost]:
    async with rabbit.vhost() as made:
        yield made


@pytest.fixture
async def server(vhost: Vhost) -> AsyncIterator[Publisher]:
    """The application server."""
    async with publisher(vhost) as connected:
        yield connected
