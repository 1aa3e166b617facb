"""A WebSocket feeder, as the configuration describes it."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from otpbroker.config.feeder import FeederSection, Pem, resolvable


def _websocket_url(value: str) -> str:
    problem = "must be an address such as wss://broker.example.com:9000/ws"
    try:
        parts = urlsplit(value)
        usable = parts.scheme in {"ws", "wss"} and bool(parts.hostname) and not parts.fragment
        _ = parts.port
    except ValueError:
        raise ValueError(problem) from None
    if not usable or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError(problem)
    if not resolvable(parts.hostname or ""):
        raise ValueError("has a host name with a part between its dots that is empty or too long")
    if parts.username or parts.password:
        raise ValueError("must not hold user name and password: they have settings of their own")
    return value


WebsocketUrl = Annotated[str, AfterValidator(_websocket_url)]


class WebsocketFeeder(FeederSection):
    """Takes commands from one channel of a WebSocket broker of any of the three generations, or of our relay.

    wss is always verified: against `ca`, or what the system trusts. `acknowledge`: offer a relay of ours to settle
    each message with it; other brokers don't mind.
    """

    kind: Literal["websocket"]
    url: WebsocketUrl
    channel: str = Field("sms", min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")
    username: str = Field("", max_length=128, pattern=r"^[^\x00-\x1f\x7f:]*$")
    password: SecretStr = SecretStr("")
    ca: Pem | None = None
    acknowledge: bool = True
