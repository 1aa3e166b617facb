"""Unit tests run with a guard: a call of ours that blocks the event loop fails the test."""

from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx

from otpbroker.messaging.journal import Journal
from otpbroker.messaging.otp_rows import OtpRows
from otpbroker.messaging.usage_rows import UsageRows


@pytest.fixture(autouse=True)
def blocking_calls_fail() -> Iterator[None]:
    """The exceptions: the journal, whose SQLite file is in RAM, so its writes cost what memory costs; and the small
    file of counts, which is read once, when the agent is built.
    """
    with blockbuster_ctx("otpbroker") as blockbuster:
        for function in blockbuster.functions.values():
            function.can_block_in("otpbroker/messaging/journal.py", {"_require_ram", *vars(Journal)})
            function.can_block_in("otpbroker/messaging/otp_rows.py", {*vars(OtpRows)})
            function.can_block_in("otpbroker/messaging/usage_rows.py", {*vars(UsageRows)})
            function.can_block_in("otpbroker/messaging/usage.py", {"load"})
        yield
