"""What comes in cipher: who can't read it neither learns by it nor makes use of it."""

import json

import pytest

from core import Core
from fakes import FakeSender
from intakes import an_intake, body
from otpbroker.errors import OtpBrokerError, Rejected, Unavailable, UnknownOutcome
from otpbroker.feeder.delivery import Delivery, Verdict
from otpbroker.sms.ussd import UssdAnswer


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


@pytest.mark.parametrize(
    ("raised", "second"),
    [(Unavailable("ussd-busy", ""), Verdict.DONE), (UnknownOutcome("ussd-timeout", ""), Verdict.UNKNOWN)],
)
async def test_a_sealed_command_that_did_nothing_may_come_again(
    core: Core, sender: FakeSender, raised: OtpBrokerError, second: Verdict
) -> None:
    octets = seal(b'{"command":"request-ussd","data":{"modem_id":"m1","ussd_code":"*123#"}}')
    intake = an_intake(core, unseal=shuffled, rights=frozenset({"ussd"}))
    sender.ussd.answer(raised, UssdAnswer("Pulsa 5000", "+CUSD: 0"))
    await intake.handle(Delivery(octets))
    assert (await intake.handle(Delivery(octets))).verdict is second


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
