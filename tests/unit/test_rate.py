"""Token buckets: a burst, then a rate; bounded memory; one host is one key."""

import pytest

from otpbroker.rate import TokenBuckets, network_of


class Time:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def buckets(time: Time) -> TokenBuckets:
    return TokenBuckets(capacity=3, refill=0.5, limit=4, clock=time)


def test_a_burst_passes_and_the_next_attempt_waits_for_a_token(buckets: TokenBuckets, time: Time) -> None:
    assert [buckets.take("a") for _ in range(4)] == [0.0, 0.0, 0.0, 2.0]
    time.now += 1.5
    assert buckets.take("a") == pytest.approx(0.5)
    time.now += 0.5
    assert buckets.take("a") == 0.0


def test_a_refused_attempt_costs_nothing(buckets: TokenBuckets, time: Time) -> None:
    for _ in range(100):
        buckets.take("a")
    time.now += 2
    assert buckets.take("a") == 0.0


def test_keys_do_not_touch_each_other(buckets: TokenBuckets) -> None:
    for _ in range(4):
        buckets.take("a")
    assert buckets.take("b") == 0.0


def test_a_bucket_never_holds_more_than_its_capacity(buckets: TokenBuckets, time: Time) -> None:
    buckets.take("a")
    buckets.give_back("a")
    buckets.give_back("a")
    time.now += 3600
    assert [buckets.take("a") for _ in range(4)][3] > 0


def test_a_token_given_back_can_be_taken_again(buckets: TokenBuckets) -> None:
    for _ in range(3):
        buckets.take("a")
    buckets.give_back("a")
    assert [buckets.take("a"), buckets.take("a")] == [0.0, 2.0]


def test_full_means_that_nothing_happened_lately(buckets: TokenBuckets, time: Time) -> None:
    assert buckets.full("a")
    buckets.take("a")
    assert not buckets.full("a")
    time.now += 2
    assert buckets.full("a")


def test_memory_is_bounded_and_the_busiest_keys_stay(buckets: TokenBuckets) -> None:
    for _ in range(3):
        buckets.take("busy")
    for stranger in range(1000):
        buckets.take(str(stranger))
        buckets.give_back("busy")
        buckets.take("busy")
    assert len(buckets) <= 4
    assert not buckets.full("busy")


def test_full_buckets_take_no_memory(buckets: TokenBuckets) -> None:
    buckets.take("a")
    buckets.give_back("a")
    assert len(buckets) == 0


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::9", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("", ""),
    ],
)
def test_an_ipv6_host_is_its_whole_network(address: str, network: str) -> None:
    assert network_of(address) == network
