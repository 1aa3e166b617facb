"""Prefix-based routing, as the README of the product describes it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import modem
from otpbroker.config.model import ModemSection
from otpbroker.messaging.routing import RoutingTable, Turns

# Four SIM cards of four operators; outside its own prefixes operator 4 is the cheapest (Rp 200): the default.
FOUR_OPERATORS = (
    modem("m1", "0871", "0872"),
    modem("m2", "0835", "0856", "0837"),
    modem("m3", "0845"),
    modem("m4", "0848", "0849", default=True),
)


@pytest.mark.parametrize(
    ("start", "carrier"),
    [
        ("62871", "m1"),
        ("62872", "m1"),
        ("62835", "m2"),
        ("62856", "m2"),
        ("62837", "m2"),
        ("62845", "m3"),
        ("62848", "m4"),
        ("62849", "m4"),
        ("62811", "m4"),
        ("62870", "m4"),
        ("1415", "m4"),
    ],
)
def test_the_readmes_four_operators(start: str, carrier: str) -> None:
    route = RoutingTable(FOUR_OPERATORS, "62").tiers(start + "5551234")
    assert route[0] == (carrier,)


def test_the_default_modem_stands_in_for_a_prefix_modem_that_cannot() -> None:
    assert RoutingTable(FOUR_OPERATORS, "62").tiers("628715551234") == (("m1",), ("m4",))


def test_the_longest_prefix_wins() -> None:
    table = RoutingTable([modem("wide", "628"), modem("narrow", "62871"), modem("middle", "6287")], "62")
    assert table.tiers("628715551234")[0] == ("narrow",)
    assert table.tiers("628725551234")[0] == ("middle",)
    assert table.tiers("628115551234")[0] == ("wide",)


def test_a_prefix_may_be_as_long_as_the_number() -> None:
    table = RoutingTable([modem("one", "628715551234"), modem("rest", default=True)], "62")
    assert table.tiers("628715551234")[0] == ("one",)
    assert table.tiers("62871555123") == (("rest",),)


def test_a_prefix_in_national_and_in_international_form_is_one() -> None:
    table = RoutingTable([modem("a", "0871", "62871"), modem("b", "62871")], "62")
    assert table.tiers("628715551234")[0] == ("a", "b")


def test_no_prefix_fits_and_no_modem_is_default_then_all_may() -> None:
    table = RoutingTable([modem("a", "62871"), modem("b")], "62")
    assert table.tiers("628115551234") == (("a", "b"),)


def test_several_default_modems_are_equal() -> None:
    table = RoutingTable([modem("a", default=True), modem("b"), modem("c", default=True)], "62")
    assert table.tiers("628115551234") == (("a", "c"),)


def test_the_send_from_api_flag_counts_on_the_prefix_path_too() -> None:
    """The older product sent by a modem whose flag was off when its prefix fitted: a surprise on the bill."""
    table = RoutingTable([modem("own", "62871", send_from_api=False), modem("rest", default=True)], "62")
    assert table.tiers("628715551234") == (("rest",),)


def test_the_send_from_api_flag_counts_for_default_modems_and_for_all() -> None:
    off = modem("off", default=True, send_from_api=False)
    assert RoutingTable([off, modem("on")], "62").tiers("628715551234") == (("on",),)
    assert RoutingTable([off], "62").tiers("628715551234") == ()


def test_an_inactive_modem_carries_nothing() -> None:
    table = RoutingTable([modem("off", "62871", default=True, active=False), modem("on")], "62")
    assert table.tiers("628715551234") == (("on",),)


def test_no_modem_no_route() -> None:
    assert RoutingTable([], "62").tiers("628715551234") == ()


_DIGITS = st.text("0123456789", min_size=1, max_size=6)
_MODEM = st.builds(
    modem, st.just("m"), _DIGITS, _DIGITS, default=st.booleans(), send_from_api=st.booleans(), active=st.booleans()
)
_MODEMS = st.lists(_MODEM, max_size=6).map(
    lambda found: [section.model_copy(update={"id": f"m{place}"}) for place, section in enumerate(found)]
)


@given(modems=_MODEMS, receiver=st.text("0123456789", min_size=3, max_size=15))
def test_a_route_names_usable_modems_once_and_there_is_one_if_any_is_usable(
    modems: list[ModemSection], receiver: str
) -> None:
    usable = {section.id for section in modems if section.active and section.send_from_api}
    tiers = RoutingTable(modems, "62").tiers(receiver)
    named = [modem_id for tier in tiers for modem_id in tier]
    assert set(named) <= usable
    assert len(named) == len(set(named))
    assert bool(named) == bool(usable)
    assert all(tiers)


def test_equals_take_turns() -> None:
    turns, group = Turns(), ("a", "b", "c")
    first = []
    for _ in range(6):
        first.append(turns.order(group)[0])
        turns.taken(group, first[-1])
    assert first == ["a", "b", "c", "a", "b", "c"]


def test_each_group_has_its_own_turns() -> None:
    turns = Turns()
    turns.taken(("a", "b"), "a")
    assert turns.order(("a", "b")) == ("b", "a")
    assert turns.order(("a", "b", "c")) == ("a", "b", "c")


def test_who_took_a_message_out_of_turn_is_last() -> None:
    turns = Turns()
    turns.taken(("a", "b", "c"), "b")
    assert turns.order(("a", "b", "c")) == ("c", "a", "b")
