"""What an administrator sets of a modem by a form; every other setting of its section stays as it is."""

import re
from dataclasses import dataclass
from typing import Self

from pydantic import SecretStr
from werkzeug.datastructures import MultiDict

from otpbroker.config.model import Config, ModemSection
from otpbroker.events import FoundModem
from otpbroker.web.language import gettext as _

_PREFIX = re.compile(r"[0-9]{1,15}")
_PIN = re.compile(r"[0-9]{4,8}")
_LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class ModemForm:
    """The fields as they were entered; `pin` is never filled with the one that is set, "" leaves that as it is."""

    name: str = ""
    prefixes: str = ""  # separated by commas or blanks
    default: bool = False
    send_from_api: bool = True
    active: bool = True
    pin: str = ""
    forget_pin: bool = False

    @classmethod
    def read(cls, form: MultiDict[str, str]) -> Self:
        return cls(
            name=form.get("name", "").strip(),
            prefixes=form.get("prefixes", "").strip(),
            default="default" in form,
            send_from_api="send_from_api" in form,
            active="active" in form,
            pin=form.get("pin", "").strip(),
            forget_pin="forget_pin" in form,
        )

    @classmethod
    def of(cls, section: ModemSection) -> Self:
        return cls(
            name=section.name,
            prefixes=", ".join(section.prefixes),
            default=section.default,
            send_from_api=section.send_from_api,
            active=section.active,
        )

    def problems(self) -> dict[str, str]:
        """What is wrong, by field."""
        problems: dict[str, str] = {}
        if len(self.name) > _LONGEST_NAME or not self.name.isprintable():
            problems["name"] = _("Use at most 64 characters.")
        if not all(_PREFIX.fullmatch(prefix) for prefix in self._prefixes):
            problems["prefixes"] = _("Write the beginnings of numbers, such as 62811, 62812.")
        if self.pin and not _PIN.fullmatch(self.pin):
            problems["pin"] = _("A PIN has 4 to 8 digits.")
        return problems

    def applied(self, section: ModemSection) -> ModemSection:
        """The section with these settings; only without `problems`."""
        pin = None if self.forget_pin else SecretStr(self.pin) if self.pin else section.pin
        return section.model_copy(
            update={
                "name": self.name,
                "prefixes": tuple(self._prefixes),
                "default": self.default,
                "send_from_api": self.send_from_api,
                "active": self.active,
                "pin": pin,
            }
        )

    @property
    def _prefixes(self) -> list[str]:
        return [prefix.removeprefix("+") for prefix in re.split(r"[\s,;]+", self.prefixes) if prefix]


def proposed(found: FoundModem, config: Config) -> tuple[str, ModemForm]:
    """An id that is free and what may be entered for a modem that was found."""
    words = re.findall(r"[a-z0-9]+", (found.operator or found.manufacturer or "modem").lower())
    stem = "-".join(words)[:40] or "modem"
    taken = {section.id for section in config.modems}
    number = next(number for number in range(1, len(taken) + 2) if f"{stem}-{number}" not in taken)
    no_default = not any(section.default for section in config.modems)
    return f"{stem}-{number}", ModemForm(name=found.operator[:_LONGEST_NAME], default=no_default)


def section_of(found: FoundModem, modem_id: str) -> ModemSection:
    """Who it is, as far as it tells; its socket only where nothing else tells it apart."""
    sim = {"iccid": found.iccid} if found.iccid else {"imsi": found.imsi} if found.imsi else {}
    who = sim | ({"imei": found.imei} if found.imei else {})
    return ModemSection.model_validate({"id": modem_id, **who, **({} if sim else {"usb": found.socket})})
