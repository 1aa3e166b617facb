"""The OpenAPI 3.1 description of `/api/v1`, made of the models that check its requests and responses."""

import json
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from quart import Response

from otpbroker import __version__
from otpbroker.web.api import inbox, models, models_feeders, models_history, models_inbox, models_modem, models_ussd
from otpbroker.web.api.blocklist import LONGEST_PAGE
from otpbroker.web.api.history import LONGEST as LONGEST_HISTORY
from otpbroker.web.api.problem import CONTENT_TYPE, Problem

Json = dict[str, Any]  # JSON by its nature

_REQUESTS: tuple[type[BaseModel], ...] = (
    models.MessageRequest,
    models.OtpRequest,
    models.OtpVerification,
    models_feeders.FeederAct,
    models_inbox.Reply,
    models_ussd.UssdRequest,
    models_ussd.UssdReply,
)
_RESPONSES: tuple[type[BaseModel], ...] = (
    models.Message,
    models.Otp,
    models.OtpVerdict,
    models.BlockedNumber,
    models.BlocklistPage,
    models.Modems,
    models_feeders.Feeders,
    models_modem.ModemDetails,
    models_inbox.InboxMessage,
    models_inbox.InboxPage,
    models_history.ModemHistory,
    models_ussd.Ussd,
    Problem,
)
_PROBLEMS = {
    "400": "the body is not JSON",
    "401": "credentials are missing or wrong",
    "403": "the caller may not do this",
    "404": "there is no such thing",
    "409": "it conflicts with what the device has or how it is set up",
    "413": "the body is too large",
    "415": "the body is not application/json",
    "422": "a field is wrong; `field` names it",
    "429": "too many failed log-ins; wait `Retry-After` seconds",
    "503": "not now; try again after `Retry-After` seconds",
    "504": "the network did not answer in time; it may have done what was asked",
}
_ALWAYS = ("401", "403", "429", "503")
_WITH_BODY = ("400", "413", "415", "422")

_PREFER = {
    "name": "Prefer",
    "in": "header",
    "schema": {"type": "string"},
    "example": "wait=30",
    "description": "RFC 7240: `wait=n` waits up to n seconds (at most 55) for the outcome",
}
_LOCATION = {"Location": {"schema": {"type": "string"}, "description": "where the message's state can be read"}}
_APPLIED = {"Preference-Applied": {"schema": {"type": "string"}}}


async def show() -> Response:
    """The document; it tells nothing of this device and needs no credentials."""
    return Response(_document(), content_type="application/json")


@cache
def _document() -> str:
    return json.dumps(_describe(), ensure_ascii=False)


def _describe() -> Json:
    _, schemas = models_json_schema(
        [(model, "validation") for model in _REQUESTS] + [(model, "serialization") for model in _RESPONSES],
        ref_template="#/components/schemas/{model}",
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "OTP Broker",
            "version": __version__,
            "description": "Send one-time passwords and other short messages by the modems of this device.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/api/v1"}],
        "security": [{"basic": []}],
        "paths": _paths(),
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}},
        },
    }


