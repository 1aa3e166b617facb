"""From the octets of a request to commands, whatever shape its client learnt.

A body holds one command `{command, data: {...}}`, or several: an array, a channel envelope
`{command: "send-message", channel, data: [...]}`, or `{data: [...]}`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import cast

from otpbroker.errors import Rejected
from otpbroker.messaging.command import (
    Block,
    Command,
    Echo,
    ListModems,
    RequestOtp,
    RunUssd,
    SendMail,
    SendSms,
    Unblock,
    VerifyOtp,
)
from otpbroker.messaging.wire.fields import Fields, check_text, milliseconds
from otpbroker.messaging.wire.lenient_json import loads

MOST_ITEMS = 100
LONGEST_TOPIC = 255  # octets; no queue of a broker has a longer name


@dataclass(frozen=True, slots=True)
class Item:
    """One command and the name that the client gave it; a `Rejected` stands for one that cannot be understood."""

    name: str
    command: Command | Rejected


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a body holds. One item that is wrong leaves the others of `several` alone.

    A message broker's client may ask for the answer under `callback_topic`, `callback_delay` seconds later.
    """

    items: tuple[Item, ...]
    several: bool = False
    callback_topic: str = ""
    callback_delay: float = 0.01


def parse(body: bytes) -> Envelope:
    """The commands in a body; the content type that came with it does not matter.

    Raises `Rejected` when there is none to be found in it.
    """
    value = loads(body)
    if isinstance(value, list):
        return Envelope(_items(value, "", "send-message"), several=True)
    if not isinstance(value, dict):
        raise Rejected("invalid-json", "the body is neither an object nor an array")
    request = cast(dict[str, object], value)
    data = request.get("data")
    if isinstance(data, list) and _name(request) not in _WHOLE_REQUEST:
        return Envelope(
            _items(data, "data", _name(request) if "command" in request else "send-message"), several=True
        )
    top = Fields(request)
    return Envelope(
        (_item(request, ""),),
        callback_topic=_topic(top),
        callback_delay=milliseconds(request.get("callback_delay"), 10) / 1000,
    )


def _topic(top: Fields) -> str:
    topic = top.text("callback_topic", required=False)
    if len(topic.encode()) > LONGEST_TOPIC:
        raise Rejected("too-long", f"has more than {LONGEST_TOPIC} octets", field="callback_topic")
    return topic


def _name(request: dict[str, object]) -> str:
    name = request.get("command")
    return name if isinstance(name, str) else ""


def _items(values: list[object], place: str, name: str) -> tuple[Item, ...]:
    if not 0 < len(values) <= MOST_ITEMS:
        raise Rejected("invalid-count", f"an array holds 1 to {MOST_ITEMS} commands", field=place or None)
    return tuple(_inner(value, f"{place}[{index}]", name) for index, value in enumerate(values))


def _inner(value: object, place: str, name: str) -> Item:
    """An item of an array: a command of its own, or the bare fields of a message."""
    if not isinstance(value, dict):
        return Item(name, Rejected("wrong-type", "must be an object", field=place))
    if "command" in value:
        return _item(value, f"{place}.")
    return _attempt(name, lambda: _build(name, Fields(value, f"{place}.")))


def _item(request: dict[str, object], place: str) -> Item:
    """An object with a `command`, its fields in `data`."""
    name = _name(request)
    if name in _WHOLE_REQUEST:
        return _attempt(name, lambda: _WHOLE_REQUEST[name](request))
    return _attempt(name, lambda: _build(name, Fields(request, place), inside="data"))


def _attempt(name: str, make: Callable[[], Command]) -> Item:
    try:
        return Item(name, make())
    except Rejected as error:
        return Item(name, error)


def _build(name: str, fields: Fields, inside: str | None = None) -> Command:
    build = _BUILDERS.get(name)
    if build is None:
        known = ", ".join(sorted({*_BUILDERS, *_WHOLE_REQUEST}))
        raise Rejected(
            "unknown-command",
            "there is no such command" if name else "the command is missing",
            field=f"{fields.place}command",
            remedy=f"use one of {known}",
        )
    return build(fields.inside(inside) if inside else fields)


def _sms(fields: Fields) -> SendSms:
    return SendSms(
        receiver=fields.receiver(),
        text=fields.text("message", longest=None),
        id=fields.text("id", required=False) or None,
        expires_at=fields.seconds("expiration"),
        date_time=fields.seconds("date_time", "time"),
    )


def _mail(fields: Fields) -> SendMail:
    return SendMail(
        receiver=fields.receiver(),
        subject=fields.text("subject", required=False, longest=998),  # RFC 5322 section 2.1.1
        text=fields.text("message", longest=None),
        id=fields.text("id", required=False) or None,
        expires_at=fields.seconds("expiration"),
        date_time=fields.seconds("date_time", "time"),
    )


def _message(fields: Fields) -> SendSms | SendMail:
    return _mail(fields) if "@" in fields.receiver() else _sms(fields)


def _request_otp(fields: Fields) -> RequestOtp:
    template = fields.text("message", longest=None)
    if template.count("%s") != 1:
        raise Rejected(
            "invalid-template",
            "the message must hold %s once, where the code goes",
            field=f"{fields.place}message",
            remedy="for example: Your code is %s",
        )
    return RequestOtp(
        receiver=fields.receiver(),
        reference=fields.text("reference"),
        template=template,
        expires_at=fields.seconds("expiration"),
        made_at=fields.seconds("date_time"),
        date_time=fields.text("date_time", required=False),
        subject=fields.text("subject", required=False, longest=998),
        id=fields.text("id", required=False) or None,
        params=_params(fields),
    )


def _verify_otp(fields: Fields) -> VerifyOtp:
    return VerifyOtp(
        receiver=fields.receiver(),
        reference=fields.text("reference"),
        otp=fields.text("otp"),
        date_time=fields.text("date_time", required=False),
        params=_params(fields),
    )


def _params(fields: Fields) -> tuple[str, str, str, str]:
    read = partial(fields.text, required=False, longest=1024)
    return read("param1"), read("param2"), read("param3"), read("param4")


def _ussd(fields: Fields) -> RunUssd:
    return RunUssd(
        modem_id=fields.text("modem_id"),
        code=fields.text("ussd_code"),
        date_time=fields.text("date_time", required=False),
    )


def _list_modems(request: dict[str, object]) -> ListModems:
    data = request.get("data")  # PHP writes an empty object as []
    return ListModems(Fields(data, "data.").text("date_time", required=False) if isinstance(data, dict) else "")


def _echo(request: dict[str, object]) -> Echo:
    check_text(request)
    return Echo(request)


_BUILDERS: dict[str, Callable[[Fields], Command]] = {
    "send-sms": _sms,
    "send-mail": _mail,
    "send-email": _mail,
    "send-message": _message,
    "block-msisdn": lambda fields: Block(fields.receiver()),
    "unblock-msisdn": lambda fields: Unblock(fields.receiver()),
    "request-otp": _request_otp,
    "verify-otp": _verify_otp,
    "request-ussd": _ussd,
}

_WHOLE_REQUEST: dict[str, Callable[[dict[str, object]], Command]] = {
    "get-modem-list": _list_modems,
    "echo": _echo,
}
