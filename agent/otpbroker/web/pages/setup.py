"""The first administrator, created by who holds the device's one-time setup code."""

import logging
import re
from collections.abc import Callable, Mapping

from pydantic import TypeAdapter, ValidationError
from quart import Blueprint, g, redirect, render_template, request, url_for
from quart.typing import ResponseReturnValue

from otpbroker.config.model import Administrator, Config, Username
from otpbroker.errors import Denied, Rejected
from otpbroker.passwords import check_strength, hash_password
from otpbroker.rate import TokenBuckets, network_of
from otpbroker.web import cookies, wording
from otpbroker.web.guard import public
from otpbroker.web.language import gettext as _
from otpbroker.web.site import Site

_log = logging.getLogger(__name__)

NAVIGATION = None

_PHONE = re.compile(r"\+?[0-9][0-9 ().-]{2,18}")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,189}")
_USERNAME = TypeAdapter(Username)
_DETAILS = ("username", "name", "phone", "email")


def create(site: Site) -> Blueprint:
    page = Blueprint("setup", __name__)
    attempts = TokenBuckets(capacity=8, refill=1 / 15, clock=site.clock.monotonic)

    @page.get("/setup")
    @public
    async def show() -> ResponseReturnValue:
        return await render_template("setup.html", code="", problems={}, form={})

    @page.post("/setup")
    @public
    async def create_first() -> ResponseReturnValue:
        """With the code alone: the form for the account. With the account too: create it and log in."""
        form = await request.form
        code = form.get("code", "")
        refusal = await _check_code(site, attempts, code)
        if refusal:
            problem = {"code": wording.error(refusal)}
            status = 403 if refusal == "wrong-setup-code" else 429
            return await render_template("setup.html", code="", problems=problem, form={}), status
        if "username" not in form:
            return await render_template("setup.html", code=code, problems={}, form={})
        entered = {field: form.get(field, "").strip() for field in _DETAILS}
        problems = _problems(entered, form.get("password", ""), form.get("password_again", ""))
        if problems:
            return await render_template("setup.html", code=code, problems=problems, form=entered), 422
        password = await site.hashing.run(hash_password, form["password"])
        administrator = Administrator(password=password, **entered)
        await site.store.update(_with_first(administrator), by=administrator.username)
        await site.hashing.run(site.setup_code.spend)
        _log.info("first administrator %s created from %s", administrator.username, request.remote_addr)
        if g.session_token:
            site.sessions.close(g.session_token)
        response = redirect(url_for("overview.show"), 303)
        cookies.write(response, cookies.SESSION, site.sessions.open(administrator))
        cookies.erase(response, cookies.FORM)
        return response

    return page


async def _check_code(site: Site, attempts: TokenBuckets, code: str) -> str:
    """The code of what is wrong, empty when nothing is. Only wrong codes count as attempts."""
    place = network_of(request.remote_addr or "")
    if attempts.take(place):
        return "too-many-attempts"
    if not await site.hashing.run(site.setup_code.check, code):
        _log.warning("wrong setup code from %s", request.remote_addr)
        return "wrong-setup-code"
    attempts.give_back(place)
    return ""


def _with_first(administrator: Administrator) -> Callable[[Config], Config]:
    def change(config: Config) -> Config:
        if config.admin.administrators:
            raise Denied("setup-done", "an administrator is there already")
        admin = config.admin.model_copy(update={"administrators": (administrator,)})
        return config.model_copy(update={"admin": admin})

    return change


def _problems(entered: Mapping[str, str], password: str, again: str) -> dict[str, str]:
    """What is wrong with the form, by field."""
    problems: dict[str, str] = {}
    try:
        _USERNAME.validate_python(entered["username"])
    except ValidationError:
        problems["username"] = _("Use letters, digits and . _ @ - and begin with a letter or digit.")
    if len(entered["name"]) > 64:
        problems["name"] = _("Use at most 64 characters.")
    if entered["phone"] and not _PHONE.fullmatch(entered["phone"]):
        problems["phone"] = _("This is not a phone number.")
    if entered["email"] and not _EMAIL.fullmatch(entered["email"]):
        problems["email"] = _("This is not an e-mail address.")
    try:
        check_strength(password, entered["username"])
    except Rejected as weak:
        problems["password"] = wording.error(weak.code)
    if again != password:
        problems["password_again"] = _("The passwords differ.")
    return problems
