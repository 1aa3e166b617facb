"""The idempotency key is caller + id: a repeated request is answered again, not sent again."""

import asyncio

import pytest

from core import Core, StartCore, settings
from fakes import FakeSender, modem
from otpbroker.errors import Rejected, Unavailable
from otpbroker.messaging.command import Origin
from otpbroker.messaging.outcome import State
from otpbroker.sms.submission import Refused, Retry, Unknown
from virtual_time import NOON

REFUSED = Refused("cms-28", Retry.NEVER)


@pytest.fixture
def sender() -> FakeSender:
    return FakeSender(modem("m1"))


@pytest.fixture
async def core(start_core: StartCore, sender: FakeSender) -> Core:
    return await start_core(sender, config=settings(duplicate_window=3600))


async def test_the_same_id_and_content_is_the_same_message(core: Core, sender: FakeSender) -> None:
    first = await core.send("a", message_id="7")
    again = await core.send("a", message_id="7")
    assert (again.id, again.state, again.references) == (first.id, State.SENT, first.references)
    assert (first.duplicate, again.duplicate) == (False, True)
    assert sender.texts == ["a"]


async def test_the_receiver_in_another_form_is_the_same_content(core: Core, sender: FakeSender) -> None:
    await core.send("a", "081234567890", message_id="7")
    await core.send("a", "+62 812-3456-7890", message_id="7")
    assert sender.texts == ["a"]


async def test_a_repetition_attaches_to_the_message_that_is_open(core: Core, sender: FakeSender) -> None:
    outcomes = await asyncio.gather(*(core.send("a", message_id="7") for _ in range(5)))
    assert {outcome.id for outcome in outcomes} == {outcomes[0].id}
    assert {outcome.state for outcome in outcomes} == {State.SENT}
    assert [outcome.duplicate for outcome in outcomes] == [False, True, True, True, True]
    assert sender.texts == ["a"]


async def test_the_same_id_with_another_text_is_a_new_message(core: Core, sender: FakeSender) -> None:
    """Clients that number every message 1 exist, and must keep working."""
    for text in ("a", "b", "b", "c", "a"):
        await core.send(text, message_id="1")
    assert sender.texts == ["a", "b", "c"], "and repeat what they sent before their last message"


async def test_the_same_id_for_another_receiver_is_a_new_message(core: Core, sender: FakeSender) -> None:
    await core.send("a", "081234567890", message_id="1")
    await core.send("a", "081234567891", message_id="1")
    assert [given.receiver for given in sender.given] == ["6281234567890", "6281234567891"]


async def test_a_strict_caller_is_told_that_the_id_was_used(core: Core, sender: FakeSender) -> None:
    first = await core.send("a", message_id="1", strict_id=True)
    with pytest.raises(Rejected) as refusal:
        await core.send("b", message_id="1", strict_id=True)
    assert (refusal.value.code, refusal.value.field) == ("id-reused", "id")
    assert (await core.send("a", message_id="1", strict_id=True)).id == first.id
    assert sender.texts == ["a"]


async def test_ids_of_different_callers_do_not_meet(core: Core, sender: FakeSender) -> None:
    await core.send("a", message_id="1", origin=Origin("rest", "shop"))
    other = await core.send("a", message_id="1", origin=Origin("rest", "bank"))
    assert not other.duplicate
    assert sender.texts == ["a", "a"]


async def test_without_an_id_equal_messages_are_different(core: Core, sender: FakeSender) -> None:
    await core.send("a")
    await core.send("a")
    await core.send("a", message_id="")
    assert sender.texts == ["a", "a", "a"]


async def test_a_failed_message_frees_its_id(core: Core, sender: FakeSender) -> None:
    sender.answer(REFUSED)
    assert (await core.send("a", message_id="1")).state is State.FAILED
    again = await core.send("a", message_id="1")
    assert (again.state, again.duplicate) == (State.SENT, False)


async def test_an_unknown_outcome_keeps_its_id(core: Core, sender: FakeSender) -> None:
    """It may have arrived: a repetition must not become a silent second SMS."""
    sender.answer(Unknown("timeout"))
    await core.send("a", message_id="1")
    again = await core.send("a", message_id="1")
    assert (again.state, again.duplicate) == (State.UNKNOWN, True)
    assert sender.texts == ["a"]


async def test_no_modem_and_blocked_and_expired_free_the_id(core: Core, sender: FakeSender) -> None:
    core.plug()
    with pytest.raises(Unavailable):
        await core.send("a", message_id="1")
    core.plug(sender)
    await core.dispatcher.blocklist.block("6281234567890")
    assert (await core.send("a", message_id="1")).state is State.BLOCKED
    await core.dispatcher.blocklist.unblock("6281234567890")
    assert (await core.send("a", message_id="1", expires_at=NOON - 1)).state is State.EXPIRED
    assert (await core.send("a", message_id="1")).state is State.SENT


async def test_after_the_window_the_id_is_new(core: Core, sender: FakeSender) -> None:
    await core.send("a", message_id="1")
    await asyncio.sleep(3500)
    assert (await core.send("a", message_id="1")).duplicate
    await asyncio.sleep(101)
    assert not (await core.send("a", message_id="1")).duplicate
    assert sender.texts == ["a", "a"]


async def test_a_window_of_zero_compares_nothing(start_core: StartCore, sender: FakeSender) -> None:
    core = await start_core(sender, config=settings(duplicate_window=0))
    await core.send("a", message_id="1")
    await core.send("a", message_id="1")
    assert sender.texts == ["a", "a"]


async def test_a_repetition_is_known_after_a_restart(start_core: StartCore, core: Core, sender: FakeSender) -> None:
    first = await core.send("a", message_id="1")
    await core.stop()
    after = await start_core(sender, config=core.config, folder=core.folder)
    again = await after.send("a", message_id="1")
    assert (again.id, again.duplicate) == (first.id, True)
    assert sender.texts == ["a"]


async def test_ids_are_kept_as_keyed_hashes_only(core: Core) -> None:
    await core.send("a", message_id="order-4711-of-siti")
    await core.stop()
    octets = b"".join(file.read_bytes() for file in core.runtime.iterdir())
    assert b"order-4711-of-siti" not in octets


async def test_a_repeat_after_its_expiry_is_told_that_it_was_sent(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1"))
    core = await start_core(sender)
    await core.send(message_id="7", expires_at=NOON + 60)
    await asyncio.sleep(120)
    again = await core.send(message_id="7", expires_at=NOON + 60)
    assert (again.state, again.duplicate) == (State.SENT, True)
    assert len(sender.given) == 1
