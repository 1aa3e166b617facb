"""The balance of prepaid SIMs: when it is asked for, what is read, who is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

import pytest

from core import Core, StartCore
from fakes import FakeSender
from otpbroker.config.balance import BalanceSection
from otpbroker.config.model import ModemSection
from otpbroker.errors import Misconfigured, OtpBrokerError, Rejected, Unavailable
from otpbroker.events import LowBalance
from otpbroker.messaging.balance import FIRST_LEAST, FIRST_MOST, RETRIES, SPREAD, Balances
from otpbroker.messaging.command import Origin, RunUssd
from otpbroker.messaging.operators import OPERATORS, RUPIAH, Operator
from otpbroker.sms.ussd import UssdAnswer

HOUR = 3600.0


def said(text: str, expires_in: float | None = None) -> UssdAnswer:
    return UssdAnswer(text, f'+CUSD: 0,"{text}",15', expires_in)


RICH, POOR = said("Sisa pulsa Rp 50.000"), said("Sisa pulsa Rp.4,500.00")


def section(modem_id: str = "m1", **balance: object) -> ModemSection:
    return ModemSection(id=modem_id, port=f"/dev/{modem_id}", balance=BalanceSection.model_validate(balance))


@dataclass
class Counter:
    core: Core
    balances: Balances

    def checks(self, *senders: FakeSender) -> int:
        return sum(len(sender.ussd.asked) for sender in senders)


Start = Callable[..., Awaitable[Counter]]


@pytest.fixture
async def start(start_core: StartCore) -> AsyncIterator[Start]:
    tasks: list[asyncio.Task[None]] = []

    async def begin(*senders: FakeSender) -> Counter:
        core = await start_core(*senders)
        balances = Balances(fleet=core.fleet, core=core.dispatcher, bus=core.bus, clock=core.time.clock)
        tasks.append(asyncio.create_task(balances.run()))
        return Counter(core, balances)

    yield begin
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_it_is_asked_for_after_the_start_and_then_by_the_hour(start: Start) -> None:
    sender = FakeSender(section(every=6))
    sender.ussd.answer(RICH, RICH, POOR)
    counter = await start(sender)
    await asyncio.sleep(FIRST_LEAST - 1)
    assert counter.checks(sender) == 0
    await asyncio.sleep(FIRST_MOST + 2 - FIRST_LEAST)
    assert sender.ussd.asked == ["*888#"]  # Telkomsel's, by the IMSI
    (balance, at, low), *_ = sender.balances
    assert (balance, low) == ("50000", False)
    assert at is not None
    assert at <= counter.core.time.now()
    await asyncio.sleep(6 * HOUR * 0.9)
    assert counter.checks(sender) == 1
    await asyncio.sleep(6 * HOUR * 0.2)
    assert counter.checks(sender) == 2
    await asyncio.sleep(6 * HOUR * 1.06)
    assert [told for told, _, _ in sender.balances] == ["50000", "50000", "4500"]


async def test_at_times_of_day_instead(start: Start) -> None:
    sender = FakeSender(section(at=("06:30", "18:00")))
    sender.ussd.answer(*[RICH] * 9)
    counter = await start(sender)
    await asyncio.sleep(FIRST_MOST + 2)
    await asyncio.sleep(48 * HOUR)
    times = [datetime.fromtimestamp(at).astimezone() for _, at, _ in sender.balances[1:] if at]
    assert len(times) == 4
    for time in times:
        after = min(
            60 * (60 * time.hour + time.minute - due) + time.second
            for due in (390, 1080)
            if due <= 60 * time.hour + time.minute
        )
        assert 0 <= after <= SPREAD + 2
    assert counter.checks(sender) == 5


async def test_modems_do_not_ask_all_at_once(start: Start) -> None:
    many = [FakeSender(section(f"m{number}")) for number in range(20)]
    for sender in many:
        sender.ussd.answer(RICH)
    await start(*many)
    await asyncio.sleep(FIRST_MOST + 2)
    times = sorted(at for sender in many for _, at, _ in sender.balances if at)
    assert len(times) == 20
    assert times[-1] - times[0] > FIRST_MOST / 4


async def test_a_modem_without_the_setting_is_left_alone_and_one_that_gets_it_is_asked(start: Start) -> None:
    sender = FakeSender(ModemSection(id="m1", port="/dev/m1"))
    sender.ussd.answer(RICH)
    counter = await start(sender)
    await asyncio.sleep(30 * HOUR)
    assert counter.checks(sender) == 0
    sender.config = section()
    counter.balances.senders_changed()
    await asyncio.sleep(FIRST_MOST + 2)
    assert counter.checks(sender) == 1
    sender.config = ModemSection(id="m1", port="/dev/m1")
    counter.balances.senders_changed()
    await asyncio.sleep(30 * HOUR)
    assert counter.checks(sender) == 1


async def test_messages_come_first(start: Start) -> None:
    sender = FakeSender(section())
    sender.ussd.answer(RICH)
    counter = await start(sender)
    sender.hang()
    held = [
        asyncio.create_task(counter.core.send(f"{number}", wait=3000, expires_at=counter.core.time.now() + 3000))
        for number in range(2)
    ]
    await asyncio.sleep(FIRST_MOST + 100)
    assert counter.checks(sender) == 0
    sender.wake()
    await asyncio.gather(*held)
    await asyncio.sleep(100)
    assert counter.checks(sender) == 1


async def test_a_modem_that_is_not_ready_is_waited_for_without_polling(start: Start) -> None:
    sender = FakeSender(section(), ready=False)
    sender.ussd.answer(RICH)
    counter = await start(sender)
    await asyncio.sleep(100 * HOUR)
    sender.ready = True
    counter.balances.senders_changed()
    await asyncio.sleep(FIRST_MOST + 2)
    assert counter.checks(sender) == 1


async def test_what_failed_is_tried_again_some_times(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    sender = FakeSender(section())
    busy = Unavailable("ussd-terminated", "the network ended it")
    sender.ussd.answer(*[busy] * (len(RETRIES) + 1), RICH)
    counter = await start(sender)
    await asyncio.sleep(FIRST_MOST + 1.3 * sum(RETRIES))
    assert counter.checks(sender) == len(RETRIES) + 1
    assert sender.balances == []
    assert caplog.text.count("balance not known") == len(RETRIES) + 1
    await asyncio.sleep(25.5 * HOUR)
    assert [told for told, _, _ in sender.balances] == ["50000"]


@pytest.mark.parametrize(
    "wrong", [said("Layanan tidak tersedia"), Rejected("ussd-not-supported", "no"), said("Pulsa Rp habis")]
)
async def test_what_only_a_person_can_put_right_is_not_tried_again_at_once(
    start: Start, wrong: UssdAnswer | OtpBrokerError
) -> None:
    sender = FakeSender(section())
    sender.ussd.answer(wrong, RICH)
    counter = await start(sender)
    await asyncio.sleep(5 * HOUR)
    assert counter.checks(sender) == 1
    assert sender.balances == []


async def test_a_menu_is_left_after_its_first_screen(start: Start) -> None:
    sender = FakeSender(section())
    sender.ussd.answer(said("Pulsa Rp12345\n1. Isi ulang", 45.0))
    counter = await start(sender)
    assert (await counter.balances.check("m1")).amount == 12345
    assert (sender.ussd.ended, sender.ussd.open) == (1, False)


async def test_somebody_elses_session_is_not_broken_into(start: Start) -> None:
    sender = FakeSender(section())
    sender.ussd.answer(said("1. Menu", 45.0), RICH)
    counter = await start(sender)
    await counter.core.dispatcher.submit(RunUssd("m1", "*1#"), Origin("rest", "shop", frozenset({"ussd"})))
    with pytest.raises(Unavailable):
        await counter.balances.check("m1")
    assert sender.ussd.ended == 0


async def test_crossing_the_limit_is_told_once_each_time(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    sender = FakeSender(section(every=1, warn_below=5000))
    sender.ussd.answer(RICH, POOR, POOR, RICH, POOR)
    counter = await start(sender)
    with counter.core.bus.subscribe() as events:
        await asyncio.sleep(FIRST_MOST + 4.5 * HOUR)
        counter.core.bus.close()
        told = [event async for event in events if isinstance(event, LowBalance)]
    assert [low for _, _, low in sender.balances] == [False, True, True, False, True]
    assert [(event.modem_id, event.balance, event.limit) for event in told] == [("m1", "4500", 5000.0)] * 2
    assert caplog.text.count("is below") == 2


async def test_a_balance_at_the_limit_is_not_below_it(start: Start) -> None:
    sender = FakeSender(section(warn_below=50000))
    sender.ussd.answer(RICH)
    counter = await start(sender)
    assert not (await counter.balances.check("m1")).low


async def test_another_sim_has_another_balance(start: Start) -> None:
    sender = FakeSender(section())
    sender.ussd.answer(RICH, POOR)
    counter = await start(sender)
    await asyncio.sleep(FIRST_MOST + 2)
    sender.imsi = "510110000000001"
    counter.balances.senders_changed()
    await asyncio.sleep(1)
    assert sender.balances[-1] == ("", None, False)
    await asyncio.sleep(FIRST_MOST + 2)
    assert sender.ussd.asked == ["*888#", "*123#"]  # XL's
    assert sender.balances[-1][0] == "4500"


async def test_a_modem_that_is_built_anew_shows_what_is_known(start: Start) -> None:
    sender = FakeSender(section())
    sender.ussd.answer(RICH)
    counter = await start(sender)
    await asyncio.sleep(FIRST_MOST + 2)
    anew = FakeSender(section())
    counter.core.plug(anew)
    counter.balances.senders_changed()
    await asyncio.sleep(1)
    assert anew.balances == sender.balances
    await asyncio.sleep(FIRST_MOST + 2)
    assert counter.checks(anew) == 0  # it was asked for just now


async def test_own_code_and_pattern_go_before_the_operators(start: Start) -> None:
    sender = FakeSender(section(ussd="*100#", pattern=r"Saldo (?P<amount>[0-9,.]+) EUR"))
    sender.ussd.answer(said("Saldo 12,50 EUR, bonus Rp 7"))
    counter = await start(sender)
    assert str((await counter.balances.check("m1")).amount) == "12.50"
    assert sender.ussd.asked == ["*100#"]


async def test_an_unknown_operator_needs_both(start: Start) -> None:
    sender = FakeSender(section(ussd="*100#"), imsi="262010000000001")
    counter = await start(sender)
    with pytest.raises(Misconfigured) as problem:
        await counter.balances.check("m1")
    assert problem.value.code == "balance-not-configured"
    assert sender.ussd.asked == []


async def test_it_can_be_asked_for_by_hand_without_being_configured(start: Start) -> None:
    sender = FakeSender(ModemSection(id="m1", port="/dev/m1"))
    sender.ussd.answer(RICH)
    counter = await start(sender)
    assert (await counter.balances.check("m1")).amount == 50000
    with pytest.raises(Rejected):
        await counter.balances.check("m9")


async def test_no_text_of_an_operator_is_logged(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    sender = FakeSender(section(warn_below=1e6))
    sender.ussd.answer(RICH, said("Nomor Anda 0812 tidak aktif"))
    counter = await start(sender)
    await counter.balances.check("m1")
    with pytest.raises(Misconfigured):
        await counter.balances.check("m1")
    assert "Sisa" not in caplog.text
    assert "Nomor" not in caplog.text


@pytest.mark.parametrize("operator", OPERATORS.values())
def test_the_table_of_operators_is_a_good_configuration(operator: Operator) -> None:
    section = BalanceSection.model_validate({"ussd": operator.ussd, "pattern": operator.pattern})
    assert section.pattern == RUPIAH


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"ussd": "halo"}, "USSD code"),
        ({"ussd": '*1"#'}, "USSD code"),
        ({"pattern": "Rp(?P<amount>[0-9"}, "no regular expression"),
        ({"pattern": "Rp([0-9]+)"}, "group named amount"),
        ({"pattern": "(?P<amount>.)" + "x" * 200}, "at most 200"),
        ({"every": 0}, "greater than or equal to 1"),
        ({"at": ["6:30"]}, "pattern"),
        ({"at": ["24:00"]}, "pattern"),
        ({"at": [1080]}, "string"),  # 18:00 without quotes is a number in YAML
        ({"warn_below": -1}, "greater than or equal to 0"),
        ({"warn_below": float("nan")}, "finite"),
        ({"code": "*1#"}, "Extra inputs"),
    ],
)
def test_a_wrong_setting_says_what_is_wrong(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        BalanceSection.model_validate(wrong)


async def test_a_clock_that_is_set_back_does_not_put_the_next_check_off(start: Start) -> None:
    sender = FakeSender(section(every=6))
    sender.ussd.answer(RICH, POOR)
    counter = await start(sender)
    await asyncio.sleep(FIRST_MOST + 2)
    counter.core.time.ntp_step -= 365 * 24 * HOUR
    anew = FakeSender(section(every=6))
    anew.ussd.answer(POOR)
    counter.core.plug(anew)
    counter.balances.senders_changed()
    await asyncio.sleep(6 * HOUR * 1.06)
    assert counter.checks(anew) == 1
