"""From a broker's octets to honest outcomes: verdicts, times, identity, claims."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from core import Core, StartCore, settings, settle
from fakes import FakeSender, modem
from otpbroker.clock import Clock
from otpbroker.errors import Rejected, Unavailable
from otpbroker.feeder.delivery import Delivery, Handled, Verdict
from otpbroker.feeder.intake import LONGEST_HOLD, Intake
from otpbroker.messaging.outcome import Outcome, State
from otpbroker.sms.submission import Refused, Retry, Unknown
from otpbroker.sms.ussd import UssdAnswer
from virtual_time import NOON


def body(text: str = "a", receiver: str = "081234567890", **data: object) -> bytes:
    return json.dumps({"command": "send-sms", "data": {"receiver": receiver, "message": text, **data}}).encode()


def several(*texts: str, **more: object) -> bytes:
    items = [{"receiver": f"08123456789{number}", "message": text} for number, text in enumerate(texts)]
    return json.dumps({"data": items} | more).encode()


def clear(octets: bytes) -> tuple[bytes, bool]:
    return octets, False


def an_intake(core: Core, **more: Any) -> Intake:
    defaults = {"unseal": clear, "sealed_only": False, "lent": True, "rights": frozenset()}
    return Intake(
        core.dispatcher, source="amqp", caller="feeder:rabbit", clock=Clock(core.time.now), **(defaults | more)
    )


@pytest.fixture
def sender() -> FakeSender:
    return FakeSender(modem("m1"))


@pytest.fixture
async def core(start_core: StartCore, sender: FakeSender) -> Core:
    return await start_core(sender)


@pytest.fixture
async def intake(core: Core) -> Intake:
    return an_intake(core)


class Ledger:
    """Claims that all devices see at once."""

    def __init__(self) -> None:
        self.records: dict[str, Outcome] = {}
        self.claimed: list[str] = []
        self.settled: list[State] = []
        self.gives = True
        self.lost = False
        self.asked: list[bool] = []

    async def earlier(self, key: str, *, certain: bool) -> Outcome | None:
        self.asked.append(certain)
        if self.lost:
            raise Unavailable("claims-silent", "")
        return self.records.get(key)

    async def claim(self, key: str, message_id: str) -> bool:
        assert message_id
        self.claimed.append(key)
        if self.gives:
            self.records[key] = outcome(State.UNKNOWN)
        return self.gives

    async def settle(self, key: str, ended: Outcome) -> None:
        self.settled.append(ended.state)
        if ended.state in {State.SENT, State.UNKNOWN}:
            self.records[key] = ended
        else:
            self.records.pop(key, None)


def outcome(state: State) -> Outcome:
    return Outcome("o", state, "", "amqp", 0.0, 0.0, 0.0, modem_id="other/m9", references=(5,))


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


def shuffled(octets: bytes) -> tuple[bytes, bool]:
    """A seal for tests."""
    if not octets.startswith(b"sealed:"):
        return octets, False
    if octets == b"sealed:broken":
        raise Rejected("seal-broken", "")
    return octets.removeprefix(b"sealed:")[::-1], True


def seal(octets: bytes) -> bytes:
    return b"sealed:" + octets[::-1]


async def test_sealed_messages_are_opened_and_others_refused_if_so_configured(
    core: Core, sender: FakeSender
) -> None:
    intake = an_intake(core, unseal=shuffled, sealed_only=True)
    assert (await intake.handle(Delivery(seal(body("secret"))))).verdict is Verdict.DONE
    assert (await intake.handle(Delivery(body("open")))).reason == "not-sealed"
    assert (await intake.handle(Delivery(b"sealed:broken"))).reason == "seal-broken"
    assert sender.texts == ["secret"]


async def test_what_came_sealed_is_not_told_in_clear(core: Core) -> None:
    intake = an_intake(core, unseal=shuffled)
    data = {"receiver": "081234567890", "reference": "r", "message": "%s"}
    request = json.dumps({"command": "request-otp", "data": data}).encode()
    assert b"34567890" not in json.dumps((await intake.handle(Delivery(seal(request)))).answer).encode()
    assert (await intake.handle(Delivery(seal(b'{"command":"echo","data":{}}')))).answer is None


async def test_of_several_that_came_sealed_nothing_is_told_in_clear_either(core: Core) -> None:
    intake = an_intake(core, unseal=shuffled)
    data = {"receiver": "081234567890", "reference": "r", "otp": "123456"}
    items = [{"command": "verify-otp", "data": data}, {"command": "echo", "data": {"receiver": "081234567890"}}]
    handled = await intake.handle(Delivery(seal(json.dumps(items).encode())))
    assert handled.answer is not None
    assert b"34567890" not in json.dumps(handled.answer).encode()


async def test_a_sealed_command_is_carried_out_once_whoever_gives_it_again(core: Core, sender: FakeSender) -> None:
    """Who can't read it could block and unblock with what he heard before, or spend credit by USSD codes."""
    intake = an_intake(core, unseal=shuffled, rights=frozenset({"ussd"}))
    block, unblock = (
        seal(json.dumps({"command": name, "data": {"msisdn": "081234567890"}}).encode())
        for name in ("block-msisdn", "unblock-msisdn")
    )
    ussd = seal(b'{"command":"request-ussd","data":{"modem_id":"m1","ussd_code":"*123#"}}')
    for octets in (block, unblock, block + b" ", unblock):
        handled = await intake.handle(Delivery(octets))
    assert (handled.verdict, handled.reason) == (Verdict.UNKNOWN, "begun-before")
    assert core.dispatcher.blocklist.blocked("6281234567890"), "the unblocking was repeated, not the blocking"
    sender.ussd.answer(UssdAnswer("Pulsa 5000", "+CUSD: 0"))
    await intake.handle(Delivery(ussd))
    assert (await intake.handle(Delivery(ussd))).reason == "begun-before"
    assert sender.ussd.asked == ["*123#"]


