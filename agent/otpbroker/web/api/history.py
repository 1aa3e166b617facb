"""`/api/v1/modems/{id}/history`: signal and registration of the last day."""

from collections.abc import Sequence
from typing import Protocol

from quart import Blueprint, Response

from otpbroker.messaging.command import ListModems
from otpbroker.messaging.outcome import ModemList
from otpbroker.modem.history import Sample
from otpbroker.web.api.core import Core
from otpbroker.web.api.exchange import ask, read_number, respond
from otpbroker.web.api.models_history import ModemHistory, ModemSample
from otpbroker.web.api.problem import NotFound

LONGEST = 24  # hours


class History(Protocol):
    """What is known of the modems' past."""

    def of(self, modem_id: str, seconds: float) -> Sequence[Sample]: ...


def blueprint(core: Core, history: History) -> Blueprint:
    past = Blueprint("history", __name__)

    @past.get("/modems/<modem_id>/history")
    async def show(modem_id: str) -> Response:
        hours = read_number("hours", LONGEST, 1, LONGEST)
        found = await ask(core, ListModems(), ModemList)
        if all(status.id != modem_id for status in found.modems):
            raise NotFound("modem")
        samples = [ModemSample.of(sample) for sample in history.of(modem_id, hours * 3600.0)]
        return respond(ModemHistory(modem_id=modem_id, samples=samples))

    return past
