"""Long messages put together again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otpbroker.sms.deliver import Deliver, decode_deliver, encode_deliver
from otpbroker.sms.reassemble import Message, Reassembler

SENT_AT = datetime(2026, 11, 22, 14, 3, 7, tzinfo=UTC)
SENDER = "+6281266666712"
DAY = 86400.0


def parts(text: str, reference: int = 7, sender: str = SENDER, sent_at: datetime = SENT_AT) -> list[Deliver]:
    return [decode_deliver(pdu) for pdu in encode_deliver(sender, text, sent_at=sent_at, reference=reference)]


def three(letter: str) -> str:
    return letter * 153 * 2 + letter


def reassembler(capacity: int = 64) -> Reassembler:
    return Reassembler(max_age=DAY, capacity=capacity)


def feed(joiner: Reassembler, delivers: list[Deliver], now: float = 0) -> list[Message]:
    return [message for deliver in delivers if (message := joiner.add(deliver, now))]


def test_a_message_of_one_part_is_finished_at_once() -> None:
    (part,) = parts("Hello")
    message = reassembler().add(part, 0)
    assert message is not None
    assert (str(message.sender), message.text, message.sent_at) == (SENDER, "Hello", SENT_AT)
    assert message.complete


@given(
    st.text(st.sampled_from("ab€[ж😀"), min_size=161, max_size=900),
    st.randoms(use_true_random=False),
    st.lists(st.integers(0, 100), max_size=5),
)
@settings(deadline=None)
def test_any_order_and_any_repetition(text: str, random, again: list[int]) -> None:  # type: ignore[no-untyped-def]  # hypothesis has no public name for its Random
    delivers = parts(text)
    delivers += [delivers[index % len(delivers)] for index in again]
    random.shuffle(delivers)
    joiner = reassembler()
    (message,) = feed(joiner, delivers)
    assert message.text == text
    assert message.complete
    assert joiner.expire(2 * DAY) == ()


def test_messages_of_other_senders_references_and_totals_do_not_mix() -> None:
    streams = [
        parts(three("a")),
        parts(three("b"), reference=8),
        parts(three("c"), sender="BANK"),
        parts("d" * 161),
    ]
    joiner = reassembler()
    woven = [stream[index] for index in range(3) for stream in streams if index < len(stream)]
    assert {message.text for message in feed(joiner, woven)} == {
        three("a"),
        three("b"),
        three("c"),
        "d" * 161,
    }


def test_a_sender_that_cuts_pairs_is_understood() -> None:
    smile = "😀".encode("utf-16-be")
    first, second, _ = parts("ж" * 140)
    first = replace(first, user_data=replace(first.user_data, units=smile[:2]))
    second = replace(second, user_data=replace(second.user_data, units=smile[2:]))
    message = feed(reassembler(), [second, first, _])[0]
    assert message.text.startswith("😀ж")


def test_old_halves_are_given_back_with_gaps_marked() -> None:
    joiner = reassembler()
    first, second, third, fourth = parts("a" * 153 + "b" * 153 + "c" * 153 + "d")
    assert feed(joiner, [fourth, second], now=10) == []
    assert joiner.expire(10 + DAY - 1) == ()
    (message,) = joiner.expire(10 + DAY)
    assert message.text == "…" + "b" * 153 + "…" + "d"
    assert (message.parts, message.total, message.complete) == (2, 4, False)
    assert joiner.expire(10 + DAY) == ()
    assert feed(joiner, [first, third], now=11 + DAY) == []  # too late: another message


def test_the_age_counts_from_the_first_part() -> None:
    joiner = reassembler()
    first, second, third = parts(three("a"))
    joiner.add(first, 0)
    joiner.add(second, DAY - 1)
    assert joiner.add(third, DAY) is None
    assert [message.parts for message in joiner.expire(DAY)] == [2]


def test_the_oldest_half_goes_when_there_are_too_many() -> None:
    joiner = reassembler(capacity=2)
    streams = [parts(three(letter), reference) for reference, letter in enumerate("abc")]
    feed(joiner, [stream[0] for stream in streams])
    assert [message.text[0] for message in joiner.expire(0)] == ["a"]
    assert [message.text[0] for message in feed(joiner, streams[1] + streams[2])] == ["b", "c"]


def test_what_nobody_fetches_is_bounded() -> None:
    joiner = reassembler(capacity=4)
    for reference in range(200):
        joiner.add(parts(three("a"), reference)[0], 0)
    assert len(joiner.expire(0)) == 4
    assert len(joiner.expire(DAY)) == 4


def test_another_text_under_the_same_numbers_begins_anew() -> None:
    joiner = reassembler()
    old, new = parts(three("a")), parts(three("b"))
    assert feed(joiner, [old[0], old[1], *new])[0].text == three("b")
    (given_up,) = joiner.expire(0)
    assert given_up.text == "a" * 306 + "…"


def test_a_part_repeated_after_the_end_is_ignored() -> None:
    joiner = reassembler()
    delivers = parts(three("a"))
    assert len(feed(joiner, delivers)) == 1
    assert feed(joiner, [delivers[2], delivers[0]]) == []
    assert joiner.expire(2 * DAY) == ()


def test_the_memory_of_finished_messages_is_bounded() -> None:
    joiner = reassembler(capacity=2)
    streams = [parts("a" * 161, reference) for reference in range(3)]
    assert len(feed(joiner, [part for stream in streams for part in stream])) == 3
    assert feed(joiner, streams[2]) == []
    assert [message.text for message in feed(joiner, streams[0])] == ["a" * 161]  # no longer known


def test_the_same_text_sent_anew_is_a_new_message() -> None:
    """Some senders always use the same reference."""
    joiner = reassembler()
    again = parts(three("a"), sent_at=SENT_AT + timedelta(seconds=1))
    assert len(feed(joiner, parts(three("a")))) == 1
    assert len(feed(joiner, again)) == 1


@pytest.mark.parametrize("text", ["a" * 161, "ж" * 71])
def test_nothing_private_is_in_the_representation(text: str) -> None:
    joiner = reassembler()
    delivers = parts(text)
    (message,) = feed(joiner, delivers)
    assert text not in repr(message)
    assert "6281266666712" not in repr(message)
