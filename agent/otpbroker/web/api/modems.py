"""`/api/v1/modems`: what there is to send by."""

from quart import Blueprint, Response

from otpbroker.messaging.command import ListModems
from otpbroker.messaging.outcome import ModemList
from otpbroker.web.api.core import Core
from otpbroker.web.api.exchange import ask, respond
from otpbroker.web.api.models import Modem, Modems


def blueprint(core: Core) -> Blueprint:
    modems = Blueprint("modems", __name__)

    @modems.get("/modems")
    async def show_all() -> Response:
        result = await ask(core, ListModems(), ModemList)
        return respond(Modems(modems=[Modem.of(status) for status in result.modems]))

    return modems
