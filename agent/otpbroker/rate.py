"""Token buckets: how often something may happen for each key, in bounded memory."""

import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

from otpbroker.errors import Denied


class TooManyAttempts(Denied):
    """Nothing was looked at; the next attempt counts in `retry_after` seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__("too-many-attempts", "too many failed attempts", remedy="wait, then try again")
        self.retry_after = retry_after


class TokenBuckets:
    """For each key `capacity` tokens at once, and `refill` more each second up to that.

    Only buckets that are not full take memory, and of those the `limit` used last: who comes with many keys
    cannot fill it.
    """

    def __init__(
        self,
        *,
        capacity: float,
        refill: float,
        limit: int = 4096,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._capacity = capacity
        self._refill = refill
        self._limit = limit
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when that was

    def take(self, key: str) -> float:
        """Take one token: 0.0 when there was one, else the seconds until there is, and none is taken."""
        tokens = self._tokens(key)
        if tokens < 1:
            return (1 - tokens) / self._refill
        self._put(key, tokens - 1)
        return 0.0

    def give_back(self, key: str) -> None:
        """Return the token of an attempt that turned out well."""
        self._put(key, self._tokens(key) + 1)

    def full(self, key: str) -> bool:
        """Whether no attempt of late went badly."""
        return self._tokens(key) >= self._capacity

    def __len__(self) -> int:
        return len(self._buckets)

    def _tokens(self, key: str) -> float:
        now = self._clock()
        tokens, at = self._buckets.get(key, (self._capacity, now))
        return min(self._capacity, tokens + (now - at) * self._refill)

    def _put(self, key: str, tokens: float) -> None:
        self._buckets.pop(key, None)
        if tokens >= self._capacity:
            return
        self._buckets[key] = (tokens, self._clock())
        if len(self._buckets) > self._limit:
            self._buckets.popitem(last=False)


def network_of(address: str) -> str:
    """What one visitor is told apart by: the IPv4 address, or the /64 that one IPv6 host commands."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or IPv6Address(int(parsed) >> 64 << 64))
    return str(parsed)
