"""What a message costs by each modem."""

from decimal import Decimal

import pytest
from four_operators import CHOICE, PRICES, by_price, price
from hypothesis import given
from hypothesis import strategies as st

from fakes import modem
from otpbroker.config.limits import LimitsSection
from otpbroker.config.tariff import TariffSection
from otpbroker.messaging.meter import Meter, Usage
from otpbroker.messaging.tally import Calendar
from otpbroker.messaging.tariff import PriceBook


def book(**tariff: object) -> PriceBook:
    """Of one modem `m1` in Indonesia."""
    return PriceBook([modem("m1", tariff=TariffSection.model_validate(tariff))], "62")


@pytest.mark.parametrize("prefix", CHOICE)
def test_the_readmes_four_operators(prefix: str) -> None:
    prices = PriceBook(by_price(), "62")
    for name, *_ in PRICES:
        assert prices.price(name, prefix + "5551234", 1, 0) == price(name, prefix)


def test_the_longest_prefix_decides() -> None:
    prices = book(
        price=350, prices=[{"prefixes": ["628"], "price": 300}, {"prefixes": ["0871", "62872"], "price": 50}]
    )
    assert prices.price("m1", "628715551234", 1, 0) == 50
    assert prices.price("m1", "628725551234", 1, 0) == 50
    assert prices.price("m1", "628735551234", 1, 0) == 300
    assert prices.price("m1", "14155551234", 1, 0) == 350


def test_each_part_costs() -> None:
    assert book(price="0.079").price("m1", "628715551234", 3, 0) == Decimal("0.237")


def test_without_a_tariff_nothing_is_known() -> None:
    assert PriceBook([modem("m1")], "62").price("m1", "628715551234", 1, 0) is None


@pytest.mark.parametrize(
    ("counted", "parts", "costs"),
    [
        (0, 1, 100),
        (4, 1, 100),  # the fifth of five at the usual price
        (5, 1, 1),
        (3, 4, 2 * 100 + 2 * 1),  # the promo begins inside of the message
        (0, 5, 500),
        (14, 1, 1),  # the tenth of ten
        (15, 1, 100),
        (13, 4, 2 * 1 + 2 * 100),  # it ends inside of the message
        (4, 12, 100 + 10 * 1 + 100),  # begins and ends there
        (900, 2, 200),
    ],
)
def test_a_promo_begins_after_some_parts_and_ends_after_more(counted: int, parts: int, costs: int) -> None:
    promo = {"after": 5, "price": 1, "most": 10}
    assert book(price=100, promo=promo).price("m1", "628715551234", parts, counted) == costs


def test_a_promo_without_an_end_goes_on() -> None:
    assert book(price=100, promo={"after": 5, "price": 1}).price("m1", "62871", 3, 10_000) == 3


def test_a_promo_may_be_for_some_receivers_alone() -> None:
    prices = book(price=100, promo={"after": 5, "price": 1, "prefixes": ["0871"]})
    assert prices.price("m1", "628715551234", 1, 5) == 1
    assert prices.price("m1", "628725551234", 1, 5) == 100
    assert (prices.for_promo("m1", "628715551234", 3), prices.for_promo("m1", "628725551234", 3)) == (3, 0)
    assert book(price=100).for_promo("m1", "628715551234", 3) == 0


# National or international, in the plain forms: the others are tested with the normal form of numbers.
def metered(tariff: TariffSection, counted: int) -> Meter:
    """A modem with this tariff that sent so many parts for its promo."""
    meter = Meter(Usage())
    meter.obey(LimitsSection(), tariff.promo)
    meter.flying_promo = counted
    return meter


@given(
    after=st.integers(0, 12),
    most=st.integers(0, 12),
    counts=st.tuples(st.integers(0, 30), st.integers(0, 30)),
    longest=st.integers(1, 6),
)
def test_prices_are_the_same_while_a_promo_is_at_the_same_stage(
    after: int, most: int, counts: tuple[int, int], longest: int
) -> None:
    tariff = TariffSection.model_validate({"price": 100, "promo": {"after": after, "most": most, "price": 1}})
    calendar, prices = Calendar(0.0, 0.0), PriceBook([modem("m1", tariff=tariff)], "62")
    stages = [metered(tariff, counted).promo_stage(longest, calendar, 0.0) for counted in counts]
    costs = [[prices.price("m1", "62", parts, n) for parts in range(1, longest + 1)] for n in counts]
    assert stages[0] != stages[1] or costs[0] == costs[1]


def test_far_from_its_borders_a_promo_is_always_at_one_stage() -> None:
    tariff = TariffSection.model_validate({"price": 100, "promo": {"after": 10, "most": 100, "price": 1}})
    stages = [metered(tariff, counted).promo_stage(8, Calendar(0.0, 0.0), 0.0) for counted in range(200)]
    assert len({*stages[:3]}) == len({*stages[10:103]}) == len({*stages[110:]}) == 1
    assert len({*stages}) == 3 + 2 * 7


_PREFIX = st.text("0123456789", min_size=1, max_size=4).filter(lambda digits: not digits.startswith(("00", "620")))
_PRICES = st.dictionaries(_PREFIX, st.integers(0, 500), max_size=5)


@given(
    usual=st.integers(0, 500),
    own=_PRICES,
    receiver=st.text("123456789", min_size=3, max_size=6),
    parts=st.integers(1, 6),
    counted=st.integers(0, 12),
    after=st.integers(0, 8),
    most=st.integers(0, 5),
    promo_price=st.integers(0, 500),
    promo_prefixes=st.lists(_PREFIX, max_size=2),
)
def test_the_price_is_that_of_each_part_by_itself(
    usual: int,
    own: dict[str, int],
    receiver: str,
    parts: int,
    counted: int,
    after: int,
    most: int,
    promo_price: int,
    promo_prefixes: list[str],
) -> None:
    def international(prefix: str) -> str:
        return "62" + prefix[1:] if prefix.startswith("0") else prefix

    def cost(number: int) -> int:
        """Of the part with this number in the period, by brute force."""
        promo_for = not promo_prefixes or any(receiver.startswith(international(p)) for p in promo_prefixes)
        if promo_for and number > after and (not most or number <= after + most):
            return promo_price
        fitting = {
            len(international(prefix)): amount
            for prefix, amount in reversed(own.items())
            if receiver.startswith(international(prefix))
        }
        return fitting[max(fitting)] if fitting else usual

    promo = {"after": after, "price": promo_price, "most": most, "prefixes": promo_prefixes}
    prices = [{"prefixes": [prefix], "price": amount} for prefix, amount in own.items()]
    found = book(price=usual, prices=prices, promo=promo).price("m1", receiver, parts, counted)
    assert found == sum(cost(counted + place) for place in range(1, parts + 1))
