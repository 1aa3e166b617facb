"""Messages that a broker lends: it gives them again when it is not told how they ended, here or elsewhere."""

import asyncio
import math
from dataclasses import replace
from pathlib import Path

import pytest

from core import Core, StartCore, settings, settle
from fakes import FakeSender, modem
from otpbroker.errors import Unavailable
from otpbroker.messaging.command import Origin, Repeatable, RequestOtp, SendSms, VerifyOtp
from otpbroker.messaging.outcome import OtpRequested, OtpVerified, Outcome, State, Verdict
from otpbroker.sms.submission import Refused, Retry, Unknown

LENT = Origin("amqp", "feeder:rabbit", lent=True)


@pytest.fixture
def sender() -> FakeSender:
    return FakeSender(modem("m1"))


@pytest.fixture
async def core(start_core: StartCore, sender: FakeSender) -> Core:
    return await start_core(sender)


async def give(core: Core, text: str = "a", *, key: str = "k", again: bool = False, **more: object) -> Outcome:
    begun = bool(more.pop("begun", False))
    claim = more.pop("claim", None)
    command = SendSms("081234567890", text, repeatable=Repeatable(key, again, begun), **more)  # type: ignore[arg-type]
    outcome = await core.dispatcher.submit(command, LENT, claim=claim)  # type: ignore[arg-type]
    assert isinstance(outcome, Outcome)
    return outcome


async def final(core: Core, outcome: Outcome) -> Outcome:
    return await core.outcome(outcome.id, math.inf)


async def test_a_withdrawn_message_that_waits_is_never_sent(core: Core, sender: FakeSender) -> None:
    first, second = await give(core, "in the air"), await give(core, "waits")
    await settle()
    core.dispatcher.withdraw(second.id)
    withdrawn = await final(core, second)
    assert (withdrawn.state, withdrawn.error) == (State.FAILED, "returned")
    assert (await final(core, first)).state is State.SENT
    assert sender.texts == ["in the air"]


async def test_a_withdrawn_message_in_the_air_ends_as_it_ends(core: Core, sender: FakeSender) -> None:
    outcome = await give(core)
    await settle()
    core.dispatcher.withdraw(outcome.id)
    assert (await final(core, outcome)).state is State.SENT


async def test_a_withdrawn_message_that_the_modem_refuses_is_not_tried_again(
    core: Core, sender: FakeSender
) -> None:
    sender.answer(Refused("cms-500", Retry.LATER))
    outcome = await give(core)
    await settle()
    core.dispatcher.withdraw(outcome.id)
    assert (await final(core, outcome)).error == "returned"
    assert len(sender.given) == 1


async def test_withdrawing_what_is_final_or_not_known_changes_nothing(core: Core) -> None:
    outcome = await final(core, await give(core))
    core.dispatcher.withdraw(outcome.id)
    core.dispatcher.withdraw("nothing")
    assert (await core.outcome(outcome.id)).state is State.SENT


async def test_the_second_giving_is_the_same_message(core: Core, sender: FakeSender) -> None:
    first = await give(core)
    again = await give(core, again=True)
    assert (again.id, again.duplicate) == (first.id, True)
    assert (await final(core, again)).state is State.SENT
    assert (await give(core, again=True)).state is State.SENT, "known after its end too"
    assert sender.texts == ["a"]


async def test_a_first_giving_is_new_whatever_was_before_it(core: Core, sender: FakeSender) -> None:
    """Two messages with the same octets and without ids are two messages."""
    for _ in range(2):
        await final(core, await give(core))
    assert sender.texts == ["a", "a"]


async def test_the_same_key_with_other_content_is_another_message(core: Core, sender: FakeSender) -> None:
    await final(core, await give(core, "a"))
    await final(core, await give(core, "b", again=True))
    assert sender.texts == ["a", "b"]


async def test_it_is_known_again_where_ids_are_not_compared(start_core: StartCore, sender: FakeSender) -> None:
    core = await start_core(sender, config=settings(duplicate_window=0))
    await final(core, await give(core, id="1"))
    await final(core, await give(core, id="1", again=True))
    await final(core, await give(core, id="1"))
    assert sender.texts == ["a", "a"], "the broker's repetition once, the client's repetition twice"


