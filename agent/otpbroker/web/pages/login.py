"""Log in and log out."""

import logging

from quart import Blueprint, g, redirect, render_template, request, url_for
from quart.typing import ResponseReturnValue

from otpbroker.errors import Denied, Unavailable
from otpbroker.rate import TooManyAttempts
from otpbroker.web import cookies, wording
from otpbroker.web.guard import public
from otpbroker.web.site import Site

_log = logging.getLogger(__name__)

NAVIGATION = None


def create(site: Site) -> Blueprint:
    page = Blueprint("login", __name__)

    @page.get("/login")
    @public
    async def show() -> ResponseReturnValue:
        if g.administrator is not None:
            return redirect(url_for("overview.show"), 303)
        return await render_template("login.html", username="", problem="")

    @page.post("/login")
    @public
    async def enter() -> ResponseReturnValue:
        form = await request.form
        username = form.get("username", "").strip()
        address = request.remote_addr or ""
        try:
            administrator = await site.sign_in.check(username, form.get("password", ""), address)
        except (Denied, Unavailable) as error:
            _log.warning("log-in from %s refused: %s", address, error.code)
            return await _refused(username, error)
        if g.session_token:
            site.sessions.close(g.session_token)
        _log.info("administrator %s logged in from %s", administrator.username, address)
        response = redirect(url_for("overview.show"), 303)
        cookies.write(response, cookies.SESSION, site.sessions.open(administrator))
        cookies.erase(response, cookies.FORM)
        return response

    @page.post("/logout")
    async def leave() -> ResponseReturnValue:
        site.sessions.close(g.session_token)
        response = redirect(url_for("login.show"), 303)
        cookies.erase(response, cookies.SESSION)
        return response

    return page


async def _refused(username: str, error: Denied | Unavailable) -> ResponseReturnValue:
    page = await render_template("login.html", username=username, problem=wording.error(error.code))
    match error:
        case TooManyAttempts():
            return page, 429, {"Retry-After": str(int(error.retry_after) + 1)}
        case Unavailable():
            return page, 503
        case _:
            return page, 401
