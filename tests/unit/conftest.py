"""Unit tests run with a guard: a call of ours that blocks the event loop fails the test."""

from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx

from otpbroker.messaging.journal import Journal


@pytest.fixture(autouse=True)
def blocking_calls_fail() -> Iterator[None]:
    """The one exception is the journal, whose SQLite file is in RAM: its writes cost what memory costs."""
    with blockbuster_ctx("otpbroker") as blockbuster:
        for function in blockbuster.functions.values():
            function.can_block_in("otpbroker/messaging/journal.py", {"_require_ram", *vars(Journal)})
        yield