async def test_what_was_certainly_not_sent_is_tried_anew(core: Core, sender: FakeSender) -> None:
    sender.answer(Refused("cms-38", Retry.NEVER))
    assert (await final(core, await give(core))).state is State.FAILED
    assert (await final(core, await give(core, again=True))).state is State.SENT


async def test_an_unknown_outcome_stays_unknown(core: Core, sender: FakeSender) -> None:
    sender.answer(Unknown("no-answer"))
    assert (await final(core, await give(core))).state is State.UNKNOWN
    assert (await final(core, await give(core, again=True))).state is State.UNKNOWN
    assert len(sender.given) == 1


async def test_what_somebody_else_began_with_is_unknown_and_not_sent(core: Core, sender: FakeSender) -> None:
    outcome = await give(core, again=True, begun=True)
    assert (outcome.state, outcome.error) == (State.UNKNOWN, "begun-before")
    assert (await core.outcome(outcome.id)).state is State.UNKNOWN, "it can be asked after"
    await asyncio.sleep(600)
    assert sender.texts == []


async def test_a_one_time_password_that_somebody_else_began_with_is_unknown_and_no_second_one_is_made(
    core: Core, sender: FakeSender
) -> None:
    origin = replace(LENT, caller="shop")
    first = RequestOtp("081234567890", "login", "Kode %s", repeatable=Repeatable("k1", again=False))
    sent = await core.dispatcher.submit(first, origin, wait=60)
    assert isinstance(sent, OtpRequested)
    code = sender.texts[0].removeprefix("Kode ")
    other = RequestOtp("081234567890", "login", "Kode %s", repeatable=Repeatable("k2", again=True, begun=True))
    result = await core.dispatcher.submit(other, origin, wait=60)
    assert isinstance(result, OtpRequested)
    assert (result.outcome.state, result.outcome.error) == (State.UNKNOWN, "begun-before")
    assert len(sender.given) == 1
    verified = await core.dispatcher.submit(VerifyOtp("081234567890", "login", code), origin)
    assert isinstance(verified, OtpVerified)
    assert verified.verdict is Verdict.VALID, "the code that was sent is still the one"


async def test_what_the_broker_gives_again_is_the_same_for_a_day_even_where_ids_are_compared_for_less(
    start_core: StartCore, sender: FakeSender
) -> None:
    core = await start_core(sender, config=settings(duplicate_window=300))
    await final(core, await give(core, id="42"))
    await asyncio.sleep(301)
    repeated = SendSms("081234567890", "a", id="42", repeatable=Repeatable("k", again=True, redelivered=True))
    outcome = await core.dispatcher.submit(repeated, LENT)
    assert isinstance(outcome, Outcome)
    assert outcome.duplicate
    await final(core, await give(core, id="42"))
    assert len(sender.given) == 2, "published anew it is another message by then"


async def test_what_was_not_sent_does_not_count_for_its_receiver(start_core: StartCore, sender: FakeSender) -> None:
    core = await start_core(sender, config=settings(receiver_limit=1))
    core.fleet.senders = ()
    core.dispatcher.senders_changed()
    for _ in range(3):
        with pytest.raises(Unavailable, match="No device connected"):
            await give(core)
    core.fleet.senders = (sender,)
    core.dispatcher.senders_changed()
    sender.hang()
    first = await give(core, "in the air", key="1")
    await settle()
    waits = SendSms("081111111111", "waits", repeatable=Repeatable("2", again=False))
    waiting = await core.dispatcher.submit(waits, LENT)
    assert isinstance(waiting, Outcome)
    core.dispatcher.withdraw(waiting.id)
    assert (await final(core, waiting)).error == "returned"
    sender.wake()
    assert (await final(core, first)).state is State.SENT
    again = await core.dispatcher.submit(waits, LENT)
    assert isinstance(again, Outcome)
    assert (await final(core, again)).state is State.SENT


async def test_a_try_that_its_broker_repeats_is_not_reported(start_core: StartCore) -> None:
    core = await start_core()
    with core.bus.subscribe() as events:
        with pytest.raises(Unavailable):
            await give(core)
        core.bus.close()
        assert [event async for event in events] == []


