"""The paths and commands of the older products: any command on any path, the response code tells the rest."""

import asyncio
import json
from collections.abc import Callable

from quart import Blueprint, Response

from otpbroker.config.model import ApiSection, Config
from otpbroker.errors import OtpBrokerError, Rejected
from otpbroker.messaging import wire
from otpbroker.messaging.command import Origin
from otpbroker.web.api.core import Core
from otpbroker.web.api.exchange import read_octets
from otpbroker.web.api.identity import Identify

_PATHS = (
    "/api/sms",
    "/api/mail",
    "/api/email",
    "/api/message",
    "/api/otp",
    "/api/block",
    "/api/blocking",
    "/api/unblock",
    "/api/unblocking",
    "/api/modem",
    "/api/ussd",
)


def paths(settings: ApiSection) -> tuple[str, ...]:
    """Every path that takes commands: all that clients of the older products may call, and the configured ones."""
    return tuple(dict.fromkeys((*_PATHS, settings.message_path, settings.block_path, settings.unblock_path)))


def blueprint(config: Callable[[], Config], core: Core, identify: Identify) -> Blueprint:
    """The views; the paths are those of the configuration now, its `sms.wait` that of each request."""
    historic = Blueprint("historic", __name__)

    async def handle() -> Response:
        origin = await identify()
        body = await read_octets()
        try:
            envelope = wire.parse(body)
        except Rejected as error:
            return _respond(wire.refuse(error))
        wait = config().sms.wait
        if not envelope.several:
            return _respond(await _answer(core, envelope.items[0], origin, wait))
        answers = await asyncio.gather(*(_answer(core, item, origin, wait) for item in envelope.items))
        return _respond(wire.answer_several(answers))

    for path in paths(config().api):
        historic.add_url_rule(
            path, "handle", handle, methods=["POST", "PUT"], strict_slashes=False, provide_automatic_options=False
        )
    return historic


async def _answer(core: Core, item: wire.Item, origin: Origin, wait: float) -> wire.Answer:
    if isinstance(item.command, Rejected):
        return wire.answer(item, item.command)
    try:
        return wire.answer(item, await core.submit(item.command, origin, wait=wait))
    except OtpBrokerError as error:
        return wire.answer(item, error)


def _respond(answer: wire.Answer) -> Response:
    return Response(json.dumps(answer, ensure_ascii=False, indent=4), content_type="application/json")
