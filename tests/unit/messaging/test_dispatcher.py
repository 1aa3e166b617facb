"""The one path of every command: what is checked, in which order, and what the caller hears."""

import asyncio

import pytest

from core import RECEIVER, REST, StartCore, settings
from fakes import FakeSender, modem, senders
from otpbroker.errors import Misconfigured, Rejected, Unavailable
from otpbroker.events import MessageChanged
from otpbroker.messaging.command import (
    Block,
    Echo,
    ListModems,
    Origin,
    RequestOtp,
    SendMail,
    SendSms,
    Unblock,
)
from otpbroker.messaging.outcome import Blocklisted, Echoed, ModemList, Outcome, State
from otpbroker.sms.submission import Sent
from virtual_time import NOON

TEXT = "Kode Anda 771204"


async def test_sent_is_said_with_the_modems_own_references(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1"))
    core = await start_core(sender)
    sender.answer(Sent((42,)))
    outcome = await core.send(TEXT)
    assert outcome == Outcome(
        id=outcome.id,
        state=State.SENT,
        receiver="62812XXXXXX90",
        source="rest",
        accepted_at=NOON,
        expires_at=NOON + 300,
        changed_at=NOON + sender.air_time,
        parts=1,
        length=len(TEXT),
        encoding="gsm7",
        modem_id="m1",
        references=(42,),
    )
    assert [(given.receiver, given.text) for given in sender.given] == [("6281234567890", TEXT)]


async def test_sent_is_not_said_before_the_modem_answered(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1"), air_time=10.0)
    core = await start_core(sender)
    assert (await core.send(wait=9.0)).state is State.SENDING
    assert (await core.send(wait=None)).state is State.QUEUED


async def test_without_a_wait_the_answer_comes_at_once_and_the_outcome_later(start_core: StartCore) -> None:
    core = await start_core(FakeSender(modem("m1")))
    accepted = await core.send(wait=None)
    assert accepted.state is State.QUEUED
    assert (await core.outcome(accepted.id)).state is State.SENT


async def test_a_long_text_goes_as_parts_with_a_reference_each(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1"))
    core = await start_core(sender)
    outcome = await core.send("é" * 150 + "ф" * 80)
    assert (outcome.state, outcome.parts, outcome.encoding) == (State.SENT, 4, "ucs2")
    assert len(outcome.references) == 4
    assert sender.texts == ["é" * 150 + "ф" * 80]


async def test_messages_are_known_to_their_caller_alone(start_core: StartCore) -> None:
    core = await start_core(FakeSender(modem("m1")))
    open_one = await core.send(wait=None)
    for _ in range(2):  # while it is open, and from the journal when it is final
        assert await core.dispatcher.outcome(open_one.id, caller="other") is None
        assert (await core.dispatcher.outcome(open_one.id, caller="shop")) is not None
        await core.outcome(open_one.id)
    assert await core.dispatcher.outcome("nothing-has-this-id", caller=None) is None


async def test_outcome_waits_no_longer_than_asked(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1"))
    sender.hang()
    core = await start_core(sender)
    message = await core.send(wait=None)
    before = core.time.monotonic()
    assert (await core.outcome(message.id, wait=7.0)).state is State.SENDING
    assert core.time.monotonic() - before == pytest.approx(7.0)
    sender.wake()


async def test_a_caller_that_goes_away_does_not_take_its_message_along(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1"))
    core = await start_core(sender)
    request = asyncio.create_task(core.send(TEXT))
    await asyncio.sleep(sender.air_time / 2)
    request.cancel()
    await asyncio.sleep(sender.air_time)
    assert sender.texts == [TEXT]
    assert core.dispatcher.waiting == 0


# what is refused before it is accepted


@pytest.mark.parametrize(
    ("command", "code", "field"),
    [
        (SendSms(RECEIVER, ""), "message-empty", "message"),
        (SendSms(RECEIVER, "x" * 1225), "message-too-long", "message"),  # 9 parts of 153, the limit is 8
        (SendSms(RECEIVER, "x" * 40_000), "message-too-long", "message"),  # more than SMS can carry at all
        (SendSms(RECEIVER, "half a pair: \ud83d"), "message-invalid", "message"),
        (SendSms("0812ABC", TEXT), "receiver-invalid", "receiver"),
        (SendSms("", TEXT), "receiver-missing", "receiver"),
        (SendSms(RECEIVER, TEXT, modem_id="m9"), "modem-unknown", "modem_id"),
        (Block("nobody"), "receiver-invalid", "receiver"),
    ],
)
async def test_wrong_input_is_rejected_by_field_and_leaves_nothing(
    start_core: StartCore, command: SendSms | Block, code: str, field: str
) -> None:
    sender = FakeSender(modem("m1"))
    core = await start_core(sender)
    with pytest.raises(Rejected) as refusal:
        await core.submit(command)
    assert (refusal.value.code, refusal.value.field) == (code, field)
    assert TEXT not in repr(refusal.value)
    assert refusal.value.__cause__ is None
    assert not sender.given
    assert not list(core.journal.left())


async def test_no_modem_is_no_device_connected(start_core: StartCore) -> None:
    core = await start_core()
    with pytest.raises(Unavailable) as refusal:
        await core.send()
    assert (refusal.value.code, refusal.value.detail) == ("no-modem", "No device connected")


async def test_a_refused_message_is_never_sent_later(start_core: StartCore) -> None:
    core = await start_core()
    with pytest.raises(Unavailable):
        await core.send(TEXT)
    sender = FakeSender(modem("m1"))
    core.plug(sender)
    await asyncio.sleep(60)
    assert not sender.given


async def test_a_full_queue_refuses_instead_of_growing(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1"))
    sender.hang()
    core = await start_core(sender, config=settings(max_waiting=2))
    for number in range(3):  # one in the air, two wait
        await core.send(f"message {number}", wait=1.0)
    with pytest.raises(Unavailable) as refusal:
        await core.send("message 3")
    assert refusal.value.code == "queue-full"
    sender.wake()
    await asyncio.sleep(10)
    assert sender.texts == ["message 0", "message 1", "message 2"]


async def test_what_the_device_cannot_do_yet_is_a_clear_error(start_core: StartCore) -> None:
    core = await start_core(FakeSender(modem("m1")))
    with pytest.raises(Misconfigured):
        await core.submit(SendMail("siti@example.com", "subject", TEXT))


# expiry: never stale


async def test_a_message_past_its_expiry_is_dropped_with_an_explicit_outcome(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1"))
    core = await start_core(sender)
    outcome = await core.send(expires_at=NOON)
    assert (outcome.state, outcome.error) == (State.EXPIRED, "expired")
    assert (await core.outcome(outcome.id)) == outcome
    assert not sender.given


@pytest.mark.parametrize(("age", "state"), [(299.0, State.SENT), (300.0, State.EXPIRED)])
async def test_without_expiry_the_life_counts_from_its_date_time(
    start_core: StartCore, age: float, state: State
) -> None:
    core = await start_core(FakeSender(modem("m1"), air_time=0.5), config=settings(life=300))
    outcome = await core.send(date_time=NOON - age)
    assert (outcome.state, outcome.expires_at) == (state, NOON - age + 300)


async def test_an_expiry_of_its_own_goes_before_date_time(start_core: StartCore) -> None:
    core = await start_core(FakeSender(modem("m1")))
    outcome = await core.send(date_time=NOON - 3600, expires_at=NOON + 60)
    assert (outcome.state, outcome.expires_at) == (State.SENT, NOON + 60)


async def test_with_the_drop_switched_off_a_late_message_gets_the_configured_life(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1"))
    core = await start_core(sender, config=settings(life=120, drop_expired=False))
    outcome = await core.send(TEXT, expires_at=NOON - 3600)
    assert (outcome.state, outcome.expires_at) == (State.SENT, NOON + 120)
    assert sender.texts == [TEXT]


async def test_the_modem_is_told_when_the_message_ends(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1"))
    core = await start_core(sender)
    start = core.time.monotonic()
    await core.send(expires_at=NOON + 60)
    assert sender.given[0].sms.deadline == start + 60


# the block list is enforced


@pytest.mark.parametrize("blocked_as", ["081234567890", "+62 812-3456-7890", "006281234567890"])
async def test_a_blocked_number_gets_nothing_however_it_is_written(start_core: StartCore, blocked_as: str) -> None:
    sender = FakeSender(modem("m1"))
    core = await start_core(sender)
    assert await core.submit(Block(blocked_as)) == Blocklisted("6281234567890", blocked=True)
    for written in ("081234567890", "6281234567890", "+6281234567890"):
        outcome = await core.send(receiver=written)
        assert (outcome.state, outcome.error) == (State.BLOCKED, "blocked")
    assert (await core.send(modem_id="m1")).state is State.BLOCKED
    assert not sender.given
    assert await core.submit(Unblock("62 812 3456 7890")) == Blocklisted("6281234567890", blocked=False)
    assert (await core.send()).state is State.SENT


async def test_blocking_stops_an_otp_too(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1"))
    core = await start_core(sender)
    await core.submit(Block(RECEIVER))
    await core.submit(RequestOtp(RECEIVER, "login-1", "Kode %s"))
    assert not sender.given


# manual SMS and the flag


async def test_a_manual_sms_names_its_modem_and_skips_the_flag(start_core: StartCore) -> None:
    prefix, manual = senders(modem("m1", "62812", default=True), modem("m2", send_from_api=False))
    core = await start_core(prefix, manual)
    outcome = await core.send(modem_id="m2", origin=Origin("admin", "siti"))
    assert (outcome.state, outcome.modem_id) == (State.SENT, "m2")
    assert not prefix.given


async def test_a_manual_sms_never_goes_by_another_modem(start_core: StartCore) -> None:
    first, second = senders(modem("m1"), modem("m2"))
    second.ready = False
    core = await start_core(first, second)
    with pytest.raises(Unavailable) as refusal:
        await core.send(modem_id="m2")
    assert refusal.value.code == "modem-not-ready"
    assert not first.given


async def test_an_application_never_gets_a_modem_whose_flag_is_off(start_core: StartCore) -> None:
    core = await start_core(FakeSender(modem("m1", "62812", default=True, send_from_api=False)))
    with pytest.raises(Unavailable):
        await core.send()


# the rest of the union


async def test_the_modem_list_shows_every_modem_and_what_waits_for_it(start_core: StartCore) -> None:
    busy, off = senders(modem("m1"), modem("m2"))
    off.ready = False
    busy.hang()
    core = await start_core(busy, off)
    for _ in range(3):
        await core.send(wait=None)
    await asyncio.sleep(1)
    listed = await core.submit(ListModems())
    assert isinstance(listed, ModemList)
    assert [(status.id, status.waiting) for status in listed.modems] == [("m1", 2), ("m2", 0)]
    busy.wake()


async def test_echo_answers_the_request(start_core: StartCore) -> None:
    core = await start_core()
    assert await core.submit(Echo({"command": "echo", "data": [1]})) == Echoed({"command": "echo", "data": [1]})


async def test_every_step_of_a_message_is_told_masked(start_core: StartCore) -> None:
    core = await start_core(FakeSender(modem("m1")))
    with core.bus.subscribe() as subscription:
        outcome = await core.send(TEXT)
        core.bus.close()
        events = [event async for event in subscription]
    assert all(isinstance(event, MessageChanged) and event.id == outcome.id for event in events)
    assert [event.state for event in events if isinstance(event, MessageChanged)][-2:] == ["sending", "sent"]
    assert "6281234567890" not in repr(events)
    assert TEXT not in repr(events)


async def test_no_text_in_the_representation_of_anything(start_core: StartCore) -> None:
    core = await start_core(FakeSender(modem("m1")))
    command = SendSms(RECEIVER, TEXT)
    outcome = await core.dispatcher.submit(command, REST, wait=None)
    assert TEXT not in repr((command, outcome, core.dispatcher, list(core.journal.left())))
