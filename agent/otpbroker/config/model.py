"""The one document that describes the device: `config.yaml` as immutable, validated sections.

Unknown keys are refused. Secrets are `SecretStr`: they show as asterisks everywhere but in the store.
"""

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, field_validator, model_validator

from otpbroker.config.access_point import AccessPointSection
from otpbroker.config.balance import BalanceSection
from otpbroker.config.feeders import Feeder
from otpbroker.config.firewall import FirewallSection
from otpbroker.config.limits import LimitsSection
from otpbroker.config.section import Section
from otpbroker.config.ssh import SshSection
from otpbroker.config.tariff import TariffSection

_PATH = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@-]+)+")
_HASH = re.compile(r"\$argon2id\$v=19\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+")


def _argon2id(value: str) -> str:
    if not _HASH.fullmatch(value):
        raise ValueError("must be an argon2id hash; make one with: otpbroker add-api-user")
    return value


def _code_hash(value: str) -> str:
    if not _HASH.fullmatch(value):
        raise ValueError("must be the argon2id hash of a code; make a unit's codes with: otpbroker new-unit")
    return value


def _hostname(value: str) -> str:
    """One label (RFC 1123, section 2.1)."""
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?", value) or value.lower() == "localhost":
        raise ValueError("must be a name of letters, digits and hyphens such as otpbroker, without dots")
    return value


def _address(value: str) -> str:
    return str(ip_address(value))


def _path(value: str) -> str:
    path = value.rstrip("/")
    if not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")) or path.startswith(("/api/v1", "/ping")):
        raise ValueError("must be a path such as /api/message, outside of /api/v1, without special characters")
    return path


def _printable(value: str) -> str:
    if not value.isprintable() or value.startswith("sealed:"):
        raise ValueError("must be one line of printable characters")
    return value


Label = Annotated[str, AfterValidator(_printable)]
PasswordHash = Annotated[str, AfterValidator(_argon2id)]
CodeHash = Annotated[str, AfterValidator(_code_hash)]
Hostname = Annotated[str, AfterValidator(_hostname)]
IpAddress = Annotated[str, AfterValidator(_address)]
UrlPath = Annotated[str, AfterValidator(_path)]
Port = Annotated[int, Field(ge=0, le=65535)]  # 0: any free port
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Username = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}$")]
Digits = Annotated[str, Field(pattern=r"^[0-9]{1,15}$")]


class DeviceSection(Section):
    """What the unit is called and where it stands; without a `reset_code` no stick resets it."""

    name: Label = Field("OTP Broker", min_length=1, max_length=64)
    hostname: Hostname = "otpbroker"
    country_code: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,2}$")] = "62"
    language: Literal["id", "en"] = "en"
    reset_code: CodeHash | None = None


class SmsSection(Section):
    """How messages live, wait and end; times in seconds."""

    life: int = Field(300, ge=10, le=7 * 86400, description="life of a message that names no expiry of its own")
    drop_expired: bool = True
    duplicate_window: int = Field(86400, ge=0, le=7 * 86400, description="0: ids are not compared")
    wait: int = Field(30, ge=1, le=55, description="how long a historic REST call waits for the modem")
    max_waiting: int = Field(1000, ge=1, le=100_000)
    receiver_limit: int = Field(0, ge=0, le=10_000, description="messages an hour to one number; 0: no limit")
    max_parts: int = Field(8, ge=1, le=255)
    routing: Literal["prefix", "cheapest"] = "prefix"
    status_report: bool = False
    report: bool = True
    report_days: int = Field(92, ge=1, le=3660, description="days that the report's files are kept")


class InboxSection(Section):
    """What comes in by SMS: kept sealed for a while, or removed from the SIM unread."""

    enabled: bool = True
    keep_days: int = Field(30, ge=1, le=3660)
    max_messages: int = Field(1000, ge=1, le=10_000, description="the oldest go first")


