"""The buttons of the feeders on the overview."""

from typing import get_args

from quart import Blueprint, redirect, request, url_for
from quart.typing import ResponseReturnValue
from werkzeug.exceptions import BadRequest, NotFound

from otpbroker.feeder.feeders import Act
from otpbroker.web.site import Navigation, Site

NAVIGATION: Navigation | None = None


def create(site: Site) -> Blueprint:
    page = Blueprint("feeders", __name__)

    @page.post("/feeders/<feeder_id>")
    async def act(feeder_id: str) -> ResponseReturnValue:
        what = (await request.form).get("do")
        for known in get_args(Act):
            if what == known:
                if await site.feeders.act(feeder_id, known) is None:
                    raise NotFound
                return redirect(url_for("overview.show"), 303)
        raise BadRequest

    return page
