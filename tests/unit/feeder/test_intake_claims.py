"""Devices on one queue: each knows what the others began with, and sends none of it again."""

import asyncio
from collections.abc import Callable

import pytest

from core import StartCore, settings, settle
from fakes import FakeSender, modem
from intakes import Ledger, an_intake, body
from otpbroker.feeder.delivery import Delivery, Handled, Verdict
from otpbroker.feeder.intake import Intake
from otpbroker.messaging.outcome import State
from otpbroker.sms.submission import Refused, Retry, Unknown


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
