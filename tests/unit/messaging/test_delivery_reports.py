"""What delivery reports make of messages: found by modem, receiver, reference and time, over wraps and restarts."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core import Core, StartCore, settings
from fakes import IMEI, FakeSender, modem
from otpbroker.events import DeliveryChanged
from otpbroker.messaging.delivery import HOUSEKEEPING
from otpbroker.messaging.outcome import Arrival, Outcome, Receipt, State
from otpbroker.sms.address import Address, TypeOfNumber, parse_address
from otpbroker.sms.status_report import StatusReport
from otpbroker.sms.submission import Refused, Retry, Sent, Unknown
from virtual_time import NOON

RECEIVER = "6281234567890"
DELIVERED, RETRYING, EXPIRED, GAVE_UP = 0x00, 0x30, 0x46, 0x60
LONG = "Kode Anda 123456, jangan diberikan kepada siapa pun. " * 6  # three parts
UNKNOWN_TIME = "unknown"


def report(
    reference: int,
    status: int = DELIVERED,
    receiver: str | Address = f"+{RECEIVER}",
    sent_at: float | None = None,
) -> StatusReport:
    return StatusReport(
        reference=reference,
        receiver=parse_address(receiver) if isinstance(receiver, str) else receiver,
        sent_at=None if sent_at is None else datetime.fromtimestamp(sent_at, UTC),
        discharged_at=None,
        status=status,
        smsc=None,
    )


@pytest.fixture
def sender() -> FakeSender:
    return FakeSender(modem("m1"), air_time=1.0)


@pytest.fixture
async def core(start_core: StartCore, sender: FakeSender) -> Core:
    return await start_core(sender, config=settings(status_report=True, life=300))


async def arrival(core: Core, outcome: Outcome) -> Arrival:
    known = await core.outcome(outcome.id, wait=0)
    assert known.receipt is not None
    return known.receipt.arrival


async def test_a_message_waits_for_its_report_and_is_delivered_by_it(core: Core) -> None:
    outcome = await core.send()
    assert (outcome.state, outcome.receipt) == (State.SENT, Receipt((Arrival.WAITING,)))
    await asyncio.sleep(3)
    core.delivery_reports.reported("m1", report(0))
    known = await core.outcome(outcome.id)
    assert (known.state, known.changed_at) == (State.SENT, outcome.changed_at)
    assert known.receipt == Receipt((Arrival.DELIVERED,), core.time.now())


@pytest.mark.parametrize(
    ("configured", "wanted", "asked"),
    [(False, None, False), (True, None, True), (False, True, True), (True, False, False)],
)
async def test_the_message_or_else_the_configuration_decides(
    start_core: StartCore, sender: FakeSender, configured: bool, wanted: bool | None, asked: bool
) -> None:
    core = await start_core(sender, config=settings(status_report=configured))
    outcome = await core.send(status_report=wanted)
    assert (outcome.receipt is not None) is asked
    assert (int(sender.given[0].sms.pdus[0][2:4], 16) & 0x20 != 0) is asked
    core.delivery_reports.reported("m1", report(0))
    known = await core.outcome(outcome.id)
    assert (known.receipt and known.receipt.arrival) == (Arrival.DELIVERED if asked else None)


async def test_what_was_not_sent_waits_for_no_report(core: Core, sender: FakeSender) -> None:
    sender.answer(Refused("cms-28", Retry.NEVER))
    assert (await core.send()).receipt is None


@pytest.mark.parametrize(
    ("statuses", "becomes"),
    [
        ([RETRYING], Arrival.RETRYING),
        ([RETRYING, DELIVERED], Arrival.DELIVERED),
        ([RETRYING, GAVE_UP], Arrival.FAILED),
        ([EXPIRED], Arrival.EXPIRED),
        ([0x49], Arrival.FAILED),
        ([DELIVERED, GAVE_UP], Arrival.DELIVERED),  # it can't come back
        ([GAVE_UP, RETRYING], Arrival.FAILED),
        ([GAVE_UP, DELIVERED], Arrival.DELIVERED),  # late, but there
        ([DELIVERED, RETRYING], Arrival.DELIVERED),
    ],
)
async def test_the_reports_of_a_part_fold_into_one_word(core: Core, statuses: list[int], becomes: Arrival) -> None:
    outcome = await core.send()
    for status in statuses:
        core.delivery_reports.reported("m1", report(0, status))
    assert await arrival(core, outcome) is becomes


@pytest.mark.parametrize(
    ("statuses", "becomes"),
    [
        ({0: DELIVERED, 1: DELIVERED}, Arrival.WAITING),
        ({2: DELIVERED, 0: DELIVERED, 1: DELIVERED}, Arrival.DELIVERED),
        ({0: DELIVERED, 1: RETRYING, 2: DELIVERED}, Arrival.RETRYING),
        ({0: DELIVERED, 1: EXPIRED, 2: RETRYING}, Arrival.EXPIRED),
        ({0: EXPIRED, 1: GAVE_UP}, Arrival.FAILED),
    ],
)
async def test_a_long_message_is_delivered_when_every_part_is(
    core: Core, statuses: dict[int, int], becomes: Arrival
) -> None:
    outcome = await core.send(LONG)
    assert outcome.references == (0, 1, 2)
    for reference, status in statuses.items():
        core.delivery_reports.reported("m1", report(reference, status))
    assert await arrival(core, outcome) is becomes


async def test_a_message_of_which_a_part_is_lost_is_never_delivered(core: Core, sender: FakeSender) -> None:
    sender.answer(Unknown("part-lost", (7, 8)))
    outcome = await core.send(LONG)
    for reference in (7, 8):
        core.delivery_reports.reported("m1", report(reference))
    assert (outcome.state, await arrival(core, outcome)) == (State.UNKNOWN, Arrival.WAITING)


@pytest.mark.parametrize(
    "written",
    [
        f"+{RECEIVER}",
        RECEIVER,
        "081234567890",
        Address("81234567890", TypeOfNumber.NATIONAL),
        Address("081234567890", TypeOfNumber.NATIONAL),
    ],
    ids=repr,
)
async def test_a_report_may_write_the_number_in_any_form(core: Core, written: str | Address) -> None:
    outcome = await core.send(receiver="0812-3456-7890")
    core.delivery_reports.reported("m1", report(0, receiver=written))
    assert await arrival(core, outcome) is Arrival.DELIVERED


async def test_a_number_shorter_than_what_tells_numbers_apart_is_known_in_both_forms(core: Core) -> None:
    outcome = await core.send(receiver="0217654")
    core.delivery_reports.reported("m1", report(0, receiver="0217654"))
    assert await arrival(core, outcome) is Arrival.DELIVERED


async def test_a_short_code_reports_too(core: Core) -> None:
    outcome = await core.send(receiver="8888")
    core.delivery_reports.reported("m1", report(0, receiver="8888"))
    assert await arrival(core, outcome) is Arrival.DELIVERED


@pytest.mark.parametrize(
    ("modem_id", "wrong"),
    [("m2", report(0)), ("m1", report(1)), ("m1", report(0, receiver="+6281234567891"))],
    ids=["modem", "reference", "number"],
)
async def test_another_modem_reference_or_number_is_another_message(
    core: Core, modem_id: str, wrong: StatusReport
) -> None:
    outcome = await core.send()
    core.delivery_reports.reported(modem_id, wrong)
    assert await arrival(core, outcome) is Arrival.WAITING


async def twins(core: Core, sender: FakeSender, apart: float = 3600.0) -> tuple[Outcome, Outcome]:
    """Two messages to one number with one reference, as after 256 messages."""
    sender.answer(Sent((5,)), Sent((5,)))
    older = await core.send("older")
    await asyncio.sleep(apart)
    return older, await core.send("newer")


async def test_after_a_wrap_the_time_in_the_report_decides(core: Core, sender: FakeSender) -> None:
    older, newer = await twins(core, sender)
    core.delivery_reports.reported("m1", report(5, sent_at=older.changed_at + 30))
    assert (await arrival(core, older), await arrival(core, newer)) == (Arrival.DELIVERED, Arrival.WAITING)
    core.delivery_reports.reported("m1", report(5, EXPIRED, sent_at=newer.changed_at - 30))
    assert await arrival(core, newer) is Arrival.EXPIRED


async def test_without_a_time_or_with_a_clock_that_is_wrong_the_newest_that_waits_is_meant(
    core: Core, sender: FakeSender
) -> None:
    older, newer = await twins(core, sender)
    core.delivery_reports.reported("m1", report(5, RETRYING))
    core.delivery_reports.reported("m1", report(5, sent_at=NOON - 7 * 3600))
    assert (await arrival(core, older), await arrival(core, newer)) == (Arrival.WAITING, Arrival.DELIVERED)
    core.delivery_reports.reported("m1", report(5))
    assert await arrival(core, older) is Arrival.DELIVERED


async def test_a_report_that_comes_twice_does_not_count_for_the_message_before(
    core: Core, sender: FakeSender
) -> None:
    older, newer = await twins(core, sender)
    for _ in range(2):
        core.delivery_reports.reported("m1", report(5, sent_at=newer.changed_at))
    assert (await arrival(core, older), await arrival(core, newer)) == (Arrival.WAITING, Arrival.DELIVERED)


async def test_the_time_in_a_report_is_cut_to_whole_seconds(core: Core, sender: FakeSender) -> None:
    older, newer = await twins(core, sender, apart=0.4)
    core.delivery_reports.reported("m1", report(5, sent_at=newer.changed_at - 0.95))
    assert (await arrival(core, older), await arrival(core, newer)) == (Arrival.WAITING, Arrival.DELIVERED)


async def test_what_was_sent_long_ago_is_not_meant(core: Core, sender: FakeSender) -> None:
    outcome = await core.send()
    await asyncio.sleep(300 + 86400 - 10)
    core.delivery_reports.reported("m1", report(0, RETRYING))
    await asyncio.sleep(20)
    core.delivery_reports.reported("m1", report(0))
    known = await core.dispatcher.outcome(outcome.id, caller=None)
    assert known is None or (known.receipt and known.receipt.arrival) is Arrival.RETRYING


async def test_a_message_that_lives_for_days_is_reported_of_until_a_day_after(
    start_core: StartCore, sender: FakeSender
) -> None:
    core = await start_core(sender, config=settings(status_report=True, life=3 * 86400))
    outcome = await core.send()
    await asyncio.sleep(4 * 86400 - 60)
    assert await arrival(core, outcome) is Arrival.WAITING
    core.delivery_reports.reported("m1", report(0))
    assert await arrival(core, outcome) is Arrival.DELIVERED
    await asyncio.sleep(60 + 2 * HOUSEKEEPING)
    assert await core.dispatcher.outcome(outcome.id, caller=None) is None


async def test_a_step_of_the_clock_between_message_and_report_loses_nothing(core: Core) -> None:
    outcome = await core.send()
    core.time.ntp_step += 40 * 86400
    await asyncio.sleep(2 * HOUSEKEEPING)
    core.delivery_reports.reported("m1", report(0, sent_at=core.time.now()))
    assert await arrival(core, outcome) is Arrival.DELIVERED


async def test_a_report_on_a_part_that_comes_while_the_others_are_sent_is_not_lost(
    core: Core, sender: FakeSender
) -> None:
    sender.air_time = 10.0
    outcome = await core.send(LONG, wait=5)
    assert outcome.state is State.SENDING
    core.delivery_reports.reported("m1", report(0))
    await core.outcome(outcome.id)
    known = await core.outcome(outcome.id)
    assert known.receipt is not None
    assert known.receipt.parts == (Arrival.DELIVERED, Arrival.WAITING, Arrival.WAITING)


async def test_while_a_message_is_in_the_air_a_report_is_not_taken_for_the_one_before(
    core: Core, sender: FakeSender
) -> None:
    sender.answer(Sent((5,)), Sent((5,)))
    older = await core.send("older")
    sender.air_time = 10.0
    newer = await core.send("newer", wait=5)
    core.delivery_reports.reported("m1", report(5))
    await core.outcome(newer.id)
    assert (await arrival(core, older), await arrival(core, newer)) == (Arrival.WAITING, Arrival.DELIVERED)


async def test_a_report_on_the_message_before_is_not_lost_when_the_one_in_the_air_is_refused(
    core: Core, sender: FakeSender
) -> None:
    older = await core.send("older")
    sender.air_time = 10.0
    sender.answer(Refused("cms-28", Retry.NEVER))
    newer = await core.send("newer", wait=5)
    core.delivery_reports.reported("m1", report(0))
    await core.outcome(newer.id)
    assert await arrival(core, older) is Arrival.DELIVERED


async def test_a_report_after_a_crash_is_understood(start_core: StartCore, core: Core, ram_folder: Path) -> None:
    outcome = await core.send(LONG)
    core.delivery_reports.reported("m1", report(0))
    after = await start_core(FakeSender(modem("m1")), folder=core.killed(ram_folder / "after"))
    for reference in (1, 2):
        after.delivery_reports.reported("m1", report(reference))
    assert await arrival(after, outcome) is Arrival.DELIVERED


async def test_a_message_in_the_air_at_a_crash_still_wants_its_report(
    start_core: StartCore, core: Core, sender: FakeSender, ram_folder: Path
) -> None:
    sender.air_time = 400.0
    outcome = await core.send(wait=1)
    after = await start_core(FakeSender(modem("m1")), folder=core.killed(ram_folder / "after"))
    after.delivery_reports.reported("m1", report(77))  # before the late answer is
    after.in_air.arrived("m1", 77, IMEI)
    assert await arrival(after, outcome) is Arrival.DELIVERED


async def test_no_number_is_kept_in_clear(core: Core) -> None:
    await core.send()
    content = (core.runtime / "journal.db").read_bytes()
    assert RECEIVER[-8:].encode() not in content


async def test_every_change_of_the_whole_is_told_once(core: Core) -> None:
    outcome = await core.send(LONG)
    with core.bus.subscribe() as events:
        for reference, status in ((0, DELIVERED), (1, RETRYING), (1, RETRYING), (1, DELIVERED), (2, DELIVERED)):
            core.delivery_reports.reported("m1", report(reference, status))
        core.bus.close()
        told = [event async for event in events if isinstance(event, DeliveryChanged)]
    assert [event.arrival for event in told] == ["retrying", "waiting", "delivered"]
    assert {(event.id, event.receiver, event.modem_id) for event in told} == {(outcome.id, outcome.receiver, "m1")}


async def test_an_id_that_comes_again_is_answered_with_the_delivery(core: Core) -> None:
    await core.send(message_id="7")
    core.delivery_reports.reported("m1", report(0))
    again = await core.send(message_id="7")
    assert again.duplicate
    assert again.receipt is not None
    assert again.receipt.arrival is Arrival.DELIVERED


async def test_reports_about_nothing_do_no_harm(core: Core) -> None:
    for reference in range(300):
        core.delivery_reports.reported("m9", report(reference % 256, receiver="+4912345678"))
    assert (await core.send()).state is State.SENT
