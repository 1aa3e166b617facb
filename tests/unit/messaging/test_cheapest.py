"""The cheapest route: what the README's example says, by caps, promos and turns, and what it saved."""

import asyncio
import csv
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest
from four_operators import CHOICE, DEFAULT, PRICES, by_prefix, by_price, national, price, tariff

from core import Core, StartCore, settings
from fakes import FakeSender, modem, senders
from otpbroker.config.tariff import TariffSection
from otpbroker.messaging.outcome import Outcome, State
from otpbroker.messaging.routing import by_price as order
from otpbroker.sms.submission import Refused, Retry, Unknown
from virtual_time import time_zone

CHEAPEST = settings(routing="cheapest", life=600)
LONG_TEXT = "x" * 400  # three parts


@pytest.fixture(autouse=True)
def jakarta() -> Iterator[None]:
    """Virtual time begins at 15:00 there: nine hours before midnight."""
    with time_zone("WIB-7"):
        yield


def flat(price: float | str, /, **promo: object) -> TariffSection:
    """The same for every receiver."""
    return TariffSection.model_validate({"price": price, "promo": promo or None})


async def carriers(core: Core, count: int, receiver: str = "0812345678") -> list[str | None]:
    return [(await core.send(f"{number}", receiver)).modem_id for number in range(count)]


# the README's example


@pytest.mark.parametrize("written", [str, national, "+{}".format], ids=["62871", "0871", "+62871"])
@pytest.mark.parametrize("prefix", CHOICE)
async def test_the_readmes_example_by_prefixes(
    start_core: StartCore, prefix: str, written: Callable[[str], str]
) -> None:
    core = await start_core(*senders(*by_prefix()))
    outcome = await core.send(receiver=written(prefix) + "5551234")
    assert (outcome.modem_id, outcome.price) == (CHOICE[prefix], price(CHOICE[prefix], prefix))


@pytest.mark.parametrize("written", [str, national, "+{}".format], ids=["62871", "0871", "+62871"])
@pytest.mark.parametrize("prefix", CHOICE)
async def test_the_cheapest_route_chooses_as_the_readme_does_from_the_tariffs_alone(
    start_core: StartCore, prefix: str, written: Callable[[str], str]
) -> None:
    core = await start_core(*senders(*by_price()), config=CHEAPEST)
    outcome = await core.send(receiver=written(prefix) + "5551234")
    assert (outcome.modem_id, outcome.price) == (CHOICE[prefix], price(CHOICE[prefix], prefix))


async def test_two_sims_of_one_operator_take_turns_as_the_readme_says(start_core: StartCore) -> None:
    own = PRICES[0]
    second = modem("m1b", tariff=tariff(*own[1:]))
    core = await start_core(*senders(*by_price(), second), config=CHEAPEST)
    assert await carriers(core, 4, "0871 555 1234") == ["m1", "m1b", "m1", "m1b"]


async def test_a_promo_makes_it_cheaper_still_as_the_readme_says(start_core: StartCore) -> None:
    """Operator 1 is nearly free after three messages of the day: from then on it is the cheapest for everybody."""
    name, own, prefixes, other = PRICES[0]
    promo = modem(name, tariff=tariff(own, prefixes, other, after=3, price=5))
    core = await start_core(*senders(promo, *by_price()[1:]), config=CHEAPEST)
    assert await carriers(core, 2, "0811 555 1234") == [DEFAULT, DEFAULT]
    assert await carriers(core, 3, "0871 555 1234") == ["m1", "m1", "m1"]
    outcome = await core.send(receiver="0811 555 1234")
    assert (outcome.modem_id, outcome.price) == ("m1", 5)
    await asyncio.sleep(9 * 3600)  # midnight: the operator counts anew
    assert await carriers(core, 2, "0811 555 1234") == [DEFAULT, DEFAULT]


# the order


def test_equal_prices_are_one_tier_and_unknown_ones_come_last_by_their_prefixes() -> None:
    prices = {"a": None, "b": Decimal(2), "c": Decimal(1), "d": Decimal(2), "e": None, "f": None}
    assert order(prices, (("e", "b"), ("a",))) == (("c",), ("b", "d"), ("e",), ("a",), ("f",))


