"""From the queue to a sender and back: failover, honesty about the outcome, expiry, and nothing that is stuck."""

import asyncio

import pytest

from core import StartCore, full_disks, settings
from fakes import FakeSender, modem, senders, texts
from otpbroker.errors import Unavailable
from otpbroker.messaging.delivery import RETRY_PAUSE
from otpbroker.messaging.outcome import State
from otpbroker.sms.submission import Refused, Retry, Sent, Unknown
from otpbroker.sms.submit import decode_submit
from virtual_time import NOON

BUSY = Refused("cms-512", Retry.LATER)
BARRED = Refused("cms-8", Retry.NEVER)


# failover only when it is certain that nothing was sent


async def test_a_retryable_refusal_goes_to_the_next_modem_at_once(start_core: StartCore) -> None:
    first, second = senders(modem("m1", "62812"), modem("m2", default=True))
    first.answer(BUSY)
    core = await start_core(first, second)
    outcome = await core.send("a")
    assert (outcome.state, outcome.modem_id) == (State.SENT, "m2")
    assert (first.texts, second.texts) == (["a"], ["a"])
    assert second.given[0].at == first.given[0].at + first.air_time


async def test_failover_stays_in_the_group_of_equals_as_long_as_it_can(start_core: StartCore) -> None:
    first, second, default = senders(modem("m1", "62812"), modem("m2", "62812"), modem("m3", default=True))
    first.answer(BUSY)
    core = await start_core(first, second, default)
    assert (await core.send()).modem_id == "m2"
    assert not default.given


async def test_a_final_refusal_is_not_tried_elsewhere(start_core: StartCore) -> None:
    first, second = senders(modem("m1", "62812"), modem("m2", default=True))
    first.answer(BARRED)
    core = await start_core(first, second)
    outcome = await core.send()
    assert (outcome.state, outcome.error, outcome.modem_id) == (State.FAILED, "cms-8", "m1")
    assert not second.given


@pytest.mark.parametrize(
    ("retry", "submissions"),
    [
        (Retry.NEVER, (1, 0)),
        (Retry.ELSEWHERE, (1, 1)),
        (Retry.ONCE, (1, 1)),
        (Retry.LATER, (3, 3)),
    ],
)
async def test_a_refusal_says_how_often_each_modem_is_asked(
    start_core: StartCore, retry: Retry, submissions: tuple[int, int]
) -> None:
    first, second = senders(modem("m1", "62812"), modem("m2", default=True))
    for sender in (first, second):
        sender.answer(*[Refused("cms-1", retry)] * 9)
    core = await start_core(first, second)
    assert (await core.send("a")).state is State.FAILED
    assert (len(first.given), len(second.given)) == submissions


