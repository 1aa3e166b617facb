"""One unit's own secrets, and the configuration which they make. Nothing is derived from a serial number or MAC."""

import secrets
from dataclasses import dataclass, field
from ipaddress import ip_address

from pydantic import SecretStr

from otpbroker.codes import canonical, new_code, setup_url
from otpbroker.config.model import Config, Listener
from otpbroker.errors import Misconfigured, Rejected
from otpbroker.passwords import hash_password

_SSID = "OTP-Broker"

# Typed on a phone without changing its keyboard much: no capitals, and no i, l, o, 0, 1. 16 of 31 signs: 79 bits.
_EASY = "abcdefghjkmnpqrstuvwxyz23456789"
_PASSPHRASE_GROUPS, _PASSPHRASE_GROUP = 4, 4

_SETUP_GROUPS = 3  # 60 bits, as every setup code
_RESET_GROUPS = 4  # 80 bits in 16 signs

_EVERYWHERE = "0.0.0.0"  # noqa: S104 # the firewall decides who gets there


@dataclass(frozen=True, slots=True)
class Unit:
    """What the brochure tells, in clear; a unit keeps the passphrase sealed and of the codes only hashes."""

    ssid: str
    passphrase: str = field(repr=False)
    setup_code: str = field(repr=False)
    reset_code: str = field(repr=False)
    admin_url: str

    @property
    def setup_url(self) -> str:
        return setup_url(self.admin_url, self.setup_code)


def new_unit(base: Config) -> Unit:
    """Fresh secrets from the operating system's generator for a unit that is to be configured like `base`."""
    return Unit(
        ssid=f"{_SSID}-{new_code(1)}",
        passphrase="-".join(
            "".join(secrets.choice(_EASY) for _ in range(_PASSPHRASE_GROUP)) for _ in range(_PASSPHRASE_GROUPS)
        ),
        setup_code=new_code(_SETUP_GROUPS),
        reset_code=new_code(_RESET_GROUPS),
        admin_url=f"http://{base.access_point.ip}:{base.admin.listen.port}",
    )


def unit_config(base: Config, unit: Unit, country: str | None) -> Config:
    """`base` with the unit's access point and codes, listening for all whom the firewall lets in.

    Listeners whose address `base` names keep it. `country` goes before the one of `base`. Raises `Misconfigured`
    without any, or when nobody could reach the setup page. Blocks for two argon2 hashes.
    """
    country = country or base.access_point.country
    if country is None:
        raise Misconfigured(
            "country-missing",
            "the radio has to know its country",
            field="access_point.country",
            remedy="name it, for example: --country ID",
        )
    ours = {"enabled": True, "ssid": unit.ssid, "passphrase": SecretStr(unit.passphrase), "country": country}
    codes = {"setup_code": hash_password(canonical(unit.setup_code))}
    reset = {"reset_code": hash_password(canonical(unit.reset_code))}
    config = opened(base)
    require_setup_page(config)
    return config.model_copy(
        update={
            "device": config.device.model_copy(update=reset),
            "access_point": config.access_point.model_copy(update=ours),
            "admin": config.admin.model_copy(update=codes),
        }
    )


def opened(config: Config) -> Config:
    """Listeners that name no address listen for all whom the firewall lets in."""
    api = {"http": _opened(config.api.http), "https": _opened(config.api.https)}
    admin = {"listen": _opened(config.admin.listen)}
    return config.model_copy(
        update={"api": config.api.model_copy(update=api), "admin": config.admin.model_copy(update=admin)}
    )


def require_setup_page(config: Config) -> None:
    """Raise `Misconfigured` if a phone on the access point would not reach the page that the brochure names."""
    site, ip = config.admin.listen, config.access_point.ip
    if not site.enabled:
        place, detail, remedy = "enabled", "the setup page would be switched off", "leave it out"
    elif site.port == 0:
        place, detail, remedy = "port", "the brochure has to name the port", "leave it out, or name one, as 8888"
    elif not ip_address(site.address).is_unspecified and site.address != ip:
        place, detail, remedy = "address", f"nobody could reach the setup page on {ip}", "leave it out"
    else:
        return
    raise Misconfigured("setup-page-unreachable", detail, field=f"admin.listen.{place}", remedy=remedy)


def require_no_secrets(base: Config) -> None:
    """Raise `Rejected` if a base for many units holds what every unit must have for itself."""
    for place, value in (
        ("access_point.ssid", base.access_point.ssid),
        ("access_point.passphrase", base.access_point.passphrase),
        ("admin.setup_code", base.admin.setup_code),
        ("device.reset_code", base.device.reset_code),
    ):
        if value is not None:
            raise Rejected("shared-secret", "every unit gets its own", field=place, remedy="take it off the base")


def _opened(listener: Listener) -> Listener:
    named = "address" in listener.model_fields_set
    return listener if named else listener.model_copy(update={"address": _EVERYWHERE})
