"""Who a simulated modem says it is: numbers that are well-formed and differ from modem to modem."""

from dataclasses import dataclass, replace
from typing import Self

_TEST_TAC = "00440101"  # type allocation code set aside for test equipment
_OPERATORS = (
    ("TELKOMSEL", "51010", "62812", "+6281100000"),
    ("INDOSAT", "51001", "62815", "+62816124"),
    ("XL", "51011", "62817", "+62818445009"),
    ("TRI", "51089", "62895", "+6289644000001"),
)


@dataclass(frozen=True, slots=True)
class Identity:
    """What `+CGSN`, `+CIMI`, `+CCID`, `+CNUM` and `+COPS` tell; `name` is how control calls the modem."""

    name: str
    imei: str
    imsi: str
    iccid: str
    msisdn: str  # international, without +
    operator: str
    network: str  # mobile country and network code
    smsc: str
    manufacturer: str = "OTP Broker"
    model: str = "Simulated modem"
    revision: str = "1.0"

    def with_card_of(self, other: Self) -> Self:
        """This modem with the other one's SIM card in it."""
        return replace(
            self,
            imsi=other.imsi,
            iccid=other.iccid,
            msisdn=other.msisdn,
            operator=other.operator,
            network=other.network,
            smsc=other.smsc,
        )


def luhn_digit(digits: str) -> str:
    """The check digit that makes `digits` and itself pass the Luhn test (ISO/IEC 7812-1 annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value // 10 + value % 10
    return str(-total % 10)


def identity_of(index: int) -> Identity:
    """The identity of the simulated modem number `index`, which counts from 1; operators take turns."""
    operator, network, number, smsc = _OPERATORS[(index - 1) % len(_OPERATORS)]
    imei = f"{_TEST_TAC}{index:06d}"
    iccid = f"8962{network[3:]}{index:012d}"
    return Identity(
        name=f"modem-{index}",
        imei=imei + luhn_digit(imei),
        imsi=f"{network}{index:010d}",
        iccid=iccid + luhn_digit(iccid),
        msisdn=f"{number}{index:08d}",
        operator=operator,
        network=network,
        smsc=smsc,
    )
