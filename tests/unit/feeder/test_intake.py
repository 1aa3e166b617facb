"""From a broker's octets to honest outcomes: verdicts, times, identity, arrays."""

import asyncio
import json

import pytest

from core import Core, StartCore, settings, settle
from fakes import FakeSender, modem
from intakes import an_intake, body, several
from otpbroker.feeder.array import LONGEST_HOLD
from otpbroker.feeder.delivery import Delivery, Verdict
from otpbroker.feeder.intake import Intake
from otpbroker.sms.submission import Refused, Retry, Unknown
from virtual_time import NOON


async def test_it_waits_for_the_final_outcome(intake: Intake, sender: FakeSender) -> None:
    sender.air_time = 50.0
    handling = asyncio.create_task(intake.handle(Delivery(body())))
    await asyncio.sleep(49)
    assert not handling.done()
    handled = await handling
    assert (handled.verdict, handled.reason) == (Verdict.DONE, "")
    assert handled.answer is not None
    assert handled.answer["response_code"] == "0000"


@pytest.mark.parametrize(
    ("result", "verdict", "reason"),
    [
        (Unknown("no-answer"), Verdict.UNKNOWN, "no-answer"),
        (Refused("cms-38", Retry.NEVER), Verdict.REFUSED, "cms-38"),
        (Refused("expired", Retry.NEVER), Verdict.REFUSED, "expired"),
    ],
)
async def test_the_modems_word_decides(
    intake: Intake, sender: FakeSender, result: Unknown | Refused, verdict: Verdict, reason: str
) -> None:
    sender.answer(result)
    handled = await intake.handle(Delivery(body()))
    assert (handled.verdict, handled.reason) == (verdict, reason)
    assert intake.counts[verdict] == 1


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", "invalid-json"),
        (b"\xff", "invalid-json"),
        (b"7", "invalid-json"),
        (b"x" * 70_000, "body-too-large"),
        (b'{"command":"nothing","data":{}}', "unknown-command"),
        (body(receiver="letters"), "receiver-invalid"),
        (body(text=""), "missing-field"),
        (b'{"command":"send-mail","data":{"receiver":"a@b.tld","message":"x"}}', "mail-not-configured"),
    ],
)
async def test_what_can_not_be_done_is_refused_with_an_answer(intake: Intake, octets: bytes, reason: str) -> None:
    handled = await intake.handle(Delivery(octets))
    assert (handled.verdict, handled.reason) == (Verdict.REFUSED, reason)
    assert handled.answer is not None
    assert handled.answer["error_code"] == reason


async def test_no_ready_modem_is_not_now(start_core: StartCore) -> None:
    intake = an_intake(await start_core())
    handled = await intake.handle(Delivery(body()))
    assert (handled.verdict, handled.reason) == (Verdict.NOT_NOW, "no-modem")


async def test_a_number_that_got_too_much_is_refused(start_core: StartCore, sender: FakeSender) -> None:
    intake = an_intake(await start_core(sender, config=settings(receiver_limit=1)))
    assert (await intake.handle(Delivery(body("a")))).verdict is Verdict.DONE
    handled = await intake.handle(Delivery(body("b")))
    assert (handled.verdict, handled.reason) == (Verdict.REFUSED, "receiver-limit")


async def test_what_a_limit_holds_back_for_now_goes_back_and_what_it_never_lets_through_is_refused(
    start_core: StartCore,
) -> None:
    intake = an_intake(await start_core(FakeSender(modem("m1", per_hour=1))))
    too_long = await intake.handle(Delivery(body("a" * 200)))  # of two parts
    assert (too_long.verdict, too_long.reason) == (Verdict.REFUSED, "cap-reached")
    assert (await intake.handle(Delivery(body("a")))).verdict is Verdict.DONE
    held_back = await intake.handle(Delivery(body("b")))
    assert (held_back.verdict, held_back.reason) == (Verdict.NOT_NOW, "cap-reached")


async def test_blocked_is_done(core: Core, intake: Intake, sender: FakeSender) -> None:
    await intake.handle(Delivery(b'{"command":"block-msisdn","data":{"msisdn":"081234567890",}}'))
    assert (await intake.handle(Delivery(body()))).verdict is Verdict.DONE
    assert sender.given == []


async def test_a_message_does_not_pass_the_unblocking_before_it(
    core: Core, intake: Intake, sender: FakeSender
) -> None:
    await intake.handle(Delivery(b'{"command":"block-msisdn","data":{"msisdn":"081234567890"}}'))
    async with asyncio.TaskGroup() as group:
        group.create_task(intake.handle(Delivery(b'{"command":"unblock-msisdn","data":{"msisdn":"081234567890"}}')))
        group.create_task(intake.handle(Delivery(body("after it"))))
    assert sender.texts == ["after it"]