async def test_prefixes_and_the_default_modem_play_no_part(start_core: StartCore) -> None:
    core = await start_core(
        *senders(modem("m1", "62812", tariff=flat(300), default=True), modem("m2", tariff=flat(200))),
        config=CHEAPEST,
    )
    assert await carriers(core, 2) == ["m2", "m2"]


async def test_a_modem_without_a_tariff_is_for_when_there_is_no_other(start_core: StartCore) -> None:
    unknown, known = senders(modem("m1", "62812", default=True), modem("m2", tariff=flat(9999), per_hour=1))
    core = await start_core(unknown, known, config=CHEAPEST)
    assert await carriers(core, 2) == ["m2", "m1"]
    outcome = await core.send()
    assert (outcome.price, outcome.saved) == (None, None)


async def test_a_modem_that_is_not_for_applications_is_no_route(start_core: StartCore) -> None:
    core = await start_core(
        *senders(modem("m1", tariff=flat(1), send_from_api=False), modem("m2", tariff=flat(200))), config=CHEAPEST
    )
    assert await carriers(core, 1) == ["m2"]


async def test_a_modem_at_its_cap_makes_the_next_cheapest_the_cheapest(start_core: StartCore) -> None:
    core = await start_core(
        *senders(
            modem("m1", tariff=flat(300)),
            modem("m2", tariff=flat(100), per_minute=2),
            modem("m3", tariff=flat(200), per_minute=1),
        ),
        config=CHEAPEST,
    )
    assert await carriers(core, 4) == ["m2", "m2", "m3", "m1"]
    await asyncio.sleep(60)
    assert await carriers(core, 1) == ["m2"]


async def test_a_busy_cheap_modem_is_waited_for(start_core: StartCore) -> None:
    cheap, dear = senders(modem("m1", tariff=flat(100)), modem("m2", tariff=flat(200)))
    core = await start_core(cheap, dear, config=CHEAPEST)
    await asyncio.gather(*(core.send(f"{number}") for number in range(5)))
    assert (len(cheap.given), len(dear.given)) == (5, 0)


async def test_who_is_refused_goes_to_the_next_cheapest(start_core: StartCore) -> None:
    first, second, third = senders(
        modem("m1", tariff=flat(100)), modem("m2", tariff=flat(300)), modem("m3", tariff=flat(200))
    )
    first.answer(Refused("cms-38", Retry.LATER))
    core = await start_core(first, second, third, config=CHEAPEST)
    outcome = await core.send()
    assert (outcome.modem_id, outcome.price) == ("m3", 200)


async def test_the_mode_can_be_changed_while_messages_wait(start_core: StartCore) -> None:
    cheap, default = senders(modem("m1", tariff=flat(1)), modem("m2", default=True, tariff=flat(2)))
    default.hang()
    core = await start_core(cheap, default)
    await core.send("in the air", wait=1.0)
    waiting = await core.send("waiting", wait=1.0)
    core.config = CHEAPEST
    core.dispatcher.senders_changed()
    assert (await core.outcome(waiting.id)).modem_id == "m1"
    default.wake()


# promos


async def test_the_parts_of_a_long_message_decide_at_the_border_of_a_promo(start_core: StartCore) -> None:
    """One part still costs 100 there, three cost 100 + 2 x 1; elsewhere 60 and 180."""
    promo, plain = modem("m1", tariff=flat(100, after=2, price=1)), modem("m2", tariff=flat(60))
    core = await start_core(*senders(promo, plain), config=CHEAPEST)
    await core.send(modem_id="m1")
    short, long = await core.send("short"), await core.send(LONG_TEXT)
    assert [(o.modem_id, o.price) for o in (short, long)] == [("m2", 60), ("m1", 102)]


async def test_a_promo_of_so_many_messages_is_not_overdrawn(start_core: StartCore) -> None:
    promo = modem("m1", tariff=flat(100, after=1, price=0, most=2))
    core = await start_core(*senders(promo, modem("m2", tariff=flat(60))), config=CHEAPEST)
    await core.send(modem_id="m1")
    assert await carriers(core, 4) == ["m1", "m1", "m2", "m2"]


