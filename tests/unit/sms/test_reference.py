"""Concatenation references."""

from itertools import cycle

from otpbroker.sms.reference import References


def test_one_receiver_sees_every_reference_once_before_any_again() -> None:
    references = References()
    first = [references.allocate("6281266666712") for _ in range(256)]
    assert sorted(first) == list(range(256))
    assert references.allocate("6281266666712") == first[0]


def test_receivers_count_for_themselves() -> None:
    starts = iter([7, 200])
    references = References(start=lambda: next(starts))
    assert [references.allocate(receiver) for receiver in ("1", "2", "1", "2")] == [7, 200, 8, 201]


def test_the_start_is_not_the_same_for_all() -> None:
    references = References()
    assert len({references.allocate(str(receiver)) for receiver in range(1000)}) > 100


def test_the_receivers_longest_unused_are_forgotten() -> None:
    starts = cycle([0, 100])
    references = References(capacity=2, start=lambda: next(starts))
    assert references.allocate("kept") == 0
    assert references.allocate("forgotten") == 100
    assert references.allocate("kept") == 1
    assert references.allocate("new") == 0
    assert references.allocate("kept") == 2
    assert references.allocate("forgotten") == 100  # a start again, not 101