@pytest.mark.parametrize(
    ("delivery", "verdict"),
    [
        (Delivery(body(expiration=NOON - 1)), Verdict.DONE),
        (Delivery(body(date_time=NOON - 400)), Verdict.DONE),
        (Delivery(body(), expires_at=NOON - 1), Verdict.DONE),
        (Delivery(body(), made_at=NOON - 400), Verdict.DONE),
        (Delivery(body(expiration=NOON + 60), expires_at=NOON - 1), Verdict.DONE),
        (Delivery(body(expiration=NOON - 1), expires_at=NOON + 60), Verdict.DONE),
        (
            Delivery(
                b'{"command":"request-otp","data":{"receiver":"081234567890","reference":"r","message":"%s"}}',
                made_at=NOON - 400,
            ),
            Verdict.DONE,
        ),
    ],
)
async def test_what_came_too_late_by_its_own_time_is_done_and_not_sent(
    intake: Intake, sender: FakeSender, delivery: Delivery, verdict: Verdict
) -> None:
    handled = await intake.handle(delivery)
    assert (handled.verdict, sender.given) == (verdict, [])


async def test_a_publisher_whose_clock_is_ahead_is_not_late(intake: Intake, sender: FakeSender) -> None:
    await intake.handle(Delivery(body(), made_at=NOON + 5000))
    assert sender.texts == ["a"]


async def test_what_the_devices_own_limit_ended_is_refused_not_silently_done(
    intake: Intake, sender: FakeSender
) -> None:
    sender.air_time = 1000.0
    first = asyncio.create_task(intake.handle(Delivery(body("in the air"))))
    await settle()
    handled = await intake.handle(Delivery(body("waited for sms.life")))
    assert (handled.verdict, handled.reason) == (Verdict.REFUSED, "expired")
    assert (await intake.handle(Delivery(body("its own end", expiration=NOON + 400)))).verdict is Verdict.DONE
    await first


async def test_a_lent_message_is_given_back_before_the_broker_loses_patience(
    start_core: StartCore, sender: FakeSender
) -> None:
    core = await start_core(sender, config=settings(life=7200))
    intake = an_intake(core)
    sender.hang()
    first = asyncio.create_task(intake.handle(Delivery(body("in the air"))))
    await settle()
    begin = core.time.monotonic()
    handled = await intake.handle(Delivery(body("waits")))
    assert (handled.verdict, handled.reason) == (Verdict.NOT_NOW, "returned")
    assert core.time.monotonic() - begin == pytest.approx(LONGEST_HOLD)
    assert not first.done(), "what is in the air is waited for"
    sender.wake()
    assert (await first).verdict is Verdict.DONE
    assert sender.texts == ["in the air"]


async def test_cancelled_a_lent_message_that_waits_is_not_sent(core: Core, sender: FakeSender) -> None:
    intake = an_intake(core)
    tasks = [asyncio.create_task(intake.handle(Delivery(body(text)))) for text in ("in the air", "waits")]
    await settle()
    for task in tasks:
        task.cancel()
    await asyncio.sleep(100)
    assert sender.texts == ["in the air"]


async def test_cancelled_a_message_that_is_not_lent_goes_on(core: Core, sender: FakeSender) -> None:
    intake = an_intake(core, lent=False)
    tasks = [asyncio.create_task(intake.handle(Delivery(body(text)))) for text in ("in the air", "waits")]
    await settle()
    for task in tasks:
        task.cancel()
    await asyncio.sleep(100)
    assert sender.texts == ["in the air", "waits"]


@pytest.mark.parametrize(
    ("first", "second", "sent"),
    [
        # the broker gives it again
        (Delivery(body()), Delivery(body(), redelivered=True), 1),
        (Delivery(body(), "m1"), Delivery(body(), "m1", redelivered=True), 1),
        (Delivery(body(id="1")), Delivery(body(id="1"), redelivered=True), 1),
        # its publisher published it twice
        (Delivery(body(), "m1"), Delivery(body(), "m1"), 1),
        (Delivery(body(id="1")), Delivery(body(id="1")), 1),
        (Delivery(body(id="1"), "m1"), Delivery(body(id="1"), "m2"), 1),
        # two messages
        (Delivery(body()), Delivery(body()), 2),
        (Delivery(body("a"), "m1"), Delivery(body("b"), "m1"), 2),
        (Delivery(body("a", id="1")), Delivery(body("b", id="1")), 2),
        (Delivery(body(), "m1"), Delivery(body(), "m2"), 2),
    ],
)
async def test_what_is_the_same_message(
    intake: Intake, sender: FakeSender, first: Delivery, second: Delivery, sent: int
) -> None:
    assert (await intake.handle(first)).verdict is Verdict.DONE
    assert (await intake.handle(second)).verdict is Verdict.DONE
    assert len(sender.given) == sent


