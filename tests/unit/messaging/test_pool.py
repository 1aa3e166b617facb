"""Late binding: idle senders pull, equals take turns, and who was not ready yet is waited for after the start."""

import asyncio

import pytest

from core import LONG, StartCore, settings
from fakes import FakeSender, modem, senders
from otpbroker.config.model import ModemSection
from otpbroker.messaging.outcome import State
from otpbroker.messaging.pool import START_GRACE
from otpbroker.sms.submission import Refused, Retry


async def test_equal_modems_take_turns_while_all_are_idle(start_core: StartCore) -> None:
    equals = senders(modem("m1"), modem("m2"), modem("m3"))
    core = await start_core(*equals)
    carriers = [(await core.send(f"{number}")).modem_id for number in range(6)]
    assert carriers == ["m1", "m2", "m3", "m1", "m2", "m3"]


async def test_each_prefix_group_has_its_own_turns(start_core: StartCore) -> None:
    core = await start_core(*senders(modem("m1", "62812"), modem("m2", "62812", "62899"), modem("m3", "62899")))
    numbers = ["0812000001", "0899000001", "0812000002", "0899000002"]
    carriers = [(await core.send(receiver=number)).modem_id for number in numbers]
    assert carriers == ["m1", "m2", "m2", "m3"]


async def test_equals_share_a_burst(start_core: StartCore) -> None:
    equals = senders(modem("m1"), modem("m2"), modem("m3"))
    core = await start_core(*equals)
    await asyncio.gather(*(core.send(f"{number}") for number in range(30)))
    assert [len(sender.given) for sender in equals] == [10, 10, 10]


async def test_the_faster_modem_takes_more(start_core: StartCore) -> None:
    slow, fast = FakeSender(modem("m1"), air_time=9.0), FakeSender(modem("m2"), air_time=1.0)
    core = await start_core(slow, fast)
    await asyncio.gather(*(core.send(f"{number}") for number in range(20)))
    assert (len(slow.given), len(fast.given)) == (2, 18)


async def test_a_busy_cheap_modem_is_waited_for(start_core: StartCore) -> None:
    cheap, default = senders(modem("m1", "62812"), modem("m2", default=True))
    core = await start_core(cheap, default)
    await asyncio.gather(*(core.send(f"{number}") for number in range(5)))
    assert (len(cheap.given), len(default.given)) == (5, 0)


async def test_messages_leave_in_the_order_they_came_whichever_route_they_wait_on(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1", "62812", default=True))
    core = await start_core(sender)
    receivers = ["0812000001", "0899000002", "0812000003", "0877000004", "0812000005"]
    await asyncio.gather(*(core.send(receiver[-1], receiver) for receiver in receivers))
    assert sender.texts == ["1", "2", "3", "4", "5"]


async def test_order_survives_a_change_of_the_senders(start_core: StartCore) -> None:
    hung = FakeSender(modem("m1"))
    hung.hang()
    core = await start_core(hung)
    await core.send("in the air", wait=1.0)
    waiting = [asyncio.create_task(core.send(f"{number}")) for number in range(4)]
    await asyncio.sleep(1)
    core.plug()
    await asyncio.sleep(1)
    back = FakeSender(modem("m2"))
    core.plug(back)
    await asyncio.gather(*waiting)
    assert back.texts == ["0", "1", "2", "3"]
    hung.wake()


async def test_new_flags_and_prefixes_count_for_what_waits_already(start_core: StartCore) -> None:
    hung, other = senders(modem("m1", "62812"), modem("m2", "62899"))
    hung.hang()
    core = await start_core(hung, other)
    await core.send("in the air", wait=1.0)
    waiting = await core.send("waiting", wait=1.0)
    other.config = modem("m2", "628123")
    core.dispatcher.senders_changed()
    assert (await core.outcome(waiting.id)).modem_id == "m2"
    hung.wake()


async def test_switching_the_flag_off_stops_what_waits(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1"))
    core = await start_core(sender, config=settings(life=60))
    await core.send("in the air", wait=0.5)
    waiting = await core.send("waiting", wait=None)
    sender.config = modem("m1", send_from_api=False)
    core.dispatcher.senders_changed()
    assert (await core.outcome(waiting.id)).state is State.EXPIRED
    assert sender.texts == ["in the air"]


async def test_the_country_code_of_prefixes_follows_the_configuration(start_core: StartCore) -> None:
    first, second = senders(modem("m1", "0812"), modem("m2", default=True))
    core = await start_core(first, second)
    core.config = settings(country_code="60")
    core.dispatcher.senders_changed()
    assert (await core.send(receiver="+62812000001")).modem_id == "m2"
    assert (await core.send(receiver="0812000001")).modem_id == "m1"


# the first seconds


async def test_after_the_start_a_modem_that_is_coming_up_keeps_its_backlog(start_core: StartCore) -> None:
    cheap, default = senders(modem("m1", "62812"), modem("m2", default=True))
    cheap.ready, cheap.recovering = False, True
    core = await start_core(cheap, default)
    message = await core.send("a", wait=START_GRACE / 2)
    assert message.state is State.QUEUED
    cheap.ready = True
    core.dispatcher.senders_changed()
    assert (await core.outcome(message.id)).modem_id == "m1"


async def test_but_not_for_longer_than_the_grace(start_core: StartCore) -> None:
    cheap, default = senders(modem("m1", "62812"), modem("m2", default=True))
    cheap.ready, cheap.recovering = False, True
    core = await start_core(cheap, default)
    outcome = await core.send("a")
    assert outcome.modem_id == "m2"
    assert default.given[0].at == pytest.approx(core.time.monotonic() - default.air_time)
    assert core.time.monotonic() == pytest.approx(1000.0 + START_GRACE + default.air_time, abs=0.1)


async def test_a_modem_that_fails_within_the_grace_after_it_was_ready_is_not_waited_for(
    start_core: StartCore,
) -> None:
    cheap, default = senders(modem("m1", "62812"), modem("m2", default=True))
    core = await start_core(cheap, default)
    cheap.ready, cheap.recovering = False, True
    core.dispatcher.senders_changed()
    assert (await core.send("a", wait=2.0)).modem_id == "m2"


@pytest.mark.parametrize("section", [modem("m1"), modem("m1", send_from_api=False)], ids=["api", "manual"])
async def test_a_message_may_come_before_the_first_modem_is_ready(
    start_core: StartCore, section: ModemSection
) -> None:
    sender = FakeSender(section, ready=False, recovering=True)
    core = await start_core(sender)
    message = await core.send("a", wait=None, modem_id="m1")
    sender.ready = True
    core.dispatcher.senders_changed()
    assert (await core.outcome(message.id)).state is State.SENT


async def test_a_thousand_messages_of_mixed_routes_each_leave_once(start_core: StartCore) -> None:
    fleet = senders(modem("m1", "62812"), modem("m2", "62812", "62899"), modem("m3", default=True), modem("m4"))
    for sender in fleet:
        sender.air_time = 0.01
        sender.answer(*[Refused("cms-512", Retry.LATER)] * 3)
    core = await start_core(*fleet)
    receivers = ["0812{:06}", "0899{:06}", "0877{:06}"]
    outcomes = await asyncio.gather(
        *(core.send(f"{number}", receivers[number % 3].format(number), wait=LONG) for number in range(1000))
    )
    assert {outcome.state for outcome in outcomes} == {State.SENT}
    sent = [given.text for sender in fleet for given in sender.given]
    assert len(sent) == 1000 + sum(3 - len(sender.script) for sender in fleet)
    assert not fleet[3].given
