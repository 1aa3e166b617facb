"""What a broker gives again is not done again, and is answered as before."""

import asyncio
import json
from typing import Any

from core import Core, settle
from fakes import FakeSender
from intakes import an_intake, body
from otpbroker.feeder.delivery import Delivery, Handled, Verdict
from otpbroker.feeder.intake import Intake
from otpbroker.feeder.repetitions import MOST_VERIFIED, Repetitions
from otpbroker.messaging import outcome
from otpbroker.messaging.outcome import OtpVerified

OTP = {"receiver": "081234567890", "reference": "r1"}


async def test_what_went_back_on_an_earlier_connection_stands_for_nothing(core: Core, sender: FakeSender) -> None:
    """There it may have expired, or another device took it."""
    intake = an_intake(core)
    ours: list[str] = []
    sender.hang()
    in_the_air = asyncio.create_task(intake.handle(Delivery(body("another"))))
    await settle()
    waiting = asyncio.create_task(intake.handle(Delivery(body("same")), began=ours.append))
    await settle()
    intake.withdraw(ours[0])
    assert (await waiting).reason == "returned"
    sender.wake()
    await in_the_air
    intake.connected()
    await intake.handle(Delivery(body("same")))
    assert (await intake.handle(Delivery(body("same"), redelivered=True))).verdict is Verdict.DONE
    assert sender.texts == ["another", "same"]


async def code(intake: Intake, sender: FakeSender) -> str:
    """The one-time password that the device made and sent."""
    request = {"command": "request-otp", "data": OTP | {"message": "%s"}}
    await intake.handle(Delivery(json.dumps(request).encode()))
    return sender.texts[-1]


def verify(otp: str, **more: Any) -> Delivery:
    return Delivery(json.dumps({"command": "verify-otp", "data": OTP | {"otp": otp}}).encode(), **more)


def told(handled: Handled) -> object:
    assert handled.answer is not None
    return handled.answer["response_code"]


async def test_a_right_code_that_is_given_again_is_still_right(core: Core, sender: FakeSender) -> None:
    """It is acknowledged after its answer, so the broker may give it again: then both answers are read."""
    intake = an_intake(core)
    right = await code(intake, sender)
    assert told(await intake.handle(verify(right))) == "0000"
    again = await intake.handle(verify(right, redelivered=True))
    assert (again.verdict, told(again)) == (Verdict.DONE, "0000")
    assert told(await intake.handle(verify(right))) == "1202", "published again it is another try"


async def test_a_wrong_code_that_is_given_again_costs_one_try(core: Core, sender: FakeSender) -> None:
    intake = an_intake(core)
    right = await code(intake, sender)
    wrong = "000000" if right != "000000" else "000001"
    for redelivered in (False, *(True,) * 9):
        assert told(await intake.handle(verify(wrong, message_id="1", redelivered=redelivered))) == "1202"
    assert told(await intake.handle(verify(right))) == "0000"


async def test_a_code_that_may_have_been_right_before_this_process_is_unknown(
    core: Core, sender: FakeSender
) -> None:
    before, after = an_intake(core), an_intake(core)
    right = await code(before, sender)
    await before.handle(verify(right))
    handled = await after.handle(verify(right, redelivered=True))
    assert (handled.verdict, handled.reason) == (Verdict.UNKNOWN, "begun-before")
    assert handled.answer is not None
    assert "may have been right" in str(handled.answer)


async def test_a_code_that_was_given_before_but_not_verified_is_verified(core: Core, sender: FakeSender) -> None:
    intake = an_intake(core)
    right = await code(intake, sender)
    wrong = "000000" if right != "000000" else "000001"
    assert told(await intake.handle(verify(wrong, redelivered=True))) == "1202", "its reference is live"
    assert told(await intake.handle(verify(right, redelivered=True))) == "0000"


async def test_codes_are_not_remembered_without_end() -> None:
    repetitions = Repetitions()
    asked = []

    async def is_right() -> OtpVerified:
        asked.append(1)
        return OtpVerified("r", "6281234567890", outcome.Verdict.VALID, 0)

    for number in range(MOST_VERIFIED + 1):
        await repetitions.verified(f"{number}", False, is_right)
    await repetitions.verified("1", True, is_right)
    assert len(asked) == MOST_VERIFIED + 1
    await repetitions.verified("0", True, is_right)
    assert len(asked) == MOST_VERIFIED + 2
