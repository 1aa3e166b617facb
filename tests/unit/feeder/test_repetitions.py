"""What a broker gives again is not done again, and is answered as before."""

import asyncio

from core import Core, settle
from fakes import FakeSender
from intakes import an_intake, body
from otpbroker.feeder.delivery import Delivery, Verdict


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
