"""Parts that lie in a modem's memory until the others are there."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from otpbroker.modem.parts import Arrived, Parts, Place
from otpbroker.sms.deliver import Deliver, decode_deliver, encode_deliver

SENT_AT = datetime(2026, 11, 22, 14, 3, 7, tzinfo=UTC)
LONG = "a" * 153 + "b" * 153 + "c"


def delivers(text: str = LONG, reference: int = 7, sender: str = "BANK") -> list[Deliver]:
    return [decode_deliver(pdu) for pdu in encode_deliver(sender, text, sent_at=SENT_AT, reference=reference)]


def at(index: int) -> Place:
    return Place("SM", index)


def told(arrived: tuple[Arrived, ...]) -> list[tuple[str | None, tuple[Place, ...]]]:
    return [(each.message and each.message.text, each.places) for each in arrived]


def test_a_short_message_arrives_at_once_with_its_place() -> None:
    assert told(Parts().add(*delivers("Hello"), at(3), 0)) == [("Hello", (at(3),))]


def test_a_long_one_arrives_with_its_last_part_and_frees_every_place() -> None:
    parts = Parts()
    first, second, third = delivers()
    assert parts.add(third, at(1), 0) == ()
    assert parts.add(first, at(2), 0) == ()
    assert parts.places == {at(1), at(2)}
    assert told(parts.add(second, at(5), 0)) == [(LONG, (at(1), at(2), at(5)))]
    assert parts.places == frozenset()


def test_when_the_memory_is_read_anew_only_what_came_directly_is_still_known() -> None:
    parts = Parts()
    first, second, third = delivers()
    parts.add(first, None, 0)
    parts.add(second, at(1), 0)
    parts.add(delivers(reference=8)[0], at(2), 0)
    parts.forget_memory()
    assert parts.places == frozenset()
    assert parts.add(second, at(5), 0) == ()
    assert told(parts.add(third, None, 0)) == [(LONG, (at(5),))]
    assert parts.give_up_oldest() is None


def test_a_part_that_lies_there_twice_frees_both_places() -> None:
    parts = Parts()
    first, second, third = delivers()
    for index, part in enumerate((first, first, second)):
        assert parts.add(part, at(index), 0) == ()
    assert told(parts.add(third, at(9), 0)) == [(LONG, (at(0), at(1), at(2), at(9)))]


def test_a_part_that_comes_again_after_the_end_is_no_message() -> None:
    parts = Parts()
    for part in delivers():
        parts.add(part, at(0), 0)
    assert told(parts.add(delivers()[0], at(4), 0)) == [(None, (at(4),))]


def test_another_text_under_the_same_numbers_displaces_the_unfinished_one() -> None:
    parts = Parts()
    parts.add(delivers("x" * 400)[0], at(1), 0)
    assert told(parts.add(delivers()[0], at(2), 0)) == [("x" * 153 + "…", (at(1),))]
    assert parts.places == {at(2)}


def test_what_waits_too_long_is_given_up_as_far_as_it_came() -> None:
    parts = Parts()
    first, second, _ = delivers()
    parts.add(second, at(1), 100)
    parts.add(first, at(2), 5000)
    assert parts.give_up(100) == ()
    assert told(parts.give_up(101)) == [("a" * 153 + "b" * 153 + "…", (at(1), at(2)))]


def test_the_oldest_is_given_up_first_where_room_is_needed() -> None:
    parts = Parts()
    parts.add(delivers(reference=1)[0], at(1), 50)
    parts.add(delivers(reference=2)[0], at(2), 20)
    oldest = parts.give_up_oldest()
    assert oldest is not None
    assert oldest.places == (at(2),)
    parts.give_up_oldest()
    assert parts.give_up_oldest() is None


def test_senders_without_end_do_not_fill_the_memory_of_the_agent() -> None:
    parts = Parts()
    given_up = sum(len(parts.add(delivers(sender=f"N{n}")[0], None, n)) for n in range(200))
    assert given_up == 200 - 64


@pytest.mark.parametrize("change", [{"reference": 8}, {"sender": "SHOP"}])
def test_messages_do_not_mix(change: dict[str, object]) -> None:
    parts = Parts()
    for part in delivers()[:2]:
        parts.add(part, None, 0)
    assert parts.add(delivers(**change)[2], None, 0) == ()  # type: ignore[arg-type] # one of its parameters


def test_a_single_part_needs_no_numbers() -> None:
    (alone,) = delivers("Hello")
    assert told(Parts().add(replace(alone, sent_at=None), None, 0)) == [("Hello", ())]
