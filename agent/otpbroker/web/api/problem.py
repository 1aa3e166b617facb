"""Errors as problem details (RFC 9457): one shape for everything that goes wrong under HTTP."""

import logging
import math
import traceback
from dataclasses import dataclass
from http import HTTPStatus

from pydantic import BaseModel, Field, ValidationError
from quart import Response
from werkzeug.exceptions import HTTPException

from otpbroker.errors import (
    Denied,
    Misconfigured,
    OtpBrokerError,
    Rejected,
    Unavailable,
    UnknownOutcome,
)
from otpbroker.messaging.limits import LimitReached
from otpbroker.rate import TooManyAttempts
from otpbroker.web.access import CHALLENGE, Unauthenticated

_log = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER = 5  # seconds; what is unavailable is mostly a modem that starts

_FAMILIES: tuple[tuple[type[OtpBrokerError], HTTPStatus], ...] = (
    (Unauthenticated, HTTPStatus.UNAUTHORIZED),
    (TooManyAttempts, HTTPStatus.TOO_MANY_REQUESTS),
    (Denied, HTTPStatus.FORBIDDEN),
    (Rejected, HTTPStatus.UNPROCESSABLE_ENTITY),
    (Unavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (Misconfigured, HTTPStatus.CONFLICT),
    (UnknownOutcome, HTTPStatus.GATEWAY_TIMEOUT),
)
_CODES = {
    "invalid-json": HTTPStatus.BAD_REQUEST,
    "not-found": HTTPStatus.NOT_FOUND,
    "otp-duplicate": HTTPStatus.CONFLICT,
    "feeder-stopped": HTTPStatus.CONFLICT,
    "receiver-limit": HTTPStatus.TOO_MANY_REQUESTS,
    "ussd-no-session": HTTPStatus.CONFLICT,
}
# The core speaks of commands; these are its words for what the requests here call otherwise.
_FIELDS = {"expiration": "expires_at"}


class Problem(BaseModel):
    """What went wrong (RFC 9457); `code` is stable, `field` a dotted path into the request."""

    type: str = Field(examples=["urn:otpbroker:problem:receiver-invalid"])
    title: str
    status: int
    detail: str
    code: str
    field: str | None = None
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class NotFound(Exception):
    """There is no such thing, or none that this caller may see."""

    what: str


def from_error(error: OtpBrokerError) -> Response:
    """The response to one of our own errors, by its family."""
    status = _CODES.get(error.code) or next(status for family, status in _FAMILIES if isinstance(error, family))
    response = _response(
        status, error.code, error.detail, _FIELDS.get(error.field or "", error.field), error.remedy
    )
    match error:
        case Unauthenticated():
            response.headers["WWW-Authenticate"] = CHALLENGE
        case TooManyAttempts():
            response.headers["Retry-After"] = str(math.ceil(error.retry_after))
        case LimitReached(retry_after=seconds):
            if math.isfinite(seconds):  # else never with the limits as they are
                response.headers["Retry-After"] = str(math.ceil(seconds))
        case Unavailable():
            response.headers["Retry-After"] = str(RETRY_AFTER)
    return response


def from_validation(error: ValidationError) -> Rejected:
    """The error of a request that does not fit its model: the first place at fault, never its value."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return Rejected("invalid-json", "the body is not JSON", remedy="send one JSON object in UTF-8")
    return Rejected("invalid-request", first["msg"], field=".".join(str(step) for step in first["loc"]) or None)


def from_http(error: HTTPException) -> Response:
    """The response to what the web framework refuses: unknown path, wrong method, too large a body."""
    status = HTTPStatus(error.code or 500)
    response = _response(status, status.phrase.lower().replace(" ", "-"), status.description or status.phrase)
    for name, value in error.get_headers():
        if name == "Allow":
            response.headers[name] = value
    return response


def from_defect(error: Exception) -> Response:
    """The response to our own mistake. Its message stays out of the log: it may hold a part of the request."""
    where = "".join(traceback.format_tb(error.__traceback__))
    _log.error("%s while answering a request\n%s", type(error).__name__, where)
    return _response(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "the device made a mistake; its log tells where")


def not_found(error: NotFound) -> Response:
    return _response(HTTPStatus.NOT_FOUND, "not-found", f"there is no such {error.what}")


def without_body(response: Response) -> Response:
    """The same status and headers alone."""
    headers = {name: response.headers[name] for name in ("Allow", "WWW-Authenticate") if name in response.headers}
    return Response("", response.status_code, headers)


def _response(
    status: HTTPStatus, code: str, detail: str, field: str | None = None, remedy: str | None = None
) -> Response:
    problem = Problem(
        type=f"urn:otpbroker:problem:{code}",
        title=status.phrase,
        status=status,
        detail=detail,
        code=code,
        field=field,
        remedy=remedy,
    )
    return Response(problem.model_dump_json(exclude_none=True), status, content_type=CONTENT_TYPE)