async def test_what_limits_devices_ids_limits_claims_by_id(start_core: StartCore, sender: FakeSender) -> None:
    intake = an_intake(await start_core(sender, config=settings(duplicate_window=0)))
    ledger = Ledger()
    for _ in range(2):
        await claimed(intake, ledger, octets=body(id="1"))
    assert len(sender.given) == 2


async def claimed(intake: Intake, ledger: Ledger, *, redelivered: bool = False, octets: bytes = b"") -> Handled:
    return await intake.handle(Delivery(octets or body(), redelivered=redelivered), claims=ledger)


async def test_a_message_is_claimed_before_and_settled_after_it_is_sent(intake: Intake, sender: FakeSender) -> None:
    ledger = Ledger()
    assert (await claimed(intake, ledger)).verdict is Verdict.DONE
    assert (len(ledger.claimed), ledger.settled, len(sender.given)) == (1, [State.SENT], 1)
    assert ledger.asked == [], "a message without any id that comes the first time is nobody's"


async def test_without_the_claim_it_is_not_sent(intake: Intake, sender: FakeSender) -> None:
    ledger = Ledger()
    ledger.gives = False
    handled = await claimed(intake, ledger)
    assert (handled.verdict, handled.reason, sender.given) == (Verdict.NOT_NOW, "returned", [])


async def test_claims_that_can_not_be_read_are_not_now(intake: Intake, sender: FakeSender) -> None:
    ledger = Ledger()
    ledger.lost = True
    assert (await claimed(intake, ledger, redelivered=True)).verdict is Verdict.NOT_NOW
    assert sender.given == []


async def another_device(start_core: StartCore) -> tuple[Intake, FakeSender]:
    sender = FakeSender(modem("m1"))
    return an_intake(await start_core(sender)), sender


@pytest.mark.parametrize(
    ("result", "verdict"),
    [(None, Verdict.DONE), (Unknown("no-answer"), Verdict.UNKNOWN)],
)
async def test_what_another_device_sent_is_not_sent_again(
    intake: Intake, sender: FakeSender, start_core: StartCore, result: Unknown | None, verdict: Verdict
) -> None:
    ledger = Ledger()
    sender.answer(*[result] if result else [])
    await claimed(intake, ledger)
    other, others_sender = await another_device(start_core)
    handled = await claimed(other, ledger, redelivered=True)
    assert (handled.verdict, others_sender.given) == (verdict, [])
    assert ledger.asked == [True]
    assert handled.answer is not None
    assert handled.answer["response_code"] == ("0000" if verdict is Verdict.DONE else "1101")


async def test_what_another_device_has_in_the_air_is_unknown(
    intake: Intake, sender: FakeSender, start_core: StartCore
) -> None:
    ledger = Ledger()
    sender.hang()
    first = asyncio.create_task(claimed(intake, ledger))
    await settle()
    other, others_sender = await another_device(start_core)
    handled = await claimed(other, ledger, redelivered=True)
    assert (handled.verdict, handled.reason, others_sender.given) == (Verdict.UNKNOWN, "begun-before", [])
    sender.wake()
    await first


async def test_what_another_device_could_not_send_is_sent_here(
    intake: Intake, sender: FakeSender, start_core: StartCore
) -> None:
    ledger = Ledger()
    sender.answer(Refused("cms-38", Retry.NEVER))
    await claimed(intake, ledger)
    other, others_sender = await another_device(start_core)
    assert (await claimed(other, ledger, redelivered=True)).verdict is Verdict.DONE
    assert len(others_sender.given) == 1


async def test_what_another_device_never_began_with_is_sent_here(start_core: StartCore) -> None:
    other, others_sender = await another_device(start_core)
    assert (await claimed(other, Ledger(), redelivered=True)).verdict is Verdict.DONE
    assert len(others_sender.given) == 1


@pytest.mark.parametrize("again", [lambda: Delivery(body(), "m1"), lambda: Delivery(body(id="7"))])
async def test_a_publishers_repetition_is_caught_by_what_the_other_device_told(
    intake: Intake, start_core: StartCore, again: Callable[[], Delivery]
) -> None:
    ledger = Ledger()
    await intake.handle(again(), claims=ledger)
    other, others_sender = await another_device(start_core)
    assert (await other.handle(again(), claims=ledger)).verdict is Verdict.DONE
    assert others_sender.given == []
    assert set(ledger.asked) == {False}, "nothing is waited for"
