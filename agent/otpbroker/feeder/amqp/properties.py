"""What travels beside a message's body."""

from dataclasses import asdict, dataclass, field
from typing import Any

from pika.spec import BasicProperties

LONGEST_NAME = 255  # octets, AMQP 0-9-1 section 4.2.5.3


@dataclass(frozen=True, slots=True)
class Properties:
    """AMQP 0-9-1 section 4.2.6.1, class Basic, but for the user id, which a broker takes from its sender alone."""

    content_type: str | None = None
    content_encoding: str | None = None
    headers: dict[str, Any] | None = field(default=None, repr=False)
    delivery_mode: Any = None
    priority: int | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    expiration: str | None = None
    message_id: str | None = None
    timestamp: int | None = None
    type: str | None = None
    app_id: str | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """A message to be acknowledged by its tag."""

    tag: int
    body: bytes = field(repr=False)
    properties: Properties
    redelivered: bool


def received(found: BasicProperties) -> Properties:
    return Properties(
        content_type=_text(found.content_type),
        content_encoding=_text(found.content_encoding),
        headers=dict(found.headers) if found.headers else None,
        delivery_mode=found.delivery_mode,
        priority=found.priority,
        correlation_id=_text(found.correlation_id),
        reply_to=_text(found.reply_to),
        expiration=_text(found.expiration),
        message_id=_text(found.message_id),
        timestamp=found.timestamp,
        type=_text(found.type),
        app_id=_text(found.app_id),
    )


def _text(found: str | bytes | None) -> str | None:
    """pika leaves octets that are no UTF-8 as they are; what stands for them may be longer than a property."""
    if isinstance(found, bytes):
        return found.decode(errors="backslashreplace").encode()[:LONGEST_NAME].decode(errors="ignore")
    return found


def wire(properties: Properties, headers: dict[str, Any] | None) -> BasicProperties:
    return BasicProperties(**(asdict(properties) | {"headers": headers}))