async def test_each_item_of_an_array_is_known_again(intake: Intake, sender: FakeSender) -> None:
    octets = several("same", "same")
    await intake.handle(Delivery(octets))
    await intake.handle(Delivery(octets, redelivered=True))
    assert sender.texts == ["same", "same"]


async def test_an_array_tells_the_worst_and_each(intake: Intake, sender: FakeSender) -> None:
    sender.answer(Unknown("no-answer"))
    handled = await intake.handle(Delivery(several("a", "", "c")))
    assert (handled.verdict, handled.reason) == (Verdict.REFUSED, "missing-field")
    assert sorted(handled.reasons) == ["", "missing-field", "no-answer"]
    assert handled.answer is not None
    assert len(handled.answer["data"]["results"]) == 3  # type: ignore[index, call-overload]


async def test_an_array_of_which_nothing_can_be_now_goes_back_whole(start_core: StartCore) -> None:
    intake = an_intake(await start_core())
    assert (await intake.handle(Delivery(several("a", "b")))).verdict is Verdict.NOT_NOW


async def test_an_array_that_was_begun_is_ended_here(start_core: StartCore, sender: FakeSender) -> None:
    intake = an_intake(await start_core(sender, config=settings(max_waiting=1)))
    handled = await intake.handle(Delivery(several("a", "b", "c", "d")))
    assert handled.verdict is Verdict.DONE
    assert sorted(sender.texts) == ["a", "b", "c", "d"]


async def test_what_went_back_unsent_is_no_repetition_of_one_like_it(core: Core, sender: FakeSender) -> None:
    """Two messages with the same octets and no ids are two, also when the second one goes back and comes again."""
    intake = an_intake(core)
    ours: list[str] = []
    assert (await intake.handle(Delivery(body("same")))).verdict is Verdict.DONE
    sender.hang()
    in_the_air = asyncio.create_task(intake.handle(Delivery(body("another"))))
    await settle()
    waiting = asyncio.create_task(intake.handle(Delivery(body("same")), began=ours.append))
    await settle()
    intake.withdraw(ours[0])
    assert (await waiting).reason == "returned"
    sender.wake()
    await in_the_air
    assert (await intake.handle(Delivery(body("same"), redelivered=True))).verdict is Verdict.DONE
    assert sender.texts == ["same", "another", "same"]
    assert (await intake.handle(Delivery(body("same"), redelivered=True))).verdict is Verdict.DONE
    assert len(sender.given) == 3, "this one was sent, and is given again"


async def test_an_array_of_which_a_part_can_not_be_is_refused_at_last(start_core: StartCore) -> None:
    """For what the others' publisher said of their life; where that said nothing they live from when they came."""
    intake = an_intake(await start_core(FakeSender(modem("m1", per_day=1)), config=settings(life=100_000)))
    begin = asyncio.get_running_loop().time()
    handled = await intake.handle(Delivery(several("a", "b")))
    assert LONGEST_HOLD <= asyncio.get_running_loop().time() - begin < LONGEST_HOLD + 60
    assert handled.verdict is Verdict.REFUSED
    assert sorted(handled.reasons) == ["", "expired"]


async def test_an_array_is_not_kept_for_longer_than_it_is_of_use(start_core: StartCore) -> None:
    intake = an_intake(await start_core(FakeSender(modem("m1", per_day=1)), config=settings(life=120)))
    begin = asyncio.get_running_loop().time()
    handled = await intake.handle(Delivery(several("a", "b")))
    assert asyncio.get_running_loop().time() - begin < 120 + 35
    assert sorted(handled.reasons) == ["", "expired"]


async def test_a_ussd_code_is_never_run_twice(intake: Intake) -> None:
    octets = b'{"command":"request-ussd","data":{"modem_id":"m1","ussd_code":"*123#"}}'
    handled = await intake.handle(Delivery(octets, redelivered=True))
    assert (handled.verdict, handled.reason) == (Verdict.UNKNOWN, "begun-before")


async def test_the_callback_is_told(intake: Intake) -> None:
    octets = b'{"command":"echo","data":{},"callback_topic":"t","callback_delay":"50"}'
    handled = await intake.handle(Delivery(octets))
    assert (handled.callback_topic, handled.callback_delay) == ("t", 0.05)
    assert handled.answer == json.loads(octets)
