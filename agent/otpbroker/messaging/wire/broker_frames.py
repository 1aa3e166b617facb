"""What WebSocket brokers and their clients say to each other around the commands.

Three historic generations: a channel broker greets with `connect` and wraps commands in `send-message` envelopes; a
topic broker (and the bare client) carries commands as they are. `Deliver` and the frames beside it are spoken when
both ends are ours: they are agreed on by the WebSocket subprotocol `SUBPROTOCOL`, which nobody else offers.
"""

import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from otpbroker.errors import Rejected
from otpbroker.messaging.wire.lenient_json import loads
from otpbroker.messaging.wire.requests import MOST_ITEMS

SUBPROTOCOL = "otpbroker.ack.v1"
ENVELOPE = "send-message"

Object = dict[str, object]


class Settlement(StrEnum):
    """What became of a delivered message; the first three and `EXPIRED` are final."""

    DONE = "done"
    UNKNOWN = "unknown"  # may have been sent
    REFUSED = "refused"
    NOT_NOW = "not-now"  # nothing was accepted: somebody else, or later
    EXPIRED = "expired"  # said by the broker alone: nobody took it in time


class _Frame(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)


Id = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[\x21-\x7e]+$")]
Reason = Annotated[str, Field(max_length=64)]


class Consume(_Frame):
    """Consumer to broker: keep at most `credit` messages with me that I have not settled; may be said again."""

    type: Literal["consume"] = "consume"
    credit: int = Field(ge=0, le=1000)


class Deliver(_Frame):
    """Broker to consumer; `attempt` counts from 1, `expires_at` in Unix seconds."""

    type: Literal["deliver"] = "deliver"
    id: Id
    body: str = Field(repr=False)
    attempt: int = 1
    expires_at: float | None = None


class Settle(_Frame):
    """Consumer to broker: the end of a delivery, at least once for each."""

    type: Literal["settle"] = "settle"
    id: Id
    verdict: Settlement
    reason: Reason = ""


class Publish(_Frame):
    """Publisher to broker; `id` is the publisher's own, for the answers."""

    type: Literal["publish"] = "publish"
    id: Id
    body: str = Field(repr=False)
    expires_at: float | None = None


class Accepted(_Frame):
    """Broker to publisher: it is held until somebody took it or it expired."""

    type: Literal["accepted"] = "accepted"
    id: Id


class Declined(_Frame):
    """Broker to publisher: it is not held, nothing will be sent."""

    type: Literal["declined"] = "declined"
    id: Id
    reason: Reason


class Settled(_Frame):
    """Broker to publisher, while it is still connected: what became of it."""

    type: Literal["settled"] = "settled"
    id: Id
    verdict: Settlement
    reason: Reason = ""


Frame = Consume | Deliver | Settle | Publish | Accepted | Declined | Settled
_FRAMES: TypeAdapter[Frame] = TypeAdapter(Annotated[Frame, Field(discriminator="type")])


def dump(frame: Frame) -> str:
    return frame.model_dump_json(exclude_none=True)


def load(octets: bytes) -> Frame:
    """Raises `Rejected` for what is no frame."""
    try:
        return _FRAMES.validate_json(octets)
    except ValidationError:
        raise Rejected("invalid-frame", f"it is no frame of {SUBPROTOCOL}") from None


def peek(octets: bytes) -> Object | None:
    """The JSON object that a message is, or None; trailing commas are forgiven, as for commands."""
    try:
        value = loads(octets)
    except Rejected:
        return None
    return cast(Object, value) if isinstance(value, dict) else None


def greeting(now: float, *, accepted: bool) -> str:
    """What a channel broker says first."""
    at = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
    return _compact(
        {
            "command": "connect",
            "response_code": "00" if accepted else "01",
            "response_text": "Accepted" if accepted else "Rejected",
            "data": [{"time_stamp": f"{at}Z"}],
        }
    )


def registration(channel: str) -> str:
    """How a consumer answers the greeting."""
    return _compact({"command": "receive-message", "channel": channel, "data": []})


def items(octets: bytes, request: Object | None) -> tuple[bytes, ...]:
    """The commands in a message, each as a body of its own; `request` is what `peek` made of it.

    An envelope holds commands, bare messages of older clients, or sealed ones. What is no envelope, or too large a
    one, comes back as it is.
    """
    data = (request or {}).get("data")
    if request is None or request.get("command") != ENVELOPE or not isinstance(data, list):
        return (octets,)
    if not 0 < len(data) <= MOST_ITEMS:
        return (octets,)
    return tuple(_item(item) for item in data)


def without_first(octets: bytes, count: int) -> bytes:
    """An envelope that `items` took apart, without its first items."""
    request = peek(octets) or {}
    rest = request | {"data": cast(list[object], request.get("data"))[count:]}
    try:
        return json.dumps(rest, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half a surrogate pair
        return _compact(rest).encode()


def _item(item: object) -> bytes:
    if isinstance(item, str):
        return item.encode("utf-8", "replace")  # sealed: nothing else is a string
    if isinstance(item, dict) and ("command" in item or "jwe" in item):
        return _compact(item).encode()
    return _compact({"command": ENVELOPE, "data": item}).encode()


def enveloped(octets: bytes, channel: str) -> str:
    """A command as clients of a channel broker expect it; raises `Rejected` when it is no JSON and not sealed."""
    request = peek(octets)
    if request is not None and request.get("command") == ENVELOPE and isinstance(request.get("data"), list):
        return octets.decode()
    item: object = request if request is not None else octets.decode("ascii", "replace").strip()
    return _compact({"command": ENVELOPE, "channel": channel, "data": [item]})


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
