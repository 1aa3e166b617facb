"""Real peers that several files share."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bench.rabbitmq import RabbitMq, TlsPaths, Vhost
from brokers.certificates import Authority
from brokers.publisher import Publisher, publisher


@pytest.fixture(scope="session")
def authority() -> Iterator[Authority]:
    """It vouches for the brokers."""
    with tempfile.TemporaryDirectory(prefix="otpbroker-authority-", dir="/dev/shm") as folder:
        yield Authority(Path(folder))


def _broker(authority: Authority) -> Iterator[RabbitMq]:
    folder = Path(tempfile.mkdtemp(prefix="otpbroker-rabbit-", dir="/dev/shm"))  # quicker by far
    broker = RabbitMq(folder, TlsPaths(authority.path, *authority.issue("broker", "localhost", "127.0.0.1")))
    try:
        asyncio.run(broker.start())
        yield broker
    finally:
        broker.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def rabbit(authority: Authority) -> Iterator[RabbitMq]:
    """One for all tests, which leave it running."""
    yield from _broker(authority)


@pytest.fixture(scope="session")
def mortal_rabbit(authority: Authority) -> Iterator[RabbitMq]:
    """Another one, to be killed, frozen and started again."""
    yield from _broker(authority)


@pytest.fixture
async def vhost(rabbit: RabbitMq) -> AsyncIterator[Vhost]:
    async with rabbit.vhost() as made:
        yield made


@pytest.fixture
async def server(vhost: Vhost) -> AsyncIterator[Publisher]:
    """The application server."""
    async with publisher(vhost) as connected:
        yield connected
