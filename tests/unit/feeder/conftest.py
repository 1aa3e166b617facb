"""The core behind the feeders runs on virtual time, as the core's own tests do."""

from unit.messaging.conftest import pytest_asyncio_loop_factories, start_core

__all__ = ["pytest_asyncio_loop_factories", "start_core"]
