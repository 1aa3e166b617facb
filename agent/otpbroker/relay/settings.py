"""How a relay is set up: one YAML file, or options of the command line."""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from otpbroker.config.document import parse
from otpbroker.config.model import IpAddress, Port
from otpbroker.config.section import Section
from otpbroker.errors import Misconfigured

ChannelName = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")]

# What can be neither a label of the metrics nor written in UTF-8 is no name of a channel.
_CHANNEL = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,128}")


def is_channel(name: str) -> bool:
    return _CHANNEL.fullmatch(name) is not None


class Limits(Section):
    """What clients may cost; times in seconds."""

    connections: int = Field(500, ge=1, le=100_000)
    channels: int = Field(100, ge=1, le=10_000, description="channels that have messages and no consumer")
    # A device takes no larger command, and its feeder no larger frame than this one escaped.
    message: int = Field(64 * 1024, ge=1024, le=64 * 1024, description="octets of one message")
    waiting: int = Field(1000, ge=1, le=10_000, description="messages of one channel without a consumer")
    octets: int = Field(64 * 1024 * 1024, ge=1024 * 1024, description="memory of all messages that are held")
    life: int = Field(300, ge=1, le=7 * 86400, description="how long a message is held that names no end")
    rate: float = Field(50.0, gt=0, description="messages a second of one user; more are read later")
    burst: int = Field(200, ge=1)
    grace: float = Field(30.0, ge=0, description="how long a lost consumer's messages wait for its return")
    pause: float = Field(5.0, ge=0.1, description="until a consumer is asked again that could not take a message")


class TlsSection(Section):
    """PEM files; read again at SIGHUP."""

    certificate: Path
    key: Path


class RelaySettings(Section):
    """The whole file; without TLS it listens on loopback alone unless told otherwise."""

    address: IpAddress | None = None
    port: Port = 9000
    metrics_port: Port | None = Field(9001, description="on loopback; null: none")
    users: Path = Path("users.yaml")
    tls: TlsSection | None = None
    broadcast: frozenset[ChannelName] = Field(
        frozenset(), description="channels whose messages go to every consumer, as the older brokers did"
    )
    limits: Limits = Limits()

    @property
    def listen_address(self) -> str:
        return self.address or ("127.0.0.1" if self.tls is None else "0.0.0.0")  # noqa: S104 # with TLS and passwords

    @property
    def exposed(self) -> bool:
        """Whether passwords and messages pass in clear over a network."""
        return self.tls is None and not ip_address(self.listen_address).is_loopback


def load_settings(path: Path) -> RelaySettings:
    """Raises `Misconfigured` that names the place at fault; relative paths are beside the file."""
    try:
        document = parse(path.read_text("utf-8"))
    except OSError as error:
        raise Misconfigured("config-unreadable", f"can't be read: {error.strerror}", field=str(path)) from None
    except UnicodeDecodeError:
        raise Misconfigured("config-unreadable", "is no UTF-8 text", field=str(path)) from None
    except Misconfigured as error:
        raise Misconfigured(error.code, error.detail, field=str(path)) from None
    try:
        settings = RelaySettings.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise Misconfigured("config-invalid", f"{place}: {first['msg']}", field=str(path)) from None
    return settings.model_copy(update={"users": path.parent / settings.users})
