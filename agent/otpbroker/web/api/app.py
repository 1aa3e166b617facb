"""The web application for application servers."""

from collections.abc import Callable, Collection

from quart import Blueprint, Quart, Response, g, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, UnsupportedMediaType

from otpbroker.clock import Clock
from otpbroker.config.model import Config
from otpbroker.errors import OtpBrokerError
from otpbroker.messaging.wire import LARGEST_BODY
from otpbroker.web.access import Access, Unauthenticated
from otpbroker.web.api import blocklist, feeders, historic, history, messages, modems, openapi, otp, problem, ussd
from otpbroker.web.api.core import Core, Inbox
from otpbroker.web.api.identity import Identify, identify_with
from otpbroker.web.api.inbox import blueprint as inbox_blueprint

_PREFIX = "/api/v1"


def create_api_app(
    *,
    config: Callable[[], Config],
    core: Core,
    inbox: Inbox,
    past: history.History,
    control: feeders.FeederControl,
    access: Access,
    clock: Clock,
) -> Quart:
    """The application; one serves any number of listeners.

    A change of the configured paths needs a new one, everything else of the configuration is read as it is used.
    """
    app = Quart(__name__, static_folder=None, template_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=LARGEST_BODY, BODY_TIMEOUT=15, RESPONSE_TIMEOUT=60)
    app.url_map.merge_slashes = False
    identify = identify_with(access)

    app.register_blueprint(_modern(config, core, inbox, past, control, clock, identify), url_prefix=_PREFIX)
    app.register_blueprint(historic.blueprint(config, core, identify))
    app.add_url_rule("/ping", "ping", _ping, strict_slashes=False, provide_automatic_options=False)
    app.after_request(_harden)
    _handle_errors(app, identify, frozenset(historic.paths(config().api)))
    return app


def _modern(
    config: Callable[[], Config],
    core: Core,
    inbox: Inbox,
    past: history.History,
    control: feeders.FeederControl,
    clock: Clock,
    identify: Identify,
) -> Blueprint:
    """Everything under `/api/v1`; all but its description and the ping need credentials."""
    public = Blueprint("public", __name__)
    public.add_url_rule("/ping", "ping", _ping)
    public.add_url_rule("/openapi.json", "openapi", openapi.show)

    private = Blueprint("private", __name__)
    for part in (
        messages.blueprint(core, clock),
        otp.blueprint(core, clock),
        blocklist.blueprint(config, core),
        modems.blueprint(core),
        feeders.blueprint(control),
        inbox_blueprint(core, inbox, clock),
        history.blueprint(core, past),
        ussd.blueprint(core),
    ):
        private.register_blueprint(part)

    @private.before_request
    async def admit() -> None:
        g.origin = await identify()
        # Forms of any web page can send text or form data, but not JSON.
        if request.method == "POST" and request.mimetype != "application/json":
            raise UnsupportedMediaType

    modern = Blueprint("v1", __name__)
    modern.register_blueprint(public)
    modern.register_blueprint(private)
    return modern


def _handle_errors(app: Quart, identify: Identify, historic_paths: Collection[str]) -> None:
    """Problem details for all; but 401 and 405 of a historic path have no body, as they never had."""

    def historic_request() -> bool:
        return request.path.rstrip("/") in historic_paths

    @app.errorhandler(OtpBrokerError)
    async def own(error: OtpBrokerError) -> Response:
        response = problem.from_error(error)
        if isinstance(error, Unauthenticated) and historic_request():
            return problem.without_body(response)
        return response

    @app.errorhandler(problem.NotFound)
    async def not_found(error: problem.NotFound) -> Response:
        return problem.not_found(error)

    @app.errorhandler(MethodNotAllowed)
    async def wrong_method(error: MethodNotAllowed) -> Response:
        response = problem.from_http(error)
        if not historic_request():
            return response
        try:
            await identify()  # who calls comes before how
        except OtpBrokerError as refusal:
            return await own(refusal)
        return problem.without_body(response)

    @app.errorhandler(HTTPException)
    async def refused(error: HTTPException) -> Response:
        return problem.from_http(error)

    @app.errorhandler(Exception)
    async def defect(error: Exception) -> Response:
        return problem.from_defect(error)


async def _ping() -> Response:
    return Response("OK", content_type="text/plain")


async def _harden(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
