"""After a crash: what was not sent goes on once, what was in the air is asked after, nothing is lost or doubled.

`killed` copies the RAM file system as the kernel keeps it when a process is killed; a new core starts on the copy.
"""

import asyncio
from pathlib import Path

import pytest

from core import RECEIVER, Core, StartCore, settings
from fakes import IMEI, FakeSender, modem, senders, texts
from otpbroker.messaging.command import RequestOtp, VerifyOtp
from otpbroker.messaging.in_air import LISTEN_LIMIT
from otpbroker.messaging.outcome import Outcome, State
from otpbroker.sms.submission import Refused, Retry
from virtual_time import NOON


@pytest.fixture
async def crashed(start_core: StartCore) -> Core:
    """A core whose modem m1 has "in the air" since half a second, while "one" and "two" wait for it."""
    sender = FakeSender(modem("m1"), air_time=400.0)
    core = await start_core(sender, config=settings(life=3600))
    for text in ("in the air", "one", "two"):
        await core.send(text, wait=0.5 if text == "in the air" else None, message_id=text)
    return core


async def outcomes(core: Core, former: Core) -> dict[str, Outcome]:
    """What a core knows of the messages that the former one took, by their texts."""
    messages = {left.text or "?": left.id for left in former.journal.left()}
    return {text: await core.outcome(message_id, wait=0) for text, message_id in messages.items()}


async def test_what_was_not_sent_goes_on_once_in_its_order(
    start_core: StartCore, crashed: Core, ram_folder: Path
) -> None:
    sender = FakeSender(modem("m1"))
    core = await start_core(sender, folder=crashed.killed(ram_folder / "after"))
    await asyncio.sleep(10)
    assert sender.texts == ["one", "two"]
    known = await outcomes(core, crashed)
    assert (known["one"].state, known["two"].state) == (State.SENT, State.SENT)


async def test_the_first_message_leaves_at_once_after_the_restart(
    start_core: StartCore, crashed: Core, ram_folder: Path
) -> None:
    sender = FakeSender(modem("m1"))
    core = await start_core(sender, folder=crashed.killed(ram_folder / "after"))
    start = core.time.monotonic()
    await asyncio.sleep(1)
    assert sender.given[0].at == start


async def test_without_a_late_answer_what_was_in_the_air_is_unknown_and_not_sent_again(
    start_core: StartCore, crashed: Core, ram_folder: Path
) -> None:
    sender = FakeSender(modem("m1"))
    core = await start_core(sender, folder=crashed.killed(ram_folder / "after"))
    assert (await outcomes(core, crashed))["in the air"].state is State.SENDING
    core.in_air.over("m1")
    after = (await outcomes(core, crashed))["in the air"]
    assert (after.state, after.error, after.modem_id) == (State.UNKNOWN, "agent-died", "m1")
    await asyncio.sleep(600)
    assert "in the air" not in sender.texts


async def test_a_late_answer_makes_it_sent(start_core: StartCore, crashed: Core, ram_folder: Path) -> None:
    core = await start_core(FakeSender(modem("m1")), folder=crashed.killed(ram_folder / "after"))
    assert core.in_air.expected("m1")
    core.in_air.arrived("m1", 77, IMEI)
    after = (await outcomes(core, crashed))["in the air"]
    assert (after.state, after.references, after.error) == (State.SENT, (77,), None)
    assert not core.in_air.expected("m1")
    core.in_air.over("m1")
    assert (await outcomes(core, crashed))["in the air"].state is State.SENT


async def test_a_late_answer_of_another_modem_in_its_place_is_not_believed(
    start_core: StartCore, crashed: Core, ram_folder: Path
) -> None:
    core = await start_core(FakeSender(modem("m1")), folder=crashed.killed(ram_folder / "after"))
    core.in_air.arrived("m1", 77, "356938035643809")
    assert (await outcomes(core, crashed))["in the air"].state is State.UNKNOWN


async def test_nobody_waits_for_ever_for_a_modem_that_does_not_come_back(
    start_core: StartCore, crashed: Core, ram_folder: Path
) -> None:
    core = await start_core(folder=crashed.killed(ram_folder / "after"))
    message = (await outcomes(core, crashed))["in the air"]
    assert (await core.outcome(message.id, wait=LISTEN_LIMIT - 1)).state is State.SENDING
    assert (await core.outcome(message.id, wait=2)).state is State.UNKNOWN


async def test_a_repetition_meets_the_message_that_was_in_the_air(
    start_core: StartCore, crashed: Core, ram_folder: Path
) -> None:
    sender = FakeSender(modem("m1"))
    core = await start_core(sender, folder=crashed.killed(ram_folder / "after"))
    again = await core.send("in the air", message_id="in the air", wait=LISTEN_LIMIT + 1)
    assert (again.state, again.duplicate) == (State.UNKNOWN, True)
    assert "in the air" not in sender.texts


