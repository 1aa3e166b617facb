"""How and when the credit of a modem's SIM is asked for."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from otpbroker.config.section import Section


def _code(value: str) -> str:
    if not re.fullmatch(r"[0-9*#+]{1,160}", value):
        raise ValueError("must be a USSD code such as *888#")
    return value


def _pattern(value: str) -> str:
    try:
        found = re.compile(value)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from None
    if "amount" not in found.groupindex:
        raise ValueError("must have a group named amount, such as Rp(?P<amount>[0-9.,]+)")
    return value


class BalanceSection(Section):
    """`ussd` and `pattern`: what is not given comes from the table of known operators."""

    ussd: Annotated[str, AfterValidator(_code)] | None = None
    pattern: Annotated[str, Field(max_length=200), AfterValidator(_pattern)] | None = None
    every: int = Field(24, ge=1, le=720, description="hours from one check to the next")
    at: tuple[Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")], ...] = Field(
        (), max_length=24, description="times of day instead, as 06:30"
    )
    warn_below: float | None = Field(None, ge=0, allow_inf_nan=False)
