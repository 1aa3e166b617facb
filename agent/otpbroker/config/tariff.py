"""What messages cost by one SIM: by the receiver's prefix, and in a promo of the operator. Money is no float."""

from decimal import Decimal
from itertools import chain
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, model_validator

from otpbroker.config.section import Section


def _no_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be an amount of money such as 350 or 0.079")  # noqa: TRY004 # pydantic's way
    return value


def _plain(price: Decimal) -> Decimal:
    """The same amount in one way of writing: 350, not 350.00 or 3.5E+2."""
    return Decimal(f"{price.normalize():f}")


def _written(price: Decimal) -> int | str:
    """As a person writes it in YAML; a text when it has a fraction, which YAML would read as a float."""
    return int(price) if price == price.to_integral_value() else str(price)


# An amount of the one currency of the tariffs; it has no name here, for nothing would read it.
Price = Annotated[
    Decimal,
    BeforeValidator(_no_boolean),
    Field(ge=0, le=1_000_000, max_digits=11, decimal_places=4),
    AfterValidator(_plain),
    PlainSerializer(_written),
]
Prefix = Annotated[str, Field(pattern=r"^[0-9]{1,15}$")]
Prefixes = Annotated[tuple[Prefix, ...], Field(min_length=1, max_length=1000)]


class PriceSection(Section):
    """What a part costs to receivers with these prefixes, national or international."""

    prefixes: Prefixes
    price: Price


class PromoSection(Section):
    """What a part costs after `after` parts of a day or month, and for how many of them."""

    after: int = Field(ge=0, le=10_000_000, description="parts at the usual price before it begins")
    per: Literal["day", "month"] = "day"
    price: Price
    most: int = Field(0, ge=0, le=10_000_000, description="parts at this price; 0: all to the end of the period")
    prefixes: tuple[Prefix, ...] = Field((), max_length=1000, description="whom it is for; none: everybody")


class TariffSection(Section):
    """The longest prefix that fits the receiver decides; `price` is for everybody else."""

    price: Price
    prices: tuple[PriceSection, ...] = Field((), max_length=100)
    promo: PromoSection | None = None

    @model_validator(mode="after")
    def _prefixes_are_unique(self) -> Self:
        seen: set[str] = set()
        for prefix in chain.from_iterable(entry.prefixes for entry in self.prices):
            if prefix in seen:
                raise ValueError(f"prefix {prefix} is there twice: leave it in one entry of prices")
            seen.add(prefix)
        return self
