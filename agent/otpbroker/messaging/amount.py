"""Amounts of money as operators write them."""

import re
from decimal import Decimal

_NUMBER = re.compile(r"\d[\d.,]*")
_THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:([.,])\d{3})(?:\1\d{3})*")


def amount(text: str) -> Decimal | None:
    """The first number in a text; None when there is none.

    Both `12.345,50` (Indonesian) and `12,345.50` (English): of two signs the last one begins the decimals, and a
    sign with three digits behind it parts thousands. `Rp 12.345,-` and a full stop at its end are none of these.
    """
    found = _NUMBER.search(text)
    if found is None:
        return None
    digits = found.group().rstrip(".,")
    if digits.isdecimal():
        return Decimal(digits)
    whole, sign, decimals = _parted(digits)
    plain = re.sub(r"[.,]", "", whole)
    return Decimal(f"{plain}.{decimals}" if sign and decimals else plain)


def shown(value: Decimal) -> str:
    """`12345`, `12.50`: without a sign for thousands, cents only where there are any."""
    return f"{value:.2f}".removesuffix(".00")


def _parted(digits: str) -> tuple[str, str, str]:
    """What stands before the decimals, their sign, and they."""
    if _THOUSANDS.fullmatch(digits):
        return digits, "", ""
    place = max(digits.rfind("."), digits.rfind(","))
    sign = digits[place]
    if digits.count(sign) > 1:  # no number has two signs before its decimals: parted in some other way
        return digits, "", ""
    return digits[:place], sign, digits[place + 1 :]