def _paths() -> Json:
    message_states = {
        "200": _gives(models.Message, "an earlier request had this id; its final outcome", _LOCATION | _APPLIED),
        "201": _gives(models.Message, "the final outcome, see `state`", _LOCATION | _APPLIED),
        "202": _gives(models.Message, "accepted, not final yet", _LOCATION | _APPLIED),
    }
    otp_states = {
        "201": _gives(models.Otp, "the final outcome of its message, see `message.state`", _LOCATION | _APPLIED),
        "202": _gives(models.Otp, "accepted, its message is not final yet", _LOCATION | _APPLIED),
    }
    idempotency = {
        "name": "Idempotency-Key",
        "in": "header",
        "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
        "description": "the same as `id` in the body",
    }
    receiver = _in_path("receiver", "a telephone number, national or international")
    receiver["schema"]["pattern"] = "^[+]?[0-9]{5,14}$"
    return {
        "/messages": {
            "post": _operation(
                "sendMessage",
                "Send a short message",
                message_states,
                (*_WITH_BODY,),
                [_PREFER, idempotency],
                models.MessageRequest,
            )
        },
        "/messages/{id}": {
            "get": _operation(
                "getMessage",
                "The state of a message that this caller sent",
                {"200": _gives(models.Message, "its state", _APPLIED)},
                ("404",),
                [_in_path("id", "from the response to its request"), _PREFER],
            )
        },
        "/otp": {
            "post": _operation(
                "requestOtp",
                "Make a one-time password and send it",
                otp_states,
                (*_WITH_BODY, "409"),
                [_PREFER],
                models.OtpRequest,
            )
        },
        "/otp/{reference}/verify": {
            "post": _operation(
                "verifyOtp",
                "Verify a one-time password; a valid one is spent",
                {"200": _gives(models.OtpVerdict, "the verdict")},
                _WITH_BODY,
                [_in_path("reference", "of the request")],
                models.OtpVerification,
            )
        },
        "/blocklist": {
            "get": _operation(
                "listBlocked",
                "Numbers that get no message, a page of them",
                {"200": _gives(models.BlocklistPage, "the page")},
                ("422",),
                [_in_query("offset", 0, 0, 999_999_999), _in_query("limit", 100, 1, LONGEST_PAGE)],
            )
        },
        "/blocklist/{receiver}": {
            "get": _operation(
                "getBlocked",
                "Whether a number is blocked",
                {"200": _gives(models.BlockedNumber, "it is")},
                ("404", "422"),
                [receiver],
            ),
            "put": _operation(
                "block",
                "Block a number; again is no error",
                {"200": _gives(models.BlockedNumber, "it is blocked")},
                ("404", "422"),
                [receiver],
            ),
            "delete": _operation(
                "unblock",
                "Unblock a number; again is no error",
                {"204": {"description": "it is not blocked"}},
                ("404", "422"),
                [receiver],
            ),
        },
        **_inbox_paths(message_states, idempotency),
        "/modems": {"get": _operation("listModems", "The modems", {"200": _gives(models.Modems, "all")}, (), [])},
        "/feeders": {
            "get": _operation(
                "listFeeders",
                "The feeders; needs the right `feeders`",
                {"200": _gives(models_feeders.Feeders, "all")},
                (),
                [],
            )
        },
        "/feeders/{id}": {
            "post": _operation(
                "controlFeeder",
                "Start, stop or refresh a feeder; needs the right `feeders`",
                {"200": _gives(models_feeders.Feeder, "how it stands now")},
                (*_WITH_BODY, "404"),
                [_in_path("id", "of the feeder")],
                models_feeders.FeederAct,
            )
        },
        "/modems/{modem_id}": {
            "get": _operation(
                "getModem",
                "One modem: its counts and its health",
                {"200": _gives(models_modem.ModemDetails, "the modem")},
                ("404",),
                [_in_path("modem_id", "as the list of modems tells it")],
            )
        },
        "/modems/{modem_id}/history": {
            "get": _operation(
                "getModemHistory",
                "Signal and registration of a modem in the last hours",
                {"200": _gives(models_history.ModemHistory, "its history")},
                ("404", "422"),
                [_in_path("modem_id", "of the list"), _in_query("hours", LONGEST_HISTORY, 1, LONGEST_HISTORY)],
            )
        },
        "/ussd": {
            "post": _operation(
                "runUssd",
                "Run a USSD code on a modem; needs the right `ussd`",
                {"200": _gives(models_ussd.Ussd, "what the network answered")},
                (*_WITH_BODY, "504"),
                [],
                models_ussd.UssdRequest,
            )
        },
        "/ussd/{modem_id}/reply": {
            "post": _operation(
                "replyUssd",
                "Reply in the session that the caller has open on a modem",
                {"200": _gives(models_ussd.Ussd, "what the network answered")},
                (*_WITH_BODY, "404", "409", "504"),
                [_in_path("modem_id", "of the request")],
                models_ussd.UssdReply,
            )
        },
        "/ussd/{modem_id}": {
            "delete": _operation(
                "endUssd",
                "End the session that the caller has open on a modem; again is no error",
                {"204": {"description": "there is none"}},
                ("404",),
                [_in_path("modem_id", "of the request")],
            )
        },
        "/ping": {
            "get": {
                "operationId": "ping",
                "summary": "Whether the API answers",
                "security": [],
                "responses": {
                    "200": {
                        "description": "it does",
                        "content": {"text/plain": {"schema": {"type": "string", "const": "OK"}}},
                    }
                },
            }
        },
    }


def _inbox_paths(message_states: Json, idempotency: Json) -> Json:
    """They need the right `inbox`."""
    message = _in_path("id", "from the list")
    cursor = {"type": "string", "pattern": "^[0-9a-f]{17}$"}
    return {
        "/inbox": {
            "get": _operation(
                "listReceived",
                "What came in by SMS, in order of arrival",
                {"200": _gives(models_inbox.InboxPage, "a page of it")},
                ("422",),
                [
                    _query("modem_id", {"type": "string"}, "of this modem alone"),
                    _query("after", cursor, "the id of the last message that is known"),
                    _in_query("limit", inbox.LONGEST_PAGE, 1, inbox.LONGEST_PAGE),
                ],
            )
        },
        "/inbox/{id}": {
            "get": _operation(
                "getReceived",
                "One message",
                {"200": _gives(models_inbox.InboxMessage, "the message")},
                ("404",),
                [message],
            ),
            "delete": _operation(
                "deleteReceived",
                "Delete a message from the device",
                {"204": {"description": "it is gone"}},
                ("404",),
                [message],
            ),
        },
        "/inbox/{id}/reply": {
            "post": _operation(
                "replyToReceived",
                "Send a message to the sender, by the modem that received",
                message_states,
                (*_WITH_BODY, "404"),
                [message, _PREFER, idempotency],
                models_inbox.Reply,
            )
        },
    }


def _operation(
    name: str,
    summary: str,
    responses: Json,
    problems: tuple[str, ...],
    parameters: list[Json],
    body: type[BaseModel] | None = None,
) -> Json:
    described: Json = {
        "operationId": name,
        "summary": summary,
        "parameters": parameters,
        "responses": responses | {code: _problem(code) for code in sorted({*problems, *_ALWAYS})},
    }
    if body is not None:
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": _ref(body)}}}
    return described


def _gives(model: type[BaseModel], description: str, headers: Json | None = None) -> Json:
    given: Json = {"description": description, "content": {"application/json": {"schema": _ref(model)}}}
    return given | {"headers": headers} if headers else given


def _problem(code: str) -> Json:
    return {"description": _PROBLEMS[code], "content": {CONTENT_TYPE: {"schema": _ref(Problem)}}}


def _ref(model: type[BaseModel]) -> Json:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _in_path(name: str, description: str) -> Json:
    schema = {"type": "string", "minLength": 1, "maxLength": 64}
    return {"name": name, "in": "path", "required": True, "schema": schema, "description": description}


def _in_query(name: str, default: int, lowest: int, highest: int) -> Json:
    return _query(name, {"type": "integer", "default": default, "minimum": lowest, "maximum": highest})


def _query(name: str, schema: Json, description: str = "") -> Json:
    described = {"name": name, "in": "query", "schema": schema}
    return described | {"description": description} if description else described
