"""A RabbitMQ feeder, as the configuration describes it."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from otpbroker.config.feeder import FeederSection, TlsSection, resolvable

PORT, TLS_PORT = 5672, 5671


def _short_string(value: str) -> str:
    """AMQP 0-9-1 section 4.2.5.3: up to 255 octets."""
    if not value or len(value.encode()) > 255 or not value.isprintable():
        raise ValueError("must be 1 to 255 octets of printable characters")
    return value


def _host(value: str) -> str:
    if not value or len(value) > 253 or not value.isprintable() or any(sign in value for sign in " /@"):
        raise ValueError("must be a host name or an IP address, without scheme, port and user")
    if not resolvable(value):
        raise ValueError("has a part between its dots that is empty or too long")
    return value


ShortString = Annotated[str, AfterValidator(_short_string)]
Host = Annotated[str, AfterValidator(_host)]


class RabbitmqFeeder(FeederSection):
    """Takes commands from one queue of a RabbitMQ broker (AMQP 0-9-1).

    Without user name the broker is asked to take the TLS certificate for it (EXTERNAL). `heartbeat` in seconds.
    `prefetch`: 0 follows the modems that are ready. `claims`: the stream in which devices that share a queue tell
    each other what they began.
    """

    kind: Literal["rabbitmq"]
    host: Host
    port: int | None = Field(None, ge=1, le=65535)
    vhost: ShortString = "/"
    username: ShortString | None = None
    password: SecretStr | None = None
    tls: TlsSection = TlsSection()
    heartbeat: int = Field(20, ge=5, le=300)
    queue: ShortString = "sms"
    queue_type: Literal["classic", "quorum"] = "classic"
    durable: bool = False
    prefetch: int = Field(0, ge=0, le=1000)
    unknown: Literal["ack", "dead-letter"] = "ack"
    dead_letter_exchange: ShortString | None = None
    dead_letter_key: ShortString | None = None
    status_exchange: ShortString | None = None
    claims: ShortString | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password come together")
        if self.username is None and self.tls.certificate is None:
            raise ValueError("set username and password, or tls.certificate: there are no default credentials")
        if not self.tls.enabled and self.tls != TlsSection():
            raise ValueError("tls has settings, but is not enabled; set tls.enabled: true or remove them")
        if (self.tls.certificate is None) != (self.tls.key is None):
            raise ValueError("tls.certificate and tls.key come together")
        if self.queue_type == "quorum" and not self.durable:
            raise ValueError("a quorum queue is durable; set durable: true")
        if self.unknown == "dead-letter" and self.dead_letter_exchange is None:
            raise ValueError("unknown: dead-letter needs a dead_letter_exchange")
        return self

    @property
    def broker_port(self) -> int:
        return self.port or (TLS_PORT if self.tls.enabled else PORT)
