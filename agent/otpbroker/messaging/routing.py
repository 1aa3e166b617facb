"""Which modems may carry a message, in order of preference: pure functions of the number and the modems.

By prefix: the longest configured prefix that fits the receiver wins. No prefix fits: the default modems. There is
no default: all of them. By price: the cheapest of all of them. Whatever comes later in the order is for failover.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from otpbroker.config.model import ModemSection
from otpbroker.messaging.msisdn import prefix

Tier = tuple[str, ...]  # modem ids which are equal: they take turns


class RoutingTable:
    """The modems that applications may use now (active, connected, registered), indexed by prefix."""

    def __init__(self, modems: Iterable[ModemSection], country_code: str) -> None:
        usable = [modem for modem in modems if modem.active and modem.send_from_api]
        by_prefix: dict[str, list[str]] = {}
        for modem in usable:
            for digits in dict.fromkeys(prefix(written, country_code) for written in modem.prefixes):
                by_prefix.setdefault(digits, []).append(modem.id)
        self._groups = {digits: tuple(ids) for digits, ids in by_prefix.items()}
        self._longest = max(map(len, self._groups), default=0)
        self.everyone = tuple(modem.id for modem in usable)
        self._rest = tuple(modem.id for modem in usable if modem.default) or self.everyone

    @property
    def prefixes(self) -> Iterable[str]:
        """What tells receivers apart: two with the same longest prefix among these have the same route."""
        return self._groups.keys()

    def tiers(self, receiver: str) -> tuple[Tier, ...]:
        """Groups of equal modems, the preferred group first; no modem is named twice; `()`: there is none."""
        group = self._group(receiver)
        rest = tuple(modem_id for modem_id in self._rest if modem_id not in group)
        return tuple(tier for tier in (group, rest) if tier)

    def _group(self, receiver: str) -> Tier:
        for length in range(min(self._longest, len(receiver)), 0, -1):
            if group := self._groups.get(receiver[:length]):
                return group
        return ()


def by_price(prices: Mapping[str, Decimal | None], by_prefix: tuple[Tier, ...]) -> tuple[Tier, ...]:
    """Modems of one price are equal, the cheapest go first; those without a price last, as their prefixes say."""
    tiers: dict[Decimal, list[str]] = {}
    for modem_id, price in prices.items():
        if price is not None:
            tiers.setdefault(price, []).append(modem_id)
    unknown = [modem_id for modem_id, price in prices.items() if price is None]
    named = [tuple(modem_id for modem_id in tier if modem_id in unknown) for tier in by_prefix]
    left = tuple(modem_id for modem_id in unknown if all(modem_id not in tier for tier in named))
    return tuple(tier for tier in (*(tuple(tiers[price]) for price in sorted(tiers)), *named, left) if tier)


class Turns:
    """Round robin inside each group: who is next among equals."""

    def __init__(self) -> None:
        self._next: dict[Tier, int] = {}

    def order(self, group: Tier) -> Tier:
        """The group, beginning with the one whose turn it is."""
        start = self._next.get(group, 0) % len(group)
        return group[start:] + group[:start]

    def taken(self, group: Tier, modem_id: str) -> None:
        """`modem_id` got a message of this group: the one after it is next."""
        self._next[group] = group.index(modem_id) + 1
