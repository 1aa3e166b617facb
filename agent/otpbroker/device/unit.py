"""One unit's own secrets, and the configuration which they make. Nothing is derived from a serial number or MAC."""

import secrets
from dataclasses import dataclass, field

from pydantic import SecretStr

from otpbroker.codes import canonical, new_code, setup_url
from otpbroker.config.model import AdminSection, ApiSection, Config, Listener
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

    Listeners that `base` sets stay as they are. `country` goes before the one of `base`. Raises `Misconfigured`
    without any. Blocks for two argon2 hashes.
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
    return base.model_copy(
        update={
            "device": base.device.model_copy(update=reset),
            "access_point": base.access_point.model_copy(update=ours),
            "admin": _reachable_admin(base.admin).model_copy(update=codes),
            "api": _reachable_api(base.api),
        }
    )


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


def _reachable_admin(admin: AdminSection) -> AdminSection:
    return admin.model_copy(update={"listen": _reachable(admin.listen, AdminSection().listen)})


def _reachable_api(api: ApiSection) -> ApiSection:
    default = ApiSection()
    listeners = {"http": _reachable(api.http, default.http), "https": _reachable(api.https, default.https)}
    return api.model_copy(update=listeners)


def _reachable(listener: Listener, default: Listener) -> Listener:
    return listener.model_copy(update={"address": _EVERYWHERE}) if listener == default else listener
