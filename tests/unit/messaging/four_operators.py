"""The example of the product's README: four SIM cards of four operators, what they cost, and how it is set up."""

from fakes import modem
from otpbroker.config.model import ModemSection
from otpbroker.config.tariff import TariffSection

PRICES: tuple[tuple[str, int, tuple[str, ...], int], ...] = (
    ("m1", 50, ("62871", "62872"), 350),
    ("m2", 100, ("62835", "62856", "62837"), 350),
    ("m3", 60, ("62845",), 250),
    ("m4", 90, ("62848", "62849"), 200),
)
# Rp 200 is the lowest price for other operators: its modem is the default.
DEFAULT = "m4"
# What the README says of each prefix, and of a prefix of none of the four.
CHOICE = {
    "62871": "m1",
    "62872": "m1",
    "62835": "m2",
    "62856": "m2",
    "62837": "m2",
    "62845": "m3",
    "62848": "m4",
    "62849": "m4",
    "62811": "m4",
}


def national(prefix: str) -> str:
    """As it is written in Indonesia: 62871 is 0871 there."""
    return "0" + prefix.removeprefix("62")


def tariff(own: int, prefixes: tuple[str, ...], other: int, **promo: object) -> TariffSection:
    return TariffSection.model_validate(
        {
            "price": other,
            "prices": [{"prefixes": [national(prefix) for prefix in prefixes], "price": own}],
            "promo": promo or None,
        }
    )


def by_prefix() -> tuple[ModemSection, ...]:
    """Set up by hand: prefixes and the default modem."""
    return tuple(
        modem(name, *map(national, prefixes), default=name == DEFAULT, tariff=tariff(own, prefixes, other))
        for name, own, prefixes, other in PRICES
    )


def by_price() -> tuple[ModemSection, ...]:
    """The tariffs alone."""
    return tuple(modem(name, tariff=tariff(own, prefixes, other)) for name, own, prefixes, other in PRICES)


def price(name: str, prefix: str) -> int:
    """What the README says it costs."""
    return next(own if prefix in prefixes else other for found, own, prefixes, other in PRICES if found == name)