async def test_what_we_began_with_ourselves_is_known_by_its_real_outcome(core: Core) -> None:
    await final(core, await give(core))
    assert (await give(core, again=True, begun=True)).state is State.SENT


async def test_a_message_is_sent_only_after_its_claim_said_yes(core: Core, sender: FakeSender) -> None:
    asked: list[float] = []

    async def claim(message_id: str) -> bool:
        asked.append(core.time.monotonic())
        await asyncio.sleep(0.5)
        return True

    outcome = await give(core, claim=claim)
    await asyncio.sleep(0.25)
    assert (len(asked), sender.given) == (1, [])
    assert (await final(core, outcome)).state is State.SENT


async def test_a_claim_that_says_no_gives_the_message_back(core: Core, sender: FakeSender) -> None:
    async def claim(message_id: str) -> bool:
        return False

    outcome = await final(core, await give(core, claim=claim))
    assert (outcome.state, outcome.error, sender.given) == (State.FAILED, "returned", [])


async def test_a_message_withdrawn_during_its_claim_is_not_sent(core: Core, sender: FakeSender) -> None:
    async def claim(message_id: str) -> bool:
        await asyncio.sleep(1)
        return True

    outcome = await give(core, claim=claim)
    await asyncio.sleep(0.5)
    core.dispatcher.withdraw(outcome.id)
    assert (await final(core, outcome)).error == "returned"
    assert sender.given == []


async def test_each_try_is_claimed_anew(start_core: StartCore) -> None:
    one, two = FakeSender(modem("m1")), FakeSender(modem("m2"))
    one.answer(Refused("cms-38", Retry.ELSEWHERE))
    two.answer(Refused("cms-38", Retry.ELSEWHERE))
    core = await start_core(one, two)
    claimed: list[str] = []

    async def claim(message_id: str) -> bool:
        claimed.append("yes")
        return True

    await final(core, await give(core, claim=claim))
    assert len(claimed) == len(one.given) + len(two.given) == 2


async def test_after_a_crash_what_waits_is_left_to_its_broker(
    start_core: StartCore, sender: FakeSender, ram_folder: Path
) -> None:
    sender.air_time = 400.0
    crashed = await start_core(sender, config=settings(life=3600))
    in_the_air = await give(crashed, "in the air", key="1")
    await asyncio.sleep(0.5)
    waits = await give(crashed, "waits", key="2")
    mine = await crashed.send("of a REST client", wait=None)
    fresh = FakeSender(modem("m1"))
    core = await start_core(fresh, folder=crashed.killed(ram_folder / "after"))
    await asyncio.sleep(10)
    assert fresh.texts == ["of a REST client"], "what a broker lent is sent when it gives it again"
    assert (await core.outcome(mine.id)).state is State.SENT
    assert (await core.outcome(waits.id)).error == "returned"
    again = await give(core, "waits", key="2", again=True)
    assert (again.id != waits.id, (await final(core, again)).state) == (True, State.SENT)
    core.in_air.over("m1")
    known = await give(core, "in the air", key="1", again=True)
    assert (known.id, known.state) == (in_the_air.id, State.UNKNOWN)
    assert fresh.texts == ["of a REST client", "waits"]


async def test_a_one_time_password_that_is_given_again_is_not_made_again(core: Core, sender: FakeSender) -> None:
    async def request(*, again: bool) -> Outcome:
        command = RequestOtp("081234567890", "r1", "code %s", repeatable=Repeatable("k", again=again))
        result = await core.dispatcher.submit(command, LENT, wait=math.inf)
        assert isinstance(result, OtpRequested)
        return result.outcome

    first = await request(again=False)
    again = await request(again=True)
    assert (again.id, again.state, len(sender.texts)) == (first.id, State.SENT, 1)


async def test_waiting_without_end_goes_on_while_the_agent_ends(core: Core, sender: FakeSender) -> None:
    sender.air_time = 100.0
    outcome = await give(core)
    waiting = asyncio.create_task(final(core, outcome))
    await asyncio.sleep(1)
    core.dispatcher.release()
    await asyncio.sleep(1)
    assert not waiting.done()
    assert (await waiting).state is State.SENT
