"""`/api/v1/blocklist`: the numbers that get no message from any modem."""

from collections.abc import Callable
from http import HTTPStatus

from quart import Blueprint, Response

from otpbroker.config.model import Config
from otpbroker.messaging.command import Block, Unblock
from otpbroker.messaging.msisdn import normalise
from otpbroker.messaging.outcome import Blocklisted
from otpbroker.web.api.core import Core
from otpbroker.web.api.exchange import ask, read_number, respond
from otpbroker.web.api.models import BlockedNumber, BlocklistPage
from otpbroker.web.api.problem import NotFound

LONGEST_PAGE = 1000


def blueprint(config: Callable[[], Config], core: Core) -> Blueprint:
    blocklist = Blueprint("blocklist", __name__)

    @blocklist.get("/blocklist")
    async def show_all() -> Response:
        offset = read_number("offset", 0, 0, 999_999_999)
        limit = read_number("limit", 100, 1, LONGEST_PAGE)
        receivers = core.blocklist.entries(offset, limit)
        return respond(BlocklistPage(count=len(core.blocklist), offset=offset, limit=limit, receivers=receivers))

    @blocklist.get("/blocklist/<receiver>")
    async def show(receiver: str) -> Response:
        number = normalise(receiver, config().device.country_code)
        if not core.blocklist.blocked(number):
            raise NotFound("blocked number")
        return respond(BlockedNumber(receiver=number))

    @blocklist.put("/blocklist/<receiver>")
    async def block(receiver: str) -> Response:
        result = await ask(core, Block(receiver), Blocklisted)
        return respond(BlockedNumber(receiver=result.receiver))

    @blocklist.delete("/blocklist/<receiver>")
    async def unblock(receiver: str) -> Response:
        await ask(core, Unblock(receiver), Blocklisted)
        return Response("", HTTPStatus.NO_CONTENT)

    return blocklist
