"""What bounds a flood, and what a caller hears when the agent ends."""

import asyncio

import pytest

from core import RECEIVER, StartCore, settings
from fakes import FakeSender, modem
from otpbroker.errors import Unavailable
from otpbroker.messaging.delivery import HOUSEKEEPING, KEEP_OUTCOMES
from otpbroker.messaging.dispatcher import LONGEST_LIFE
from otpbroker.messaging.journal import MOST_REFUSED
from otpbroker.messaging.outcome import State


async def test_a_receiver_gets_no_more_messages_than_its_limit_an_hour(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1"))
    core = await start_core(sender, config=settings(receiver_limit=3))
    for number in range(3):
        assert (await core.send(f"code {number}")).state is State.SENT
    with pytest.raises(Unavailable) as refused:
        await core.send("code 4", "+62 812-3456-7890")  # the same number, written in another way
    assert refused.value.code == "receiver-limit"
    assert (await core.send("to another", "081300000000")).state is State.SENT
    await asyncio.sleep(1200)  # a third of an hour gives one of three back
    assert (await core.send("code 5", RECEIVER)).state is State.SENT
    assert len(sender.given) == 5


async def test_without_a_limit_a_receiver_gets_every_message(start_core: StartCore) -> None:
    core = await start_core(FakeSender(modem("m1")))
    for number in range(50):
        assert (await core.send(f"alarm {number}")).state is State.SENT


async def test_the_end_of_the_agent_releases_who_waits_with_what_is_known(start_core: StartCore) -> None:
    core = await start_core(FakeSender(modem("m1"), air_time=20.0))
    waiting = asyncio.create_task(core.send(wait=60.0))
    await asyncio.sleep(1)
    core.dispatcher.release()
    assert (await waiting).state is State.SENDING


async def test_an_expiry_beyond_all_measure_is_brought_back_to_a_week_or_has_passed(start_core: StartCore) -> None:
    core = await start_core(FakeSender(modem("m1")))
    far = await core.send("far", expires_at=253402380000.0)
    assert far.state is State.SENT
    assert far.expires_at - far.accepted_at == LONGEST_LIFE
    past = await core.send("past", expires_at=-62135650000.0)
    assert (past.state, past.expires_at) == (State.EXPIRED, 0.0)


async def test_a_flood_of_refusals_leaves_the_latest_alone_in_the_journal(start_core: StartCore) -> None:
    core = await start_core(FakeSender(modem("m1")))
    await core.dispatcher.blocklist.block("6281234567890")
    refused = [await core.send(f"code {number}") for number in range(MOST_REFUSED + 10)]
    assert (await core.outcome(refused[-1].id)).state is State.BLOCKED
    assert await core.dispatcher.outcome(refused[-1].id, caller="another") is None
    assert await core.dispatcher.outcome(refused[0].id, caller=None) is None  # the latest are remembered, not all


async def test_a_day_later_an_outcome_is_forgotten(start_core: StartCore) -> None:
    core = await start_core(FakeSender(modem("m1")))
    sent = await core.send()
    await asyncio.sleep(KEEP_OUTCOMES - 2 * HOUSEKEEPING)
    assert core.journal.outcome(sent.id) is not None
    await asyncio.sleep(4 * HOUSEKEEPING)
    assert core.journal.outcome(sent.id) is None
