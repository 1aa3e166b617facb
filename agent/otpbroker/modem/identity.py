"""Who a modem is: the stick by its IMEI, the SIM in it by ICCID and IMSI. Pure comparisons, "" is not known."""

from dataclasses import dataclass

from otpbroker.config.model import ModemSection

_ICCID_LEAST = 18  # digits that every modem tells; the check digit and a filling digit are not told by all


@dataclass(frozen=True, slots=True)
class Identity:
    imei: str = ""
    iccid: str = ""
    imsi: str = ""

    def updated(self, newer: "Identity") -> "Identity":
        """With what `newer` knows; of a SIM that was exchanged nothing stays."""
        pairs = ((self.iccid, newer.iccid), (self.imsi, newer.imsi))
        kept = Identity() if any(old and new and old != new for old, new in pairs) else self
        return Identity(newer.imei or self.imei, newer.iccid or kept.iccid, newer.imsi or kept.imsi)


def names_sim(section: ModemSection) -> bool:
    return bool(section.iccid or section.imsi)


def same_stick(section: ModemSection, found: Identity) -> bool | None:
    """Whether it is the section's stick; None: one of them has no IMEI."""
    if not section.imei or not found.imei:
        return None
    # Fourteen digits identify; behind them are a check digit or a software version (23.003 section 6.2).
    return section.imei[:14] == found.imei[:14]


def same_sim(section: ModemSection, found: Identity) -> bool | None:
    """Whether the section's SIM is in it; None: the section names none, or nothing comparable is known."""
    if section.iccid and found.iccid:
        length = max(_ICCID_LEAST, min(len(section.iccid), len(found.iccid)))
        return section.iccid[:length] == found.iccid[:length]
    if section.imsi and found.imsi:
        return section.imsi == found.imsi
    return None
