"""The routes of waiting messages as things are now: who is there, what it costs, whose caps leave room.

Messages of one kind have the same route, so what is asked of a route is asked of few kinds, not of many messages.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from otpbroker.config.model import Config, ModemSection
from otpbroker.messaging.limits import Allowances
from otpbroker.messaging.message import Message
from otpbroker.messaging.routing import RoutingTable, Tier, by_price
from otpbroker.messaging.tariff import PriceBook

_MOST_KNOWN = 4096  # kinds whose tiers are remembered; messages that were refused make many
_FINEST = Decimal("0.0001")


class Kind(NamedTuple):
    """What makes messages alike."""

    receivers: str  # the longest prefix that tells receivers apart and fits
    parts: int
    only_modem: str | None
    without: frozenset[str]  # modems that refused it


@dataclass(frozen=True, slots=True)
class Charge:
    """What a message costs, and what its cheapest route saves; None: not known."""

    price: Decimal | None = None
    saved: Decimal | None = None


class Routes:
    """Made anew by `rebuild` when modems or settings change; prices and caps are followed all the time."""

    def __init__(self, limits: Allowances) -> None:
        self._limits = limits
        self._known: frozenset[str] = frozenset()
        self._table = RoutingTable((), "")
        self._book = PriceBook((), "")
        self._cheapest = False
        self._apart: frozenset[str] = frozenset()
        self._longest = 0
        self._tiers: dict[Kind, tuple[Tier, ...]] = {}
        self._version = 0

    def rebuild(self, known: Iterable[ModemSection], reliable: Iterable[ModemSection], config: Config) -> None:
        """`known`: ready, or back in moments; `reliable`: those of them that should get messages, if any are."""
        known = tuple(known)
        code = config.device.country_code
        table = RoutingTable(reliable, code)
        self._known = frozenset(modem.id for modem in known)
        self._table = table if table.everyone else RoutingTable(known, code)
        self._book = PriceBook(known, code)
        self._cheapest = config.sms.routing == "cheapest"
        self._apart = self._book.prefixes.union(self._table.prefixes)
        self._longest = max(map(len, self._apart), default=0)
        self._tiers.clear()

    def kind(self, message: Message, without: Iterable[str] | None = None) -> Kind:
        """Its kind; `without`: as if these alone had refused it."""
        if without is None:
            without = message.refused_by | message.barred_by if message.refused_by or message.barred_by else ()
        return Kind(self._alike(message.receiver), len(message.pdus), message.only_modem, frozenset(without))

    def tiers(self, kind: Kind) -> tuple[Tier, ...]:
        """The modems that may carry it, equals together, the preferred first; whatever their caps say now."""
        if self._version != self._limits.version:
            self._version = self._limits.version
            if self._cheapest:
                self._tiers.clear()
        found = self._tiers.get(kind)
        if found is None:
            if len(self._tiers) >= _MOST_KNOWN:
                self._tiers.clear()
            found = self._tiers[kind] = self._made(kind)
        return found

    def open_tier(self, kind: Kind) -> Tier:
        """The first tier with a modem whose caps leave room for it; `()`: there is none."""
        tiers = self.tiers(kind)
        if not self._limits.limited:
            return tiers[0] if tiers else ()
        for tier in tiers:
            if any(self._limits.allows(modem_id, kind.parts) for modem_id in tier):
                return tier
        return ()

    def charge(self, kind: Kind, modem_id: str) -> Charge:
        """What it costs by this modem now. Saved is what the prefixes' route costs more; on average of equals."""
        if not self._book:
            return Charge()
        price = self._price(modem_id, kind)
        if price is None or not self._cheapest or kind.only_modem is not None:
            return Charge(price)
        for tier in _left(self._table.tiers(kind.receivers), kind.without):
            equals = [other for other in tier if self._limits.allows(other, kind.parts)]
            prices = [known for other in equals if (known := self._price(other, kind)) is not None]
            if equals and not prices:
                break
            if equals:
                average = (sum(prices, Decimal()) / len(prices)).quantize(_FINEST)
                return Charge(price, average - price)
        return Charge(price)

    def for_promo(self, modem_id: str, message: Message) -> int:
        """How many of its parts count for the modem's promo."""
        return self._book.for_promo(modem_id, message.receiver, len(message.pdus))

    def _made(self, kind: Kind) -> tuple[Tier, ...]:
        if kind.only_modem is not None:
            tiers: tuple[Tier, ...] = ((kind.only_modem,),) if kind.only_modem in self._known else ()
        else:
            tiers = self._table.tiers(kind.receivers)
            if self._cheapest:
                prices = {modem_id: self._price(modem_id, kind) for modem_id in self._table.everyone}
                tiers = by_price(prices, tiers)
        return _left(tiers, kind.without)

    def _price(self, modem_id: str, kind: Kind) -> Decimal | None:
        return self._book.price(modem_id, kind.receivers, kind.parts, self._limits.promo_count(modem_id))

    def _alike(self, receiver: str) -> str:
        for length in range(min(self._longest, len(receiver)), 0, -1):
            if receiver[:length] in self._apart:
                return receiver[:length]
        return ""


def _left(tiers: tuple[Tier, ...], without: frozenset[str]) -> tuple[Tier, ...]:
    if not without:
        return tiers
    left = (tuple(modem_id for modem_id in tier if modem_id not in without) for tier in tiers)
    return tuple(tier for tier in left if tier)
