"""`/api/v1/ussd`: codes of the operator, for users with the right `ussd`."""

from http import HTTPStatus

from quart import Blueprint, Response

from otpbroker.errors import Rejected
from otpbroker.messaging.command import EndUssd, ReplyUssd, RunUssd
from otpbroker.messaging.outcome import UssdEnded, UssdReplied
from otpbroker.web.api.core import Core
from otpbroker.web.api.exchange import ask, read_body, require_right, respond
from otpbroker.web.api.models_ussd import Ussd, UssdReply, UssdRequest
from otpbroker.web.api.problem import NotFound


def blueprint(core: Core) -> Blueprint:
    ussd = Blueprint("ussd", __name__)

    @ussd.before_request
    async def admit() -> None:
        require_right("ussd")

    @ussd.post("/ussd")
    async def run() -> Response:
        wanted = await read_body(UssdRequest)
        return respond(Ussd.of(await ask(core, RunUssd(wanted.modem_id, wanted.code), UssdReplied)))

    @ussd.post("/ussd/<modem_id>/reply")
    async def reply(modem_id: str) -> Response:
        wanted = await read_body(UssdReply)
        try:
            return respond(Ussd.of(await ask(core, ReplyUssd(modem_id, wanted.text), UssdReplied)))
        except Rejected as error:
            raise _not_there(error) from None

    @ussd.delete("/ussd/<modem_id>")
    async def end(modem_id: str) -> Response:
        try:
            await ask(core, EndUssd(modem_id), UssdEnded)
        except Rejected as error:
            raise _not_there(error) from None
        return Response("", HTTPStatus.NO_CONTENT)

    return ussd


def _not_there(error: Rejected) -> Exception:
    """The modem is named by the path here."""
    return NotFound("modem") if error.code == "modem-unknown" else error
