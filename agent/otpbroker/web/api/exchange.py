"""What every view of the modern API does with its request and response."""

from http import HTTPStatus
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from quart import Response, g, request

from otpbroker.errors import Rejected
from otpbroker.messaging.command import Command, Origin, no_right
from otpbroker.web.api.core import Core
from otpbroker.web.api.models import Body
from otpbroker.web.api.prefer import Preference
from otpbroker.web.api.problem import from_validation

Model = TypeVar("Model", bound=Body)
Answer = TypeVar("Answer")


def origin() -> Origin:
    """Whose this request is, as its credentials proved."""
    found: Origin = g.origin
    return found


def caller() -> str:
    """The user name of this request."""
    return origin().caller


def require_right(right: str) -> None:
    """Raise `Denied` unless this request's user has it."""
    if right not in origin().rights:
        raise no_right(right)


async def ask(core: Core, command: Command, expected: type[Answer], *, wait: float | None = None) -> Answer:
    """The core's result for a command of this request's caller, which is of the `expected` type."""
    result = await core.submit(command, origin(), wait=wait)
    assert isinstance(result, expected)
    return result


async def read_octets() -> bytes:
    """The body as it came; raises werkzeug's errors when it is too large or too slow."""
    return await request.get_data(cache=False, as_text=False, parse_form_data=False)


async def read_body(model: type[Model]) -> Model:
    """The request's JSON body; raises `Rejected` where it does not fit."""
    body = await read_octets()
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise from_validation(error) from None


def read_number(name: str, default: int, lowest: int, highest: int) -> int:
    """An integer of the query string."""
    given = request.args.get(name)
    if given is None:
        return default
    if not (given.isascii() and given.isdigit() and len(given) < 10 and lowest <= int(given) <= highest):
        raise Rejected("invalid-request", f"must be a number from {lowest} to {highest}", field=name)
    return int(given)


def respond(
    model: BaseModel,
    status: HTTPStatus = HTTPStatus.OK,
    *,
    location: str | None = None,
    preference: Preference = Preference(),  # noqa: B008 - frozen
) -> Response:
    """A model as JSON, with `Location` and `Preference-Applied` where they belong."""
    response = Response(model.model_dump_json(), status, content_type="application/json")
    if location is not None:
        response.headers["Location"] = location
    if preference.applied:
        response.headers["Preference-Applied"] = preference.applied
    return response
