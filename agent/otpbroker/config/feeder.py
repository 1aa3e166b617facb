"""What every feeder has, whatever broker it pulls from, and how TLS to a broker is set."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from otpbroker.config.section import Section

_PEM = "-----BEGIN "


def _pem_or_path(value: str) -> str:
    if not value.lstrip().startswith(_PEM) and not (value.startswith("/") and value.isprintable()):
        raise ValueError("must be PEM text (-----BEGIN ...) or the absolute path of a file with it")
    return value


def _secret_pem_or_path(value: SecretStr) -> SecretStr:
    _pem_or_path(value.get_secret_value())
    return value


Pem = Annotated[str, AfterValidator(_pem_or_path)]
SecretPem = Annotated[SecretStr, AfterValidator(_secret_pem_or_path)]


def resolvable(host: str) -> bool:
    """Whether it can be asked for: an address, or labels of 1 to 63 octets (RFC 1035, section 2.3.4)."""
    try:
        host.encode("idna")  # as the resolver does
    except UnicodeError:
        return False
    return True


def pem_text(value: str) -> str:
    """The PEM text that a setting holds or names. Raises `OSError`."""
    return value if value.lstrip().startswith(_PEM) else Path(value).read_text("ascii", "replace")


class TlsSection(Section):
    """TLS to a broker, always verified: against `ca`, or what the system trusts; with a certificate of one's own.

    `server_name`: the name in the broker's certificate, where it is reached under another one.
    """

    enabled: bool = False
    ca: Pem | None = None
    certificate: Pem | None = None
    key: SecretPem | None = None
    server_name: str | None = Field(None, pattern=r"^[A-Za-z0-9_.:-]{1,253}$")


class FeederSection(Section):
    """One feeder. `rights`: what its publishers may beyond messages; `sealed_only`: only what is encrypted."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
    active: bool = True
    rights: tuple[Literal["ussd"], ...] = ()
    sealed_only: bool = False