async def test_a_second_crash_changes_nothing(start_core: StartCore, crashed: Core, ram_folder: Path) -> None:
    hung = FakeSender(modem("m1"))
    hung.ready = False
    between = await start_core(hung, folder=crashed.killed(ram_folder / "first"))
    sender = FakeSender(modem("m1"))
    core = await start_core(sender, folder=between.killed(ram_folder / "second"))
    core.in_air.over("m1")
    await asyncio.sleep(10)
    assert sender.texts == ["one", "two"]
    assert (await outcomes(core, crashed))["in the air"].state is State.UNKNOWN


async def test_what_a_modem_refused_for_certain_is_sent_after_a_crash(
    start_core: StartCore, ram_folder: Path
) -> None:
    refusing = FakeSender(modem("m1"))
    refusing.answer(Refused("cms-512", Retry.LATER))
    core = await start_core(refusing)
    await core.send("a", wait=1.5)  # it rests before the next round
    sender = FakeSender(modem("m1"))
    await start_core(sender, folder=core.killed(ram_folder / "after"))
    await asyncio.sleep(10)
    assert sender.texts == ["a"]


async def test_a_manual_message_still_goes_by_its_modem_alone(start_core: StartCore, ram_folder: Path) -> None:
    sections = (modem("m1", default=True), modem("m2", send_from_api=False))
    hung = senders(*sections)
    hung[1].hang()
    core = await start_core(*hung)
    await core.send("in the air", wait=1.0, modem_id="m2")
    await core.send("manual", wait=None, modem_id="m2")
    first, second = senders(*sections)
    await start_core(first, second, folder=core.killed(ram_folder / "after"))
    await asyncio.sleep(10)
    assert (first.texts, second.texts) == ([], ["manual"])
    hung[1].wake()


async def test_what_expired_while_nobody_ran_is_never_sent(
    start_core: StartCore, crashed: Core, ram_folder: Path
) -> None:
    folder = crashed.killed(ram_folder / "after")
    messages = {left.text: left.id for left in crashed.journal.left()}
    await asyncio.sleep(3700)
    sender = FakeSender(modem("m1"))
    core = await start_core(sender, folder=folder)
    await asyncio.sleep(60)
    assert not sender.given
    assert {(await core.outcome(messages[text])).state for text in ("one", "two")} == {State.EXPIRED}


async def test_without_the_key_a_message_fails_with_the_reason(
    start_core: StartCore, crashed: Core, ram_folder: Path
) -> None:
    folder = crashed.killed(ram_folder / "after")
    (folder / "runtime" / "journal.key").unlink()
    sender = FakeSender(modem("m1"))
    core = await start_core(sender, folder=folder)
    after = (await outcomes(core, crashed))["one"]
    assert (after.state, after.error) == (State.FAILED, "text-lost")
    assert after.receiver == "62812XXXXXX90"
    await asyncio.sleep(10)
    assert not sender.given
    assert (await core.send("new")).state is State.SENT


async def test_an_otp_whose_message_failed_after_a_crash_can_be_asked_for_again(
    start_core: StartCore, ram_folder: Path
) -> None:
    hung = FakeSender(modem("m1"))
    hung.hang()
    core = await start_core(hung)
    await core.send("in the air", wait=1.0)
    request = RequestOtp(RECEIVER, "login-1", "Kode %s", expires_at=NOON + 300)
    await core.submit(request, wait=None)
    sender = FakeSender(modem("m1"))
    sender.answer(Refused("cms-28", Retry.NEVER))
    after = await start_core(sender, folder=core.killed(ram_folder / "after"))
    await asyncio.sleep(10)
    await after.submit(request)
    code = sender.texts[-1].removeprefix("Kode ")
    verified = await after.submit(VerifyOtp(RECEIVER, "login-1", code))
    assert getattr(verified, "verdict", None) == "valid"
    hung.wake()


@pytest.mark.parametrize("moment", [0.0, 0.5, 1.5, 2.5, 3.5, 7.5, 12.0])
async def test_at_any_moment_nothing_is_lost_or_doubled(
    start_core: StartCore, ram_folder: Path, moment: float
) -> None:
    sections = (modem("m1", "62812"), modem("m2", default=True))
    before = senders(*sections)
    before[0].answer(Refused("cms-512", Retry.LATER))
    core = await start_core(*before)
    requests = [await core.send(f"{number}", wait=None) for number in range(10)]
    await asyncio.sleep(moment)
    folder = core.killed(ram_folder / "after")
    left = texts(before)
    refused = before[0].texts[:1] if moment > before[0].air_time else []
    after = senders(*sections)
    again = await start_core(*after, folder=folder)
    again.in_air.close()
    await asyncio.sleep(100)
    final = {f"{number}": await again.outcome(request.id, wait=0) for number, request in enumerate(requests)}
    assert all(outcome.state in {State.SENT, State.UNKNOWN} for outcome in final.values())
    both = left + texts(after)
    for text, outcome in final.items():
        transmissions = both.count(text) - refused.count(text)
        # One that was in the air at that moment may or may not have left: that is what `unknown` says.
        assert transmissions == 1 or (transmissions == 0 and outcome.state is State.UNKNOWN), text