async def test_what_was_rejected_once_is_tried_once_more_by_the_only_modem(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1"))
    sender.answer(*[Refused("cms-21", Retry.ONCE)] * 9)
    core = await start_core(sender)
    outcome = await core.send("a")
    assert (outcome.state, outcome.error, len(sender.given)) == (State.FAILED, "cms-21", 2)


async def test_a_sim_that_will_not_carry_a_message_is_not_asked_again_when_routes_change(
    start_core: StartCore,
) -> None:
    barred, busy = senders(modem("m1", "62812"), modem("m2", default=True))
    barred.answer(Refused("cms-8", Retry.ELSEWHERE))
    busy.answer(BUSY)
    core = await start_core(barred, busy)
    waiting = await core.send("a", wait=2.5)
    assert waiting.state is State.QUEUED
    core.dispatcher.senders_changed()
    outcome = await core.outcome(waiting.id)
    assert (outcome.state, outcome.modem_id) == (State.SENT, "m2")
    assert (len(barred.given), len(busy.given)) == (1, 2)


@pytest.mark.parametrize(
    ("result", "detail"),
    [
        (Unknown("part-lost", (1,)), "1 of its 2 parts were sent"),
        (Unknown("expired", (1,)), "1 of its 2 parts were sent"),
        (Unknown("no-answer"), "the modem's answer is missing"),
        (Unknown("cms-332"), "the network did not confirm it"),
    ],
)
async def test_an_unclear_end_says_what_is_known(start_core: StartCore, result: Unknown, detail: str) -> None:
    sender = FakeSender(modem("m1"))
    sender.answer(result)
    core = await start_core(sender)
    outcome = await core.send("a" * 200)
    assert (outcome.state, outcome.detail) == (State.UNKNOWN, detail)


async def test_unknown_is_never_sent_again(start_core: StartCore) -> None:
    first, second = senders(modem("m1"), modem("m2"))
    first.answer(Unknown("no-answer", (17,)))
    core = await start_core(first, second)
    outcome = await core.send("a")
    assert (outcome.state, outcome.error, outcome.references) == (State.UNKNOWN, "no-answer", (17,))
    await asyncio.sleep(400)
    assert texts((first, second)) == ["a"]
    assert (await core.outcome(outcome.id)).state is State.UNKNOWN


async def test_a_defect_in_mid_air_is_unknown_and_the_modem_goes_on(
    start_core: StartCore, caplog: pytest.LogCaptureFixture
) -> None:
    sender = FakeSender(modem("m1"))
    sender.answer(RuntimeError("a defect"))
    core = await start_core(sender)
    first = await core.send("a")
    assert (first.state, first.error) == (State.UNKNOWN, "internal-error")
    assert (await core.send("b")).state is State.SENT
    assert sender.texts == ["a", "b"]
    assert "m1: sending broke" in caplog.text


async def test_when_every_modem_refused_the_round_begins_anew_after_a_pause(start_core: StartCore) -> None:
    first, second = senders(modem("m1"), modem("m2"))
    for sender in (first, second):
        sender.answer(BUSY)
    core = await start_core(first, second)
    assert (await core.send("a")).state is State.SENT
    times = sorted(given.at for sender in (first, second) for given in sender.given)
    assert times[1] - times[0] == pytest.approx(1.0)
    assert times[2] - times[1] == pytest.approx(1.0 + RETRY_PAUSE)


async def test_in_the_end_it_failed_with_the_modems_cause(start_core: StartCore) -> None:
    first, second = senders(modem("m1"), modem("m2"))
    for sender in (first, second):
        sender.answer(*[BUSY] * 9)
    core = await start_core(first, second)
    outcome = await core.send("a")
    assert (outcome.state, outcome.error) == (State.FAILED, "cms-512")
    assert (len(first.given), len(second.given)) == (3, 3)


async def test_a_message_whose_modems_are_all_gone_for_the_moment_waits_for_them(start_core: StartCore) -> None:
    """A modem that is started anew with the message in hand is no refusal of the message."""
    sender = FakeSender(modem("m1"), recovering=False)
    sender.answer(Refused("out-of-step", Retry.LATER))
    core = await start_core(sender)
    waiting = await core.send("a", wait=0.5)
    sender.ready = False
    core.dispatcher.senders_changed()
    assert (await core.outcome(waiting.id, wait=30)).state is State.QUEUED
    sender.ready = True
    core.dispatcher.senders_changed()
    assert (await core.outcome(waiting.id)).state is State.SENT


async def test_what_no_modem_could_take_is_not_said_to_be_refused(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1"))
    sender.answer(*[Refused("no-prompt", Retry.LATER)] * 9)
    core = await start_core(sender)
    outcome = await core.send("a")
    assert (outcome.state, outcome.error, outcome.detail) == (State.FAILED, "no-prompt", "no modem could take it")


async def test_a_message_that_every_sim_there_bars_fails_at_once(start_core: StartCore) -> None:
    first, second = senders(modem("m1"), modem("m2"))
    for each in (first, second):
        each.answer(Refused("cms-8", Retry.ELSEWHERE))
    core = await start_core(first, second)
    outcome = await core.send("a", wait=5)
    assert (outcome.state, outcome.detail) == (State.FAILED, "every modem refused it")


async def test_a_message_between_two_rounds_still_expires_at_its_time(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1"), air_time=0.5)
    sender.answer(*[BUSY] * 9)
    core = await start_core(sender)
    outcome = await core.send(expires_at=NOON + 1)
    assert (outcome.state, outcome.changed_at) == (State.EXPIRED, pytest.approx(NOON + 1))
    await asyncio.sleep(60)
    assert len(sender.given) == 1


async def test_a_message_between_two_rounds_counts_as_waiting(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1"))
    sender.answer(BUSY)
    core = await start_core(sender)
    await core.send(wait=1.5)
    assert core.dispatcher.waiting == 1


async def test_a_manual_sms_is_retried_on_its_modem_alone(start_core: StartCore) -> None:
    first, second = senders(modem("m1"), modem("m2"))
    first.answer(BUSY)
    core = await start_core(first, second)
    outcome = await core.send("a", modem_id="m1")
    assert (outcome.state, outcome.modem_id) == (State.SENT, "m1")
    assert first.texts == ["a", "a"]
    assert not second.given


# never stuck


async def test_one_hung_modem_holds_one_message(start_core: StartCore) -> None:
    hung, good = senders(modem("m1"), modem("m2"))
    hung.hang()
    core = await start_core(hung, good)
    messages = [await core.send(f"{number}", wait=None) for number in range(20)]
    await asyncio.sleep(25)
    states = [(await core.outcome(message.id, wait=0)).state for message in messages]
    assert states.count(State.SENT) == 19
    assert states.count(State.SENDING) == 1
    assert len(hung.given) == 1
    hung.wake()
    await asyncio.sleep(hung.air_time)
    assert sorted(texts((hung, good)), key=int) == [f"{number}" for number in range(20)]


async def test_a_number_that_no_modem_takes_does_not_hold_up_the_rest(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1"))
    sender.answer(BUSY)
    core = await start_core(sender)
    bad = await core.send("bad", wait=None)
    good = await core.send("good")
    assert good.state is State.SENT
    assert sender.texts == ["bad", "good"]
    assert (await core.outcome(bad.id)).state is State.SENT


async def test_what_waits_for_a_modem_that_dies_goes_to_the_others(start_core: StartCore) -> None:
    cheap, default = senders(modem("m1", "62812"), modem("m2", default=True))
    cheap.hang()
    core = await start_core(cheap, default)
    in_air = await core.send("in the air", wait=1.0)
    waiting = await core.send("waiting", wait=1.0)
    assert waiting.state is State.QUEUED
    cheap.ready = False
    core.dispatcher.senders_changed()
    assert (await core.outcome(waiting.id)).modem_id == "m2"
    assert (await core.outcome(in_air.id, wait=0)).state is State.SENDING
    cheap.wake()
    assert (await core.outcome(in_air.id)).modem_id == "m1"
    assert (cheap.texts, default.texts) == (["in the air"], ["waiting"])


async def test_a_message_outlives_a_moment_without_any_modem(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1"))
    sender.hang()
    core = await start_core(sender)
    await core.send("first", wait=1.0)
    waiting = await core.send("second", wait=None)
    core.plug()
    await asyncio.sleep(30)
    assert (await core.outcome(waiting.id, wait=0)).state is State.QUEUED
    back = FakeSender(modem("m1"))
    core.plug(back)
    assert (await core.outcome(waiting.id)).state is State.SENT
    assert back.texts == ["second"]
    sender.wake()


async def test_a_modem_that_left_while_it_sends_takes_nothing_more(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1"))
    sender.hang()
    core = await start_core(sender)
    first = await core.send("first", wait=1.0)
    second = await core.send("second", wait=None)
    replacement = FakeSender(modem("m1"))
    core.plug(replacement)
    sender.wake()
    assert (await core.outcome(first.id)).state is State.SENT
    assert (await core.outcome(second.id)).state is State.SENT
    assert (await core.send("third")).state is State.SENT
    assert (sender.texts, replacement.texts) == (["first"], ["second", "third"])


async def test_a_modem_that_leaves_before_the_prompt_gives_its_message_back(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1"), prompt_time=5.0)
    core = await start_core(sender)
    message = await core.send("a", wait=1.0)
    replacement = FakeSender(modem("m2"))
    core.plug(replacement)
    assert (await core.outcome(message.id)).modem_id == "m2"
    assert (sender.texts, replacement.texts) == ([], ["a"])


async def test_a_modem_sends_one_message_at_a_time_and_hears_when_more_wait(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1"))
    core = await start_core(sender)
    await asyncio.gather(*(core.send(f"{number}") for number in range(3)))
    assert not sender.overlapped
    assert [given.more for given in sender.given] == [True, True, False]


# never stale


async def test_what_no_modem_took_in_time_expires_at_its_time_and_is_never_given_to_one(
    start_core: StartCore,
) -> None:
    sender = FakeSender(modem("m1"))
    sender.hang()
    core = await start_core(sender)
    await core.send("first", wait=1.0)
    late = await core.send("late", expires_at=NOON + 60)
    assert (late.state, late.error) == (State.EXPIRED, "expired")
    assert late.changed_at == pytest.approx(NOON + 60)
    sender.wake()
    await asyncio.sleep(400)
    assert sender.texts == ["first"]
    assert (await core.outcome(late.id)) == late


async def test_a_modem_that_saw_the_deadline_pass_says_expired(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1"))
    sender.answer(Refused("expired", Retry.NEVER))
    core = await start_core(sender)
    assert (await core.send()).state is State.EXPIRED


async def test_a_correction_of_the_wall_clock_neither_ends_nor_prolongs_a_life(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1"))
    sender.hang()
    core = await start_core(sender)
    await core.send("first", wait=1.0)
    waiting = await core.send("waiting", wait=None)
    core.time.ntp_step = 86_400.0
    await asyncio.sleep(299)
    assert (await core.outcome(waiting.id, wait=0)).state is State.QUEUED
    await asyncio.sleep(2)
    assert (await core.outcome(waiting.id, wait=0)).state is State.EXPIRED
    sender.wake()


async def test_the_network_gets_the_life_that_is_left_as_validity(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1"))
    sender.hang()
    core = await start_core(sender, config=settings(life=1800))
    await core.send("first", wait=1.0)
    await core.send("second", wait=None)
    await asyncio.sleep(1500)
    sender.wake()
    await asyncio.sleep(10)
    validities = [decode_submit(given.sms.pdus[0]).validity for given in sender.given]
    assert validities == [1800.0, 300.0]  # TP-VP counts in steps of five minutes


async def test_a_status_report_is_asked_for_if_configured(start_core: StartCore) -> None:
    for asked in (False, True):
        sender = FakeSender(modem("m1"))
        core = await start_core(sender, config=settings(status_report=asked))
        await core.send()
        assert decode_submit(sender.given[0].sms.pdus[0]).status_report is asked


async def test_each_long_message_to_a_receiver_has_a_reference_of_its_own(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1"))
    core = await start_core(sender)
    for _ in range(3):
        await core.send("x" * 200)
    references = []
    for given in sender.given:
        found = {part.reference for pdu in given.sms.pdus if (part := decode_submit(pdu).concatenation)}
        assert len(found) == 1
        references += found
    assert len(set(references)) == 3


# an end of the run


async def test_a_shutdown_waits_for_the_answer_of_what_is_in_the_air(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1"))
    core = await start_core(sender)
    in_air = await core.send("in the air", wait=0.5)
    waiting = await core.send("waiting", wait=None)
    await core.interrupt()
    assert (await core.outcome(in_air.id, wait=0)).state is State.SENT
    assert (await core.outcome(waiting.id, wait=0)).state is State.QUEUED
    assert sender.texts == ["in the air"]


async def test_a_run_that_is_started_again_sends_what_waits_once(start_core: StartCore) -> None:
    """A defect ends the run; its supervisor starts it again on the same journal."""
    sender = FakeSender(modem("m1"), air_time=2.0)
    sender.answer(Sent((1,)), BUSY)
    core = await start_core(sender)
    requests = [asyncio.create_task(core.send(f"{number}")) for number in range(4)]
    await asyncio.sleep(4.5)  # 0 was sent, 1 rests after a refusal, 2 is in the air, 3 waits
    await core.interrupt()
    await core.start()
    outcomes = await asyncio.gather(*requests)
    assert {outcome.state for outcome in outcomes} == {State.SENT}
    await asyncio.sleep(60)
    assert sorted(sender.texts) == ["0", "1", "1", "2", "3"]


# the journal's room


async def test_an_outcome_that_cannot_be_written_is_told_all_the_same(
    start_core: StartCore, caplog: pytest.LogCaptureFixture
) -> None:
    sender = FakeSender(modem("m1"))
    core = await start_core(sender)
    message = await core.send("a", wait=0.5)
    with full_disks():
        assert (await core.outcome(message.id)).state is State.SENT
    assert "journal" in caplog.text


async def test_a_message_that_cannot_be_written_is_not_accepted(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1"))
    core = await start_core(sender)
    with full_disks(), pytest.raises(Unavailable) as refusal:
        await core.send("a")
    assert refusal.value.code == "journal-full"
    await asyncio.sleep(60)
    assert not sender.given


async def test_a_message_whose_start_cannot_be_written_is_not_sent(start_core: StartCore) -> None:
    """After a crash nobody would know that it had been in the air."""
    busy, sender = senders(modem("m1"), modem("m2"))
    busy.hang()
    core = await start_core(busy)
    await core.send("in the air", wait=1.0)
    waiting = await core.send("waiting", wait=None)
    with full_disks():
        core.plug(busy, sender)
        assert (await core.outcome(waiting.id)).error == "journal-full"
    assert not sender.given
    assert (await core.send("after")).state is State.SENT
    busy.wake()


async def test_a_refusal_that_cannot_be_written_does_not_stop_the_modem(start_core: StartCore) -> None:
    first, second = senders(modem("m1", "62812"), modem("m2", default=True))
    first.answer(BUSY)
    core = await start_core(first, second)
    message = await core.send("a", wait=0.5)
    with full_disks():
        await asyncio.sleep(5)
    assert (await core.outcome(message.id)).state is State.FAILED
    assert (await core.send("b")).state is State.SENT
