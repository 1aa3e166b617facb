"""`/api/v1/modems`: what there is to send by."""

from quart import Blueprint, Response

from otpbroker.messaging.command import ListModems
from otpbroker.messaging.outcome import ModemList
from otpbroker.web.api.core import Core
from otpbroker.web.api.exchange import ask, respond
from otpbroker.web.api.models import Modem, Modems
from otpbroker.web.api.models_modem import ModemDetails
from otpbroker.web.api.problem import NotFound


def blueprint(core: Core) -> Blueprint:
    modems = Blueprint("modems", __name__)

    @modems.get("/modems")
    async def show_all() -> Response:
        result = await ask(core, ListModems(), ModemList)
        return respond(Modems(modems=[Modem.of(status) for status in result.modems]))

    @modems.get("/modems/<modem_id>")
    async def show(modem_id: str) -> Response:
        result = await ask(core, ListModems(), ModemList)
        for status in result.modems:
            if status.id == modem_id:
                return respond(ModemDetails.of(status))
        raise NotFound("modem")

    return modems