async def test_what_was_not_sent_does_not_count_for_a_promo(start_core: StartCore) -> None:
    promo, plain = senders(modem("m1", tariff=flat(100, after=1, price=0)), modem("m2", tariff=flat(60)))
    promo.answer(Refused("cms-28", Retry.NEVER), Unknown("no-answer"))
    core = await start_core(promo, plain, config=CHEAPEST)
    await core.send("refused", modem_id="m1")
    assert await carriers(core, 1) == ["m2"]
    await core.send("unclear", modem_id="m1")
    assert await carriers(core, 1) == ["m1"]


async def test_a_promo_that_does_not_begin_after_all_is_not_waited_for(start_core: StartCore) -> None:
    """While the first part is in the air the second one would be free there."""
    promo, plain = senders(modem("m1", tariff=flat(100, after=1, price=0)), modem("m2", tariff=flat(60)))
    promo.air_time = 5.0
    promo.answer(Refused("cms-28", Retry.NEVER))
    core = await start_core(promo, plain, config=CHEAPEST)
    await core.send("refused", wait=1.0, modem_id="m1")
    outcome = await core.send("waiting")
    assert outcome.modem_id == "m2"
    assert plain.given[0].at == promo.given[0].at + 5.0


async def test_other_receivers_do_not_count_for_a_promo(start_core: StartCore) -> None:
    promo = modem("m1", tariff=flat(100, after=1, price=0, prefixes=["0871"]))
    core = await start_core(*senders(promo, modem("m2", tariff=flat(60))), config=CHEAPEST)
    await core.send("x", "0812 555 1234", modem_id="m1")
    assert await carriers(core, 1, "0871 555 1234") == ["m2"]
    await core.send("y", "0871 555 1234", modem_id="m1")
    assert await carriers(core, 1, "0871 555 1234") == ["m1"]
    assert await carriers(core, 1, "0812 555 1234") == ["m2"]


async def test_a_promo_of_the_month_goes_on_the_next_day(start_core: StartCore) -> None:
    promo = modem("m1", tariff=flat(100, after=1, price=0, per="month"))
    core = await start_core(*senders(promo, modem("m2", tariff=flat(60))), config=CHEAPEST)
    await core.send(modem_id="m1")
    await asyncio.sleep(86400)
    assert await carriers(core, 1) == ["m1"]
    await asyncio.sleep(16 * 86400)  # the first of February
    assert await carriers(core, 1) == ["m2"]


async def test_the_last_part_of_a_promo_in_the_air_makes_what_waits_go_elsewhere(start_core: StartCore) -> None:
    promo, plain = senders(modem("m1", tariff=flat(100, after=0, price=1, most=2)), modem("m2", tariff=flat(60)))
    core = await start_core(promo, plain, config=CHEAPEST)
    outcomes = await asyncio.gather(*(core.send(f"{number}") for number in range(4)))
    assert [outcome.modem_id for outcome in outcomes] == ["m1", "m1", "m2", "m2"]
    assert plain.given[0].at == promo.given[1].at


async def test_a_promo_goes_on_after_a_restart(start_core: StartCore, ram_folder: Path) -> None:
    sections = (modem("m1", tariff=flat(100, after=2, price=0)), modem("m2", tariff=flat(60)))
    first = senders(*sections)
    core = await start_core(*first, config=CHEAPEST)
    await core.send("1", modem_id="m1")
    first[0].hang()
    await core.send("in the air", wait=1.0, modem_id="m1")
    again = await start_core(*senders(*sections), config=CHEAPEST, folder=core.killed(ram_folder / "after"))
    again.in_air.close()  # nobody tells what became of it: it may have been sent
    assert await carriers(again, 1) == ["m1"]


# what it cost and saved


@pytest.mark.parametrize("prefix", CHOICE)
async def test_prefixes_set_up_as_well_as_the_readme_does_leave_nothing_to_save(
    start_core: StartCore, prefix: str
) -> None:
    core = await start_core(*senders(*by_prefix()), config=CHEAPEST)
    assert (await core.send(receiver=prefix + "5551234")).saved == 0


