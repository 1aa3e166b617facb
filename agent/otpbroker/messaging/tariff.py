"""What a message costs by each modem, from its SIM's tariff: pure functions of receiver, parts and counts."""

from collections.abc import Iterable
from decimal import Decimal
from itertools import chain

from otpbroker.config.model import ModemSection
from otpbroker.config.tariff import PromoSection, TariffSection
from otpbroker.messaging.msisdn import prefix


class _Rates:
    """One tariff with its prefixes in normal form."""

    def __init__(self, tariff: TariffSection, country_code: str) -> None:
        self._price = tariff.price
        self._prices: dict[str, Decimal] = {}
        for entry in tariff.prices:
            for written in entry.prefixes:
                self._prices.setdefault(prefix(written, country_code), entry.price)
        self._longest = max(map(len, self._prices), default=0)
        self._promo = tariff.promo
        written_promo = tariff.promo.prefixes if tariff.promo is not None else ()
        self._promo_prefixes = tuple(prefix(written, country_code) for written in written_promo)

    @property
    def prefixes(self) -> Iterable[str]:
        return chain(self._prices, self._promo_prefixes)

    def has_promo(self, receiver: str) -> bool:
        return self._promo is not None and (not self._promo_prefixes or receiver.startswith(self._promo_prefixes))

    def price(self, receiver: str, parts: int, counted: int) -> Decimal:
        """What so many parts cost after `counted` parts of the promo's period."""
        usual = self._usual(receiver)
        if self._promo is None or not self.has_promo(receiver):
            return parts * usual
        cheap = _within(self._promo, counted, parts)
        return cheap * self._promo.price + (parts - cheap) * usual

    def _usual(self, receiver: str) -> Decimal:
        for length in range(min(self._longest, len(receiver)), 0, -1):
            if (price := self._prices.get(receiver[:length])) is not None:
                return price
        return self._price


class PriceBook:
    """The tariffs of these modems. Receivers in normal form; prices in the currency that the tariffs are in."""

    def __init__(self, modems: Iterable[ModemSection], country_code: str) -> None:
        self._rates = {modem.id: _Rates(modem.tariff, country_code) for modem in modems if modem.tariff is not None}

    def __bool__(self) -> bool:
        return bool(self._rates)

    @property
    def prefixes(self) -> frozenset[str]:
        """What tells receivers apart: two with the same longest prefix among these cost the same by each modem."""
        return frozenset(chain.from_iterable(rates.prefixes for rates in self._rates.values()))

    def price(self, modem_id: str, receiver: str, parts: int, counted: int) -> Decimal | None:
        """What the message costs when `counted` parts count for the modem's promo by now; None: no tariff."""
        rates = self._rates.get(modem_id)
        return None if rates is None else rates.price(receiver, parts, counted)

    def for_promo(self, modem_id: str, receiver: str, parts: int) -> int:
        """How many of these parts count for the modem's promo."""
        rates = self._rates.get(modem_id)
        return parts if rates is not None and rates.has_promo(receiver) else 0


def _within(promo: PromoSection, counted: int, parts: int) -> int:
    """How many of the parts after `counted` have the promo's price."""
    end = counted + parts
    if promo.most:
        end = min(end, promo.after + promo.most)
    return max(0, end - max(counted, promo.after))
