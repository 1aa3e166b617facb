"""`/api/v1/feeders`: how the feeders stand; they are started, stopped and refreshed. Needs the right `feeders`."""

from typing import Protocol

from quart import Blueprint, Response

from otpbroker.feeder.feeders import Act, FeederStatus
from otpbroker.web.api.exchange import read_body, require_right, respond
from otpbroker.web.api.models_feeders import Feeder, FeederAct, Feeders
from otpbroker.web.api.problem import NotFound

_RIGHT = "feeders"


class FeederControl(Protocol):
    """What is asked of the feeders."""

    @property
    def statuses(self) -> tuple[FeederStatus, ...]: ...

    async def act(self, feeder_id: str, what: Act) -> FeederStatus | None: ...


def blueprint(control: FeederControl) -> Blueprint:
    feeders = Blueprint("feeders", __name__)

    @feeders.get("/feeders")
    async def show_all() -> Response:
        require_right(_RIGHT)
        return respond(Feeders(feeders=[Feeder.of(status) for status in control.statuses]))

    @feeders.post("/feeders/<feeder_id>")
    async def act(feeder_id: str) -> Response:
        require_right(_RIGHT)
        wanted = await read_body(FeederAct)
        status = await control.act(feeder_id, wanted.do)
        if status is None:
            raise NotFound("feeder")
        return respond(Feeder.of(status))

    return feeders