class ModemSection(Section):
    """One modem and its SIM: who it is or where, and what it may carry.

    Without `port` it is found wherever it is plugged in: by its SIM, else by its stick, else by its USB socket.
    """

    id: Identifier
    name: Label = Field("", max_length=64)
    port: str | None = Field(None, pattern=r"^/[^\x00-\x20]*$", description="path of a serial port or pty")
    iccid: str | None = Field(None, pattern=r"^[0-9]{18,20}$", description="the SIM: the number printed on it")
    imsi: str | None = Field(None, pattern=r"^[0-9]{14,15}$", description="the SIM: its subscriber's number")
    imei: str | None = Field(None, pattern=r"^[0-9]{14,16}$", description="the stick")
    usb: str | None = Field(
        None,
        pattern=r"^[0-9]+-[0-9]+(\.[0-9]+)*$",
        description="the USB socket, as in /sys/bus/usb/devices: 1-1.2",
    )
    baud_rate: int = Field(115200, ge=300, le=4_000_000)
    data_bits: Literal[5, 6, 7, 8] = 8
    parity: Literal["N", "O", "E", "M", "S"] = "N"
    stop_bits: Literal[1, 2] = 1
    flow_control: Literal["none", "rts-cts", "xon-xoff"] = "none"
    pin: SecretStr | None = None
    smsc: str | None = Field(None, pattern=r"^\+?[0-9]{3,20}$")
    prefixes: tuple[Digits, ...] = ()
    default: bool = False
    send_from_api: bool = True
    active: bool = True
    balance: BalanceSection | None = None
    limits: LimitsSection = LimitsSection()
    tariff: TariffSection | None = None

    @field_validator("pin")
    @classmethod
    def _pin_is_digits(cls, pin: SecretStr | None) -> SecretStr | None:
        if pin is not None and not re.fullmatch(r"[0-9]{4,8}", pin.get_secret_value()):
            raise ValueError("a SIM PIN has 4 to 8 digits")
        return pin

    @model_validator(mode="after")
    def _can_be_found(self) -> Self:
        if not (self.port or self.iccid or self.imsi or self.imei or self.usb):
            raise ValueError("name the modem's port, iccid, imsi, imei or usb socket")
        return self

    @property
    def identities(self) -> tuple[str, ...]:
        """What no two modems may have in common; sticks may share an IMEI where SIM or socket tells them apart."""
        named = (("port", self.port), ("iccid", self.iccid), ("imsi", self.imsi))
        alone = () if self.port or self.iccid or self.imsi else (f"imei {self.imei} and usb {self.usb}",)
        return (*(f"{name} {value}" for name, value in named if value), *alone)

    @property
    def label(self) -> str:
        return self.name or self.id


class Listener(Section):
    """An address to listen on."""

    enabled: bool = True
    address: IpAddress = "127.0.0.1"
    port: Port = 0


def _usually_on(port: int) -> BeforeValidator:
    """Where a listener of the document names no port."""
    return BeforeValidator(lambda said: {"port": port} | said if isinstance(said, dict) else said)


class Account(Section):
    """Who may prove itself by a password; inactive or blocked: for now not."""

    username: Username
    password: PasswordHash
    name: Label = Field("", max_length=64)
    phone: Label = Field("", max_length=20)
    email: Label = Field("", max_length=254)
    active: bool = True
    blocked: bool = False


class ApiUser(Account):
    """An application server, for REST; not an administrator.

    Beyond messages it may only what `rights` names: a USSD code can spend the SIM's credit, the inbox may hold
    what others send to the SIM, and a feeder that is stopped feeds nobody.
    """

    rights: tuple[Literal["ussd", "inbox", "feeders"], ...] = ()


class ApiSection(Section):
    """REST for applications."""

    http: Annotated[Listener, _usually_on(8889)] = Listener(port=8889)
    https: Annotated[Listener, _usually_on(10443)] = Listener(port=10443)
    message_path: UrlPath = "/api/message"
    block_path: UrlPath = "/api/block"
    unblock_path: UrlPath = "/api/unblock"
    users: tuple[ApiUser, ...] = ()

    @field_validator("users")
    @classmethod
    def _users_are_unique(cls, users: tuple[ApiUser, ...]) -> tuple[ApiUser, ...]:
        _require_unique("user", (user.username for user in users))
        return users


class Administrator(Account):
    """A person who manages the device by web."""


class AdminSection(Section):
    """The admin site and who may enter; `setup_code` is moved to a file of its own at the first boot."""

    listen: Annotated[Listener, _usually_on(8888)] = Listener(port=8888)
    administrators: tuple[Administrator, ...] = ()
    session_idle: int = Field(1800, ge=60, le=86400, description="seconds without a request until log-out")
    session_life: int = Field(43200, ge=300, le=7 * 86400)
    setup_code: CodeHash | None = None

    @field_validator("administrators")
    @classmethod
    def _administrators_are_unique(cls, people: tuple[Administrator, ...]) -> tuple[Administrator, ...]:
        _require_unique("administrator", (person.username for person in people))
        return people


class Config(Section):
    """The whole document."""

    version: Literal[1] = 1
    device: DeviceSection = DeviceSection()
    sms: SmsSection = SmsSection()
    inbox: InboxSection = InboxSection()
    modems: tuple[ModemSection, ...] = Field((), max_length=256)
    feeders: tuple[Feeder, ...] = Field((), max_length=16)
    api: ApiSection = ApiSection()
    admin: AdminSection = AdminSection()
    access_point: AccessPointSection = AccessPointSection()
    firewall: FirewallSection = FirewallSection()
    ssh: SshSection = SshSection()

    @model_validator(mode="after")
    def _modems_are_unique(self) -> Self:
        _require_unique("modem", (modem.id for modem in self.modems))
        _require_unique("a modem's", (identity for modem in self.modems for identity in modem.identities))
        return self

    @model_validator(mode="after")
    def _feeders_are_unique(self) -> Self:
        _require_unique("feeder", (feeder.id for feeder in self.feeders))
        return self


def _require_unique(what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{what} {name} is there twice")
        seen.add(name)
