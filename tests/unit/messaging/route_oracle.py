"""The truth about limits and prices, by brute force: every message that a modem ever had, and plain counting."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from otpbroker.config.model import ModemSection


@dataclass(slots=True)
class Had:
    """A message that a modem has, or had: then `ended` and `kept` tell how that ended."""

    message_id: str
    modem_id: str
    receiver: str
    parts: int
    ended: float | None = None
    kept: bool = False

    def counts_after(self, moment: float) -> bool:
        return self.ended is None or (self.kept and self.ended > moment)


@dataclass(slots=True)
class Oracle:
    """Counts what the modems were given over all restarts. `wall` and `monotonic` are the device's clocks."""

    modems: Sequence[ModemSection]
    wall: Callable[[], float]
    monotonic: Callable[[], float]
    had: list[Had] = field(default_factory=list)

    def taken(self, message_id: str, modem_id: str, receiver: str, parts: int) -> None:
        self.had.append(Had(message_id, modem_id, receiver, parts))

    def ended(self, message_id: str, *, kept: bool) -> None:
        for entry in self.had:
            if entry.message_id == message_id and entry.ended is None:
                entry.ended, entry.kept = self.monotonic(), kept

    def over(self, modem: ModemSection, parts: int) -> str:
        """The cap that so many more parts would break now; "": none."""
        now, limits = self.monotonic(), modem.limits
        since = {
            "per_minute": now - 60,
            "per_hour": now - 3600,
            "per_day": self.period_began("day"),
            "per_month": self.period_began("month"),
        }
        for name, moment in since.items():
            cap = getattr(limits, name)
            if cap and self._parts(modem.id, moment) + parts > cap:
                return name
        return ""

    def rests(self, modem: ModemSection) -> bool:
        ends = [entry.ended for entry in self.had if entry.modem_id == modem.id and entry.kept and entry.ended]
        return bool(ends) and bool(modem.limits.pause) and self.monotonic() < max(ends) + modem.limits.pause

    def price(self, modem: ModemSection, receiver: str, parts: int) -> Decimal | None:
        if modem.tariff is None:
            return None
        promo = modem.tariff.promo
        counted = 0
        if promo is not None:
            began = self.period_began(promo.per)
            counted = sum(
                entry.parts
                for entry in self.had
                if entry.modem_id == modem.id
                and entry.counts_after(began)
                and _fits(entry.receiver, promo.prefixes)
            )
        total = Decimal(0)
        for number in range(counted + 1, counted + parts + 1):
            cheap = (
                promo is not None
                and _fits(receiver, promo.prefixes)
                and number > promo.after
                and (not promo.most or number <= promo.after + promo.most)
            )
            own = [
                (len(prefix), entry.price)
                for entry in modem.tariff.prices
                for prefix in entry.prefixes
                if receiver.startswith(prefix)
            ]
            usual = max(own)[1] if own else modem.tariff.price
            total += promo.price if cheap and promo is not None else usual
        return total

    def cheapest(
        self, modems: Sequence[ModemSection], there: Sequence[ModemSection], receiver: str, parts: int
    ) -> set[str]:
        """Of these modems; those without a price only when there is no other, by the prefixes of all there."""
        prices = {modem.id: self.price(modem, receiver, parts) for modem in modems}
        known = [price for price in prices.values() if price is not None]
        if known:
            return {modem_id for modem_id, price in prices.items() if price == min(known)}
        return by_prefix(there, receiver, lambda modem: modem in modems) or set(prices)

    def period_began(self, period: str) -> float:
        """The last midnight, or the first of the month, by the clock as it is set now; monotonic."""
        year, month, day, *_ = time.localtime(self.wall())
        began = time.mktime((year, month, day if period == "day" else 1, 0, 0, 0, 0, 0, -1))
        return self.monotonic() - (self.wall() - began)

    def _parts(self, modem_id: str, moment: float) -> int:
        return sum(entry.parts for entry in self.had if entry.modem_id == modem_id and entry.counts_after(moment))


def by_prefix(modems: Sequence[ModemSection], receiver: str, may: Callable[[ModemSection], bool]) -> set[str]:
    """The modems of the longest prefix that fits, else the default ones, else all; the first of these that may."""
    fitting = [prefix for modem in modems for prefix in modem.prefixes if receiver.startswith(prefix)]
    longest = max(fitting, key=len, default=None)
    group = [modem for modem in modems if longest in modem.prefixes]
    rest = [modem for modem in modems if modem.default] or list(modems)
    for tier in (group, [modem for modem in rest if modem not in group]):
        if allowed := {modem.id for modem in tier if may(modem)}:
            return allowed
    return set()


def _fits(receiver: str, prefixes: Sequence[str]) -> bool:
    return not prefixes or any(receiver.startswith(prefix) for prefix in prefixes)
