"""A modem that hangs holds the one message that it has; what waits behind it finds another way."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from core import StartCore
from fakes import FakeSender, modem
from otpbroker.messaging.delivery import DOUBT_AFTER
from otpbroker.messaging.outcome import State
from otpbroker.sms.submission import Refused, Retry, SendResult, Sent, Unknown


@contextmanager
def hanging(sender: FakeSender) -> Iterator[None]:
    """Within, the sender does not answer."""
    sender.hang()
    try:
        yield
    finally:
        sender.wake()


async def test_what_waits_for_a_hanging_modem_goes_to_the_default_modem(start_core: StartCore) -> None:
    cheap, default = FakeSender(modem("cheap", "62812")), FakeSender(modem("default", default=True))
    core = await start_core(cheap, default)
    with hanging(cheap):
        held = asyncio.create_task(core.send("held"))
        waiting = [asyncio.create_task(core.send(f"waiting {number}")) for number in range(3)]
        await asyncio.sleep(DOUBT_AFTER - 1)
        assert default.given == [], "until then the cheap one might answer"
        await asyncio.sleep(2)
        assert [(await task).modem_id for task in waiting] == ["default"] * 3
        assert not held.done()
        assert (await core.send("new")).modem_id == "default"
    assert (await held).modem_id == "cheap"
    assert (await core.send("after")).modem_id == "cheap", "it has answered: it is trusted again"


async def test_nothing_waits_behind_a_modem_on_trial_until_it_has_sent(start_core: StartCore) -> None:
    cheap, default = FakeSender(modem("cheap", "62812")), FakeSender(modem("default", default=True))
    core = await start_core(cheap, default)
    cheap.answer(Refused("no-prompt", Retry.LATER))
    assert (await core.send("refused without a word")).modem_id == "default"
    with hanging(cheap):
        held = asyncio.create_task(core.send("its trial"))
        waiting = [asyncio.create_task(core.send(f"behind it {number}")) for number in range(2)]
        await asyncio.sleep(DOUBT_AFTER / 2)
        assert [task.done() and task.result().modem_id for task in waiting] == ["default"] * 2
        assert not held.done()
    assert (await held).modem_id == "cheap"
    with hanging(cheap):
        tasks = [asyncio.create_task(core.send(f"message {number}")) for number in range(2)]
        await asyncio.sleep(DOUBT_AFTER / 2)
        assert "message 1" not in default.texts, "it has sent: it is waited for again"
    assert [(await task).modem_id for task in tasks] == ["cheap"] * 2


@pytest.mark.parametrize(
    "answer", [Refused("cms-38", Retry.LATER), Refused("cms-28", Retry.NEVER), Unknown("cms-332")]
)
async def test_a_modem_that_answers_is_on_no_trial(start_core: StartCore, answer: SendResult) -> None:
    cheap, default = FakeSender(modem("cheap", "62812")), FakeSender(modem("default", default=True))
    core = await start_core(cheap, default)
    cheap.answer(answer)
    await core.send("refused")
    with hanging(cheap):
        tasks = [asyncio.create_task(core.send(f"message {number}")) for number in range(2)]
        await asyncio.sleep(DOUBT_AFTER / 2)
        assert "message 1" not in default.texts
    assert [(await task).modem_id for task in tasks] == ["cheap"] * 2


async def test_a_hanging_modem_that_is_the_only_one_keeps_its_queue(start_core: StartCore) -> None:
    only = FakeSender(modem("only"))
    core = await start_core(only)
    with hanging(only):
        tasks = [asyncio.create_task(core.send(f"message {number}")) for number in range(3)]
        await asyncio.sleep(DOUBT_AFTER + 5)
        assert only.texts == ["message 0"]
        tasks.append(asyncio.create_task(core.send("message 3")))  # accepted, not refused for want of a modem
        await asyncio.sleep(1)
        assert not any(task.done() for task in tasks)
    assert {(await task).state for task in tasks} == {State.SENT}


async def test_messages_wait_for_an_only_modem_that_comes_back_in_moments(start_core: StartCore) -> None:
    only = FakeSender(modem("only"))
    core = await start_core(only)
    await core.send("first")
    await asyncio.sleep(60)  # long after the start
    only.ready, only.recovering = False, True
    core.dispatcher.senders_changed()
    waiting = asyncio.create_task(core.send("second"))
    await asyncio.sleep(3)
    assert not waiting.done()
    only.ready, only.recovering = True, False
    core.dispatcher.senders_changed()
    assert (await waiting).state is State.SENT


async def test_who_waits_for_a_modem_that_goes_is_given_to_one_that_refused(start_core: StartCore) -> None:
    first, second = FakeSender(modem("first", "62812")), FakeSender(modem("second", default=True))
    core = await start_core(first, second)
    first.answer(Refused("cms-512", Retry.LATER), Sent((1,)))
    with hanging(second):
        busy = asyncio.create_task(core.send("busy", "0899999999"))
        await asyncio.sleep(0)
        waiting = asyncio.create_task(core.send("waiting"))
        await asyncio.sleep(2)
        core.plug(first)
        assert (await waiting).modem_id == "first"
    await busy


async def test_a_number_that_is_blocked_while_its_message_waits_gets_nothing(start_core: StartCore) -> None:
    only = FakeSender(modem("only"))
    core = await start_core(only)
    with hanging(only):
        held = asyncio.create_task(core.send("held", "0899999999"))
        await asyncio.sleep(1)
        waiting = asyncio.create_task(core.send("waiting"))
        await asyncio.sleep(1)
        await core.dispatcher.blocklist.block("6281234567890")
    await held
    assert (await waiting).state is State.BLOCKED
    assert only.texts == ["held"]
