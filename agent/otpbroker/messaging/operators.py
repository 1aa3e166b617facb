"""Operators whose code for the balance is publicly known, by the first digits of the IMSI: country and network.

Operators change their codes and texts as they like: a modem's own `balance.ussd` and `balance.pattern` go before.
"""

from dataclasses import dataclass

RUPIAH = r"(?i)\b(?:rp|idr)\.?\s{0,3}(?P<amount>[0-9][0-9.,]*)"


@dataclass(frozen=True, slots=True)
class Operator:
    name: str
    ussd: str
    pattern: str = RUPIAH


_TELKOMSEL = Operator("Telkomsel", "*888#")
_INDOSAT = Operator("Indosat", "*123#")
_XL = Operator("XL", "*123#")
_AXIS = Operator("Axis", "*888#")
_TRI = Operator("Tri", "*111#")
_SMARTFREN = Operator("Smartfren", "*999#")

OPERATORS = {
    "51001": _INDOSAT,
    "51008": _AXIS,
    "51009": _SMARTFREN,
    "51010": _TELKOMSEL,
    "51011": _XL,
    "51021": _INDOSAT,
    "51028": _SMARTFREN,
    "51089": _TRI,
}


def operator_of(imsi: str) -> Operator | None:
    return OPERATORS.get(imsi[:5])