async def test_without_prefixes_the_turns_of_all_would_have_cost_their_average(start_core: StartCore) -> None:
    core = await start_core(*senders(*by_price()), config=CHEAPEST)
    outcome = await core.send(receiver="0871 555 1234")
    assert (outcome.price, outcome.saved) == (50, Decimal(50 + 350 + 250 + 200) / 4 - 50)


async def test_saved_is_what_the_prefixes_route_would_have_cost_more(start_core: StartCore) -> None:
    sections = (modem("m1", "62871", tariff=flat(80)), modem("m2", tariff=flat(30)), modem("m3", default=True))
    core = await start_core(*senders(*sections), config=CHEAPEST)
    to_m1 = await core.send(LONG_TEXT, "0871 555 1234")
    to_m3 = await core.send("x", "0812 555 1234")
    assert (to_m1.price, to_m1.saved) == (90, 150)
    assert (to_m3.price, to_m3.saved) == (30, None)  # nobody knows what it would have cost there


async def test_a_modem_at_its_cap_is_no_measure_of_what_was_saved(start_core: StartCore) -> None:
    sections = (
        modem("m1", "62871", tariff=flat(500), per_hour=1),
        modem("m2", tariff=flat(40)),
        modem("m3", default=True, tariff=flat(70)),
    )
    core = await start_core(*senders(*sections), config=CHEAPEST)
    await core.send(modem_id="m1")
    assert (await core.send(receiver="0871 555 1234")).saved == 30


async def test_by_prefixes_and_by_hand_the_price_is_told_and_nothing_is_saved(start_core: StartCore) -> None:
    core = await start_core(*senders(*by_prefix()))
    by_route, by_hand = await core.send(receiver="62811555"), await core.send(receiver="62811555", modem_id="m1")
    assert [(o.price, o.saved) for o in (by_route, by_hand)] == [(200, None), (350, None)]
    core.config = CHEAPEST
    core.dispatcher.senders_changed()
    assert (await core.send(receiver="62811555", modem_id="m1")).saved is None


async def test_what_was_not_sent_cost_nothing_and_what_may_have_been_its_price(start_core: StartCore) -> None:
    sender = FakeSender(modem("m1", tariff=flat(70)))
    sender.answer(Refused("cms-28", Retry.NEVER), Unknown("no-answer"))
    core = await start_core(sender, config=CHEAPEST)
    failed, unclear = await core.send("1"), await core.send("2")
    assert (failed.state, failed.price, failed.saved) == (State.FAILED, None, None)
    assert (unclear.state, unclear.price) == (State.UNKNOWN, 70)


async def test_price_and_savings_survive_a_crash(start_core: StartCore, ram_folder: Path) -> None:
    sections = (modem("m1", "62871", tariff=flat("0.1")), modem("m2", tariff=flat("0.079")))
    first = senders(*sections)
    core = await start_core(*first, config=CHEAPEST)
    sent = await core.send(receiver="62871555")
    first[1].hang()
    hung = await core.send("in the air", "62871555", wait=1.0)
    again = await start_core(*senders(*sections), config=CHEAPEST, folder=core.killed(ram_folder / "after"))
    again.in_air.close()
    for message in (sent, hung):
        outcome: Outcome = await again.outcome(message.id)
        assert (outcome.price, outcome.saved) == (Decimal("0.079"), Decimal("0.021"))


async def test_the_report_shows_the_choice_the_price_and_what_was_saved(start_core: StartCore) -> None:
    core = await start_core(*senders(*by_price()), config=CHEAPEST)
    task = asyncio.create_task(core.report.run())
    for prefix in CHOICE:
        await core.send(f"to {prefix}", prefix + "5551234")
    await asyncio.sleep(2)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    (file,) = core.folder.glob("*.csv")
    with file.open(newline="") as lines:
        found = {line["receiver"][:5]: line for line in csv.DictReader(lines)}
    average = {prefix: sum(price(name, prefix) for name, *_ in PRICES) / 4 for prefix in CHOICE}
    assert {prefix: line["modem"] for prefix, line in found.items()} == CHOICE
    for prefix, line in found.items():
        assert int(line["price"]) == price(CHOICE[prefix], prefix)
        assert float(line["saved"]) == average[prefix] - price(CHOICE[prefix], prefix)
