"""Caps and pauses of a modem are part of routing: others take what it may not, and it goes on when it may."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from core import Core, StartCore, settings
from fakes import FakeSender, modem, senders
from otpbroker.config.model import ModemSection
from otpbroker.events import ModemChanged, ModemStatus
from otpbroker.messaging.command import ListModems
from otpbroker.messaging.limits import LimitReached
from otpbroker.messaging.outcome import ModemList, State
from otpbroker.sms.submission import Refused, Retry, Unknown
from virtual_time import time_zone

HOUR = 3600.0
LONG_TEXT = "x" * 400  # three parts


@pytest.fixture(autouse=True)
def jakarta() -> Iterator[None]:
    """Virtual time begins at 15:00 there: nine hours before midnight."""
    with time_zone("WIB-7"):
        yield


async def sent_at(core: Core, sender: FakeSender, count: int) -> list[float]:
    """When a sender was given each of so many messages that come at once, in seconds from now."""
    start = core.time.monotonic()
    await asyncio.gather(*(core.send(f"{number}", wait=86400.0) for number in range(count)))
    return [given.at - start for given in sender.given]


async def statuses(core: Core) -> dict[str, ModemStatus]:
    listed = await core.submit(ListModems())
    assert isinstance(listed, ModemList)
    return {status.id: status for status in listed.modems}


# windows


async def test_a_minute_begins_anew_for_each_part_when_its_message_ended(start_core: StartCore) -> None:
    """Not at the full minute: else twice as many would pass around it."""
    sender = FakeSender(modem("m1", per_minute=3), air_time=2.0)
    core = await start_core(sender, config=settings(life=3600))
    assert await sent_at(core, sender, 7) == [0, 2, 4, 62, 64, 66, 124]


async def test_an_hour_slides_too(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1", per_hour=2), air_time=1.0)
    core = await start_core(sender, config=settings(life=86400))
    assert await sent_at(core, sender, 5) == [0, 1, HOUR + 1, HOUR + 2, 2 * HOUR + 2]


async def test_a_pause_is_from_the_end_of_a_message_to_the_next(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1", pause=4.5), air_time=2.0)
    core = await start_core(sender)
    assert await sent_at(core, sender, 3) == [0, 6.5, 13]


async def test_a_day_is_over_at_midnight_and_a_month_on_its_first(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1", per_day=1, per_month=2), air_time=1.0)
    core = await start_core(sender, config=settings(life=7 * 86400))
    midnight = 9 * HOUR
    waiting = [asyncio.create_task(core.send(f"{number}", wait=20 * 86400)) for number in range(2)]
    await asyncio.sleep(midnight + 2)
    assert [given.at - 1000 for given in sender.given] == [0, midnight]
    assert {(await task).state for task in waiting} == {State.SENT}
    with pytest.raises(LimitReached):
        await core.send("the third of the month")
    await asyncio.sleep(15 * 86400)
    start_of_month = core.time.monotonic() + 86400 - 2
    await core.send("the third", wait=7 * 86400)
    assert sender.given[2].at == pytest.approx(start_of_month)


async def test_parts_are_counted_not_messages(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1", per_minute=4))
    core = await start_core(sender)
    assert (await core.send(LONG_TEXT)).parts == 3
    await core.send("one")
    assert (await core.send("another", wait=50)).state is State.QUEUED


async def test_a_long_message_waits_for_its_room_and_short_ones_pass_it(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1", per_minute=4), air_time=1.0)
    core = await start_core(sender)
    await core.send("1")
    await core.send("2")
    long = await core.send(LONG_TEXT, wait=0)
    await core.send("3")
    assert sender.texts == ["1", "2", "3"]
    assert (await core.outcome(long.id)).state is State.SENT
    assert sender.given[3].at == sender.given[1].at + sender.air_time + 60  # one of four may be left then


async def test_a_long_message_is_woken_for_too(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1", per_minute=4), air_time=1.0)
    core = await start_core(sender)
    await asyncio.sleep(60)  # nothing else is looked at any more
    await core.send("1")
    await core.send("2")
    await core.send(LONG_TEXT)
    assert sender.given[2].at == sender.given[0].at + sender.air_time + 60


async def test_the_relay_link_is_not_kept_for_who_has_to_rest(start_core: StartCore) -> None:
    pausing, capped, free = senders(modem("m1", pause=3), modem("m2", per_minute=1), modem("m3"))
    core = await start_core(pausing, capped, free)
    await asyncio.gather(
        *(core.send(f"{modem_id}{n}", modem_id=modem_id) for modem_id in ("m1", "m2", "m3") for n in "ab")
    )
    assert [[given.more for given in sender.given] for sender in (pausing, capped, free)] == [
        [False, False],
        [False, False],
        [True, False],
    ]


# who else may take it


async def test_what_a_modem_may_not_goes_to_the_next_of_its_route_and_comes_back(start_core: StartCore) -> None:
    cheap, default = senders(modem("m1", "62812", per_minute=2), modem("m2", default=True))
    core = await start_core(cheap, default)
    assert [(await core.send(f"{number}")).modem_id for number in range(4)] == ["m1", "m1", "m2", "m2"]
    await asyncio.sleep(60)
    assert (await core.send("later")).modem_id == "m1"


async def test_what_waits_for_a_modem_goes_on_by_another_as_soon_as_its_cap_is_reached(
    start_core: StartCore,
) -> None:
    cheap, default = senders(modem("m1", "62812", per_hour=2), modem("m2", default=True))
    core = await start_core(cheap, default)
    outcomes = await asyncio.gather(*(core.send(f"{number}") for number in range(4)))
    assert [outcome.modem_id for outcome in outcomes] == ["m1", "m1", "m2", "m2"]
    assert default.given[0].at == cheap.given[1].at  # its last part is in the air by then


async def test_equals_take_what_one_of_them_may_not(start_core: StartCore) -> None:
    equals = senders(modem("m1", per_hour=1), modem("m2"), modem("m3"))
    core = await start_core(*equals)
    carriers = [(await core.send(f"{number}")).modem_id for number in range(5)]
    assert carriers == ["m1", "m2", "m3", "m2", "m3"]


async def test_a_burst_is_shared_by_those_that_may(start_core: StartCore) -> None:
    equals = senders(modem("m1", per_hour=1), modem("m2"), modem("m3", per_hour=2))
    core = await start_core(*equals)
    await asyncio.gather(*(core.send(f"{number}") for number in range(12)))
    assert [len(sender.given) for sender in equals] == [1, 9, 2]


async def test_a_pause_is_waited_for_as_a_message_in_the_air_is(start_core: StartCore) -> None:
    """It is over in moments; the dearer modem is for those that are not."""
    cheap, default = senders(modem("m1", "62812", pause=5), modem("m2", default=True))
    core = await start_core(cheap, default)
    assert [(await core.send(f"{number}")).modem_id for number in range(3)] == ["m1", "m1", "m1"]


async def test_in_a_pause_equals_take_over(start_core: StartCore) -> None:
    equals = senders(modem("m1", pause=30), modem("m2"))
    core = await start_core(*equals)
    assert [(await core.send(f"{number}")).modem_id for number in range(3)] == ["m1", "m2", "m2"]


async def test_while_all_are_capped_a_message_waits_for_the_first_that_is_free(start_core: StartCore) -> None:
    first, second = senders(modem("m1", per_minute=1), modem("m2", per_minute=1))
    second.air_time = 9.0
    core = await start_core(first, second)
    await asyncio.gather(core.send("1"), core.send("2"))
    outcome = await core.send("3")
    assert outcome.modem_id == "m1"
    assert first.given[1].at == first.given[0].at + first.air_time + 60


async def test_a_manual_message_obeys_too(start_core: StartCore) -> None:
    """The operator counts it as any other."""
    sender = FakeSender(modem("m1", per_minute=1))
    core = await start_core(sender)
    await core.send("1")
    await core.send("2", modem_id="m1")
    assert sender.given[1].at == sender.given[0].at + sender.air_time + 60


# what counts


@pytest.mark.parametrize(
    ("end", "counts"),
    [
        (Unknown("no-answer"), True),  # the network may have it
        (Refused("cms-28", Retry.NEVER), False),
        (Refused("cms-8", Retry.ELSEWHERE), False),
        (Refused("expired", Retry.NEVER), False),
        (RuntimeError("a defect"), True),
    ],
)
async def test_only_what_certainly_was_not_sent_is_given_back(
    start_core: StartCore, end: Refused | Unknown | Exception, counts: bool
) -> None:
    sender = FakeSender(modem("m1", per_hour=1))
    sender.answer(end)
    core = await start_core(sender)
    await core.send("1")
    if counts:
        with pytest.raises(LimitReached):
            await core.send("2")
    else:
        assert (await core.send("2")).state is State.SENT


async def test_a_message_that_was_taken_and_let_go_does_not_count(start_core: StartCore) -> None:
    leaving = FakeSender(modem("m1", per_hour=1), prompt_time=5.0)
    core = await start_core(leaving)
    message = await core.send("1", wait=2.0)  # before its prompt
    core.plug()
    await asyncio.sleep(1)
    back = FakeSender(modem("m1", per_hour=1))
    core.plug(back)
    assert (await core.outcome(message.id)).state is State.SENT


async def test_when_the_others_refused_it_a_capped_modem_is_waited_for(start_core: StartCore) -> None:
    refusing, capped = senders(modem("m1"), modem("m2", per_minute=1))
    core = await start_core(refusing, capped, config=settings(life=600))
    await core.send("1", modem_id="m2")
    refusing.answer(*[Refused("cms-38", Retry.LATER)] * 3)
    outcome = await core.send("2")
    assert (outcome.state, outcome.modem_id) == (State.SENT, "m2")
    assert len(refusing.script) == 0


async def test_what_is_in_the_air_counts_once_though_the_core_is_started_anew(
    start_core: StartCore, ram_folder: Path
) -> None:
    section = modem("m1", per_hour=2)
    hung = FakeSender(section)
    hung.hang()
    core = await start_core(hung)
    await core.send("1", wait=1.0)
    again = await start_core(FakeSender(section), folder=core.killed(ram_folder / "after"))
    await again.interrupt()
    await again.start()
    assert (await again.send("2")).state is State.SENT


async def test_a_message_that_is_handed_over_while_its_taker_goes_does_not_count(start_core: StartCore) -> None:
    going, other = senders(modem("m1", per_hour=1), modem("m1", per_hour=1))
    core = await start_core(going)
    message = await core.send("1", wait=None)  # handed over, and the lane has not run since
    core.plug(other)
    assert (await core.outcome(message.id)).state is State.SENT
    assert (going.given, other.texts) == ([], ["1"])


# what callers hear


async def test_when_no_modem_is_free_in_time_the_caller_hears_it_at_once(start_core: StartCore) -> None:
    core = await start_core(*senders(modem("m1", per_hour=1), modem("m2", per_day=1)), config=settings(life=300))
    await core.send("1")
    await core.send("2")
    with pytest.raises(LimitReached) as refused:
        await core.send("3")
    assert refused.value.code == "cap-reached"
    assert refused.value.remedy
    assert refused.value.retry_after == pytest.approx(HOUR - 1)
    assert core.dispatcher.waiting == 0


async def test_but_it_waits_when_one_will_be_free(start_core: StartCore) -> None:
    core = await start_core(FakeSender(modem("m1", per_hour=1)), config=settings(life=300))
    await core.send("1")
    outcome = await core.send("2", expires_at=core.time.now() + HOUR + 60, wait=0)
    with pytest.raises(LimitReached):
        await core.send("3", expires_at=core.time.now() + HOUR - 60)
    assert outcome.state is State.QUEUED
    assert (await core.outcome(outcome.id, wait=2 * HOUR)).state is State.SENT


async def test_what_is_in_the_air_may_come_back_so_it_refuses_nobody(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1", per_hour=1), air_time=5.0)
    sender.answer(Refused("cms-28", Retry.NEVER))
    core = await start_core(sender)
    await core.send("1", wait=1.0)
    assert (await core.send("2")).state is State.SENT


async def test_a_message_larger_than_every_cap_is_refused_with_the_reason(start_core: StartCore) -> None:
    core = await start_core(FakeSender(modem("m1", per_minute=2)))
    with pytest.raises(LimitReached, match="3 parts, more than the limits of any modem"):
        await core.send(LONG_TEXT)


async def test_what_waits_expires_as_ever(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1", per_minute=1))
    core = await start_core(sender, config=settings(life=90))
    first, second, third = await asyncio.gather(*(core.send(f"{number}") for number in range(3)))
    assert (first.state, second.state, third.state) == (State.SENT, State.SENT, State.EXPIRED)


# settings


async def test_a_raised_cap_frees_what_waits_at_once(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1", per_hour=1))
    core = await start_core(sender, config=settings(life=7000))
    await core.send("1")
    waiting = await core.send("2", wait=10)
    sender.config = modem("m1", per_hour=2)
    core.dispatcher.senders_changed()
    assert (await core.outcome(waiting.id, wait=5)).state is State.SENT
    with pytest.raises(LimitReached):
        await core.send("3", expires_at=core.time.now() + 600)


@pytest.mark.parametrize("cap", ["per_minute", "per_hour"])
async def test_a_cap_that_is_added_counts_what_was_sent_before(start_core: StartCore, cap: str) -> None:
    sender = FakeSender(modem("m1", per_day=100))
    core = await start_core(sender)
    for number in range(3):
        await core.send(f"{number}")
    sender.config = modem("m1", per_day=100, **{cap: 4})
    core.dispatcher.senders_changed()
    await core.send("the fourth")
    assert (await core.send("the fifth", wait=30, expires_at=core.time.now() + 7200)).state is State.QUEUED


async def test_taking_a_modem_out_and_in_again_frees_nothing(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1", per_day=1))
    core = await start_core(sender)
    await core.send("1")
    core.plug()
    core.plug(FakeSender(modem("m1", per_day=1)))
    with pytest.raises(LimitReached):
        await core.send("2")


@pytest.mark.parametrize("change", [{"per_day": 5}, {}], ids=["raised", "removed"])
async def test_pages_are_told_what_new_limits_change(start_core: StartCore, change: dict[str, float]) -> None:
    sender = FakeSender(modem("m1", per_day=2))
    core = await start_core(sender)
    await core.send("1")
    with core.bus.subscribe() as events:
        for limits in ({"per_day": 1.0}, change):
            sender.config = modem("m1", **limits)
            core.dispatcher.senders_changed()
        core.bus.close()
        seen = [event.status.notes async for event in events if isinstance(event, ModemChanged)]
    assert seen == [("cap-reached",), ()]


# clocks


async def test_midnight_by_a_corrected_clock_wakes_what_waits(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1", per_day=1))
    core = await start_core(sender, config=settings(life=86400))
    await core.send("1")
    await asyncio.sleep(HOUR)
    waiting = await core.send("2", wait=10)
    core.time.ntp_step = 8.5 * HOUR  # half past midnight, and an hour ago was yesterday
    assert (await core.outcome(waiting.id, wait=600)).state is State.SENT


@pytest.mark.parametrize("event", ["a look", "a message"])
async def test_anything_that_happens_brings_a_set_clock_to_light(start_core: StartCore, event: str) -> None:
    sender, other = senders(modem("m1", per_day=1), modem("m2", send_from_api=False))
    core = await start_core(sender, other, config=settings(life=86400))
    await core.send("1")
    await asyncio.sleep(HOUR)
    waiting = await core.send("2", wait=0)
    core.time.ntp_step = 8.5 * HOUR
    if event == "a look":
        assert not (await statuses(core))["m1"].notes
    else:
        await core.send("by another", modem_id="m2")
    assert (await core.outcome(waiting.id, wait=2)).state is State.SENT


async def test_a_clock_that_goes_back_leaves_the_cap_and_windows_alone(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1", per_minute=1, per_day=2), air_time=1.0)
    core = await start_core(sender)
    await core.send("1")
    core.time.ntp_step = -86400.0 * 400
    await core.send("2")
    assert sender.given[1].at == sender.given[0].at + 61
    with pytest.raises(LimitReached):
        await core.send("3")


# what administrators see


async def test_a_modem_shows_what_holds_it_back_and_until_when(start_core: StartCore) -> None:
    core = await start_core(*senders(modem("m1", per_minute=1), modem("m2", pause=20), modem("m3", per_day=1)))
    for modem_id in ("m1", "m2", "m3"):
        await core.send("x", modem_id=modem_id)
    now = core.time.now()
    shown = {name: (status.notes, status.held_back_until) for name, status in (await statuses(core)).items()}
    assert shown == {
        "m1": (("cap-reached",), pytest.approx(now + 58)),
        "m2": (("paused",), pytest.approx(now + 19)),
        "m3": (("cap-reached",), pytest.approx(now - 3 + 9 * HOUR)),
    }
    await asyncio.sleep(60)
    assert [status.notes for status in (await statuses(core)).values()] == [(), (), ("cap-reached",)]


async def test_pages_are_told_when_it_begins_and_when_it_ends(start_core: StartCore) -> None:
    core = await start_core(FakeSender(modem("m1", per_minute=1)))
    with core.bus.subscribe() as events:
        await core.send("1")
        await asyncio.sleep(70)
        core.bus.close()
        seen = [event.status.notes async for event in events if isinstance(event, ModemChanged)]
    assert seen == [("cap-reached",), ()]


async def test_what_waits_for_a_free_cap_is_shown_as_waiting(start_core: StartCore) -> None:
    core = await start_core(*senders(modem("m1", "62812", per_minute=1), modem("m2", per_minute=1, default=True)))
    for number in range(3):
        await core.send(f"{number}", wait=2)
    assert [status.waiting for status in (await statuses(core)).values()] == [1, 1]


# restarts


SECTIONS = [modem("m1", per_hour=2), modem("m1", per_day=2), modem("m1", per_month=2)]


@pytest.mark.parametrize("section", SECTIONS, ids=["hour", "day", "month"])
async def test_a_restart_gives_no_fresh_cap(start_core: StartCore, ram_folder: Path, section: ModemSection) -> None:
    core = await start_core(FakeSender(section))
    await core.send("1")
    await core.send("2")
    again = await start_core(FakeSender(section), folder=core.killed(ram_folder / "after"))
    with pytest.raises(LimitReached):
        await again.send("3")


async def test_what_was_in_the_air_at_a_crash_counts(start_core: StartCore, ram_folder: Path) -> None:
    section = modem("m1", per_hour=3)
    hung = FakeSender(section)
    hung.hang()
    core = await start_core(hung)
    await core.send(LONG_TEXT, wait=1.0)
    again = await start_core(FakeSender(section), folder=core.killed(ram_folder / "after"))
    waiting = await again.send("1", wait=5)
    assert waiting.state is State.QUEUED
    again.in_air.close()
    with pytest.raises(LimitReached):
        await again.send("2")


@pytest.mark.parametrize(
    ("section", "seconds"), [(modem("m1", per_minute=1), 60), (modem("m1", pause=5), 5)], ids=["minute", "pause"]
)
async def test_a_minute_and_a_pause_go_on_over_a_restart(
    start_core: StartCore, ram_folder: Path, section: ModemSection, seconds: float
) -> None:
    core = await start_core(FakeSender(section))
    await core.send("1")
    ended = core.time.monotonic()
    await asyncio.sleep(3)
    sender = FakeSender(section)
    again = await start_core(sender, folder=core.killed(ram_folder / "after"))
    await again.send("2")
    assert sender.given[0].at == ended + seconds
