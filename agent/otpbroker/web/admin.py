"""The admin site: one Quart application made of the parts it is given and of the pages that are there."""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import urlencode

from quart import Quart, Response, g, render_template, request
from quart.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from otpbroker.clock import Clock
from otpbroker.errors import Denied, OtpBrokerError, Rejected, Unavailable
from otpbroker.rate import TooManyAttempts
from otpbroker.web import language, wording
from otpbroker.web.cookies import FormTokens
from otpbroker.web.guard import TOKEN_FIELD, Guard
from otpbroker.web.hashing import HashingThread
from otpbroker.web.headers import harden
from otpbroker.web.live import Monitor
from otpbroker.web.pages import load_pages
from otpbroker.web.sessions import Sessions
from otpbroker.web.setup_code import SetupCode
from otpbroker.web.sign_in import SignIn
from otpbroker.web.site import (
    Balances,
    Dispatcher,
    FeederKeys,
    Feeders,
    History,
    Inbox,
    Plugged,
    SimTools,
    Site,
    Store,
)

_log = logging.getLogger(__name__)

_LANGUAGE_COOKIE = "otpbroker-language"
_YEAR = 365 * 86400


def create_admin_app(
    *,
    store: Store,
    dispatcher: Dispatcher,
    feeders: Feeders,
    feeder_keys: Callable[[], FeederKeys],
    inbox: Inbox,
    plugged: Plugged,
    monitor: Monitor,
    sessions: Sessions,
    setup_code: SetupCode,
    sim_tools: SimTools,
    balances: Balances,
    history: History,
    hashing: HashingThread,
    api_urls: Callable[[], Sequence[str]],
    clock: Clock,
    closing: asyncio.Event,
    host_names: Collection[str] = (),
) -> Quart:
    """The site for people. Live streams end when `closing` is set; the caller runs `monitor`.

    `host_names` are public names that lead here; private ones and IP addresses are always served.
    """
    site = Site(
        store=store,
        dispatcher=dispatcher,
        feeders=feeders,
        feeder_keys=feeder_keys,
        inbox=inbox,
        plugged=plugged,
        monitor=monitor,
        sessions=sessions,
        sign_in=SignIn(lambda: store.config.admin, hashing, clock),
        setup_code=setup_code,
        sim_tools=sim_tools,
        balances=balances,
        history=history,
        hashing=hashing,
        api_urls=api_urls,
        clock=clock,
        closing=closing,
    )
    guard = Guard(store, sessions, FormTokens(), host_names)
    app = Quart(__name__)
    app.config.update(MAX_CONTENT_LENGTH=64 * 1024, BODY_TIMEOUT=15, TEMPLATES_AUTO_RELOAD=False)

    @app.before_request
    async def choose_language() -> None:
        _choose_language(store.config.device.language)

    app.before_request(guard.admit)
    app.after_request(guard.leave_cookie)
    app.after_request(_finish)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(OtpBrokerError, _known_error)
    app.register_error_handler(Exception, _defect)
    _prepare_templates(app, site, guard)
    return app


def _prepare_templates(app: Quart, site: Site, guard: Guard) -> None:
    pages = load_pages()
    for page in pages:
        app.register_blueprint(page.create(site))
    menu = sorted(
        (page.NAVIGATION for page in pages if page.NAVIGATION), key=lambda navigation: navigation.position
    )
    environment = app.jinja_env
    environment.add_extension("jinja2.ext.i18n")
    environment.trim_blocks = environment.lstrip_blocks = True
    environment.install_gettext_callables(  # type: ignore[attr-defined] # the i18n extension adds it
        language.gettext, language.ngettext, newstyle=True
    )
    environment.globals.update(
        LANGUAGES=language.LANGUAGES,
        TOKEN_FIELD=TOKEN_FIELD,
        wording=wording,
        spoken=language.spoken,
        form_token=guard.form_token,
        in_language=_in_language,
    )
    # For words that are not in the template: unlike `_`, whose result counts as safe HTML, this one is escaped.
    environment.filters["translated"] = language.gettext
    environment.filters["ago"] = lambda at: wording.ago(site.clock.now() - at)
    environment.filters["again"] = lambda at: wording.again(at, site.clock.now())
    environment.filters["iso_time"] = _iso_time

    @app.context_processor
    async def frame() -> dict[str, object]:
        return {
            "menu": menu,
            "administrator": g.get("administrator"),
            "device_name": site.store.config.device.name,
        }

    # Compiled now, so that no request waits for the disk.
    for name in environment.list_templates(extensions=["html"]):
        environment.get_template(name)


def _choose_language(configured: str) -> None:
    """By `?lang=`, else the cookie, else what the browser accepts, else as configured."""
    wanted = request.args.get("lang", "")
    if wanted in language.LANGUAGES:
        g.chosen_language = wanted
    else:
        wanted = request.cookies.get(_LANGUAGE_COOKIE, "")
    if wanted not in language.LANGUAGES:
        wanted = request.accept_languages.best_match(list(language.LANGUAGES)) or configured
    language.speak(wanted)


def _in_language(code: str) -> str:
    """This page's address in another language."""
    return "?" + urlencode({"lang": code})


async def _finish(response: Response) -> Response:
    if chosen := g.get("chosen_language"):
        response.set_cookie(
            _LANGUAGE_COOKIE,
            chosen,
            max_age=_YEAR,
            path="/",
            samesite="Lax",
            httponly=True,
            secure=request.is_secure,
        )
    return harden(response, secure=request.is_secure, static=request.endpoint == "static")


def _iso_time(at: float) -> str:
    """Unix seconds as an ISO 8601 time in UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


async def _http_error(error: HTTPException) -> ResponseReturnValue:
    explained = error.code in {HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.MISDIRECTED_REQUEST}
    return await _error_page(error.code or 500, (error.description or "") if explained else "")


async def _known_error(error: OtpBrokerError) -> ResponseReturnValue:
    explanation = wording.error(error.code, error.detail)
    match error:
        case TooManyAttempts():
            response = await _error_page(HTTPStatus.TOO_MANY_REQUESTS, explanation)
            return *response, {"Retry-After": str(int(error.retry_after) + 1)}
        case Denied():
            return await _error_page(HTTPStatus.FORBIDDEN, explanation)
        case Rejected():
            return await _error_page(HTTPStatus.BAD_REQUEST, explanation)
        case Unavailable():
            return await _error_page(HTTPStatus.SERVICE_UNAVAILABLE, explanation)
        case _:
            return await _error_page(HTTPStatus.INTERNAL_SERVER_ERROR, explanation)


async def _defect(error: Exception) -> ResponseReturnValue:
    _log.error("admin site: %s broke", request.endpoint, exc_info=error)
    return await _error_page(HTTPStatus.INTERNAL_SERVER_ERROR, wording.error("internal-error"))


async def _error_page(status: int, explanation: str) -> tuple[str, int]:
    return await render_template("error.html", status=int(status), explanation=explanation), int(status)
