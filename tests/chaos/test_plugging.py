"""Two hundred times a modem is pulled out, put back, renumbered, swapped or reset while messages are sent."""

import asyncio

import pytest

from bench.chaos.ledger import table
from bench.chaos.plugging import run
from otpbroker.messaging.outcome import State

SEED = 20261126
EVENTS = 200


@pytest.mark.timeout(400)
def test_two_hundred_events_lose_nothing_and_double_nothing() -> None:
    verdict = asyncio.run(run(SEED, EVENTS))
    print(table([verdict]))
    assert verdict.lost == ()
    assert verdict.doubles == ()
    assert verdict.astray == (), "a message left by another SIM than its modem's"
    assert verdict.of(State.UNKNOWN) <= EVENTS, "unknown is for what was in the air when its modem was pulled"
    assert verdict.of(State.SENT) > EVENTS, "hardly anything was sent: the test proves nothing"
    assert verdict.longest_hold is not None
    assert verdict.longest_hold <= 10
    assert len(verdict.replug) > EVENTS / 10
