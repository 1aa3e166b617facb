"""`/api/v1/messages`: send a short message and learn what became of it."""

from http import HTTPStatus

from quart import Blueprint, Response, request

from otpbroker.clock import Clock
from otpbroker.errors import Denied, Rejected
from otpbroker.messaging.command import ListModems, SendSms
from otpbroker.messaging.outcome import ModemList, Outcome
from otpbroker.web.api.core import Core
from otpbroker.web.api.exchange import ask, caller, read_body, respond
from otpbroker.web.api.models import Message, MessageRequest
from otpbroker.web.api.prefer import parse_prefer
from otpbroker.web.api.problem import NotFound


def blueprint(core: Core, clock: Clock) -> Blueprint:
    messages = Blueprint("messages", __name__)

    @messages.post("/messages")
    async def send() -> Response:
        wanted = await read_body(MessageRequest)
        if wanted.modem_id is not None:
            await check_modem(core, wanted.modem_id)
        command = SendSms(
            receiver=wanted.receiver,
            text=wanted.text,
            id=key_of(wanted.id),
            expires_at=wanted.expiry(clock.now()),
            modem_id=wanted.modem_id,
            status_report=wanted.status_report,
            strict_id=True,
        )
        return await submit(core, command)

    @messages.get("/messages/<message_id>")
    async def show(message_id: str) -> Response:
        preference = parse_prefer(request.headers.get("Prefer"))
        outcome = await core.outcome(message_id, caller=caller(), wait=preference.wait or 0.0)
        if outcome is None:
            raise NotFound("message")
        return respond(Message.of(outcome), preference=preference)

    return messages


async def submit(core: Core, command: SendSms) -> Response:
    """The response to a message of this request, which may say by `Prefer` how long it waits."""
    preference = parse_prefer(request.headers.get("Prefer"))
    try:
        outcome = await ask(core, command, Outcome, wait=preference.wait)
    except Rejected as error:
        if error.field == "message":  # the core's word for it
            error.field = "text"
        raise
    return respond(
        Message.of(outcome),
        status_of(outcome),
        location=f"/api/v1/messages/{outcome.id}",
        preference=preference,
    )


def status_of(outcome: Outcome) -> HTTPStatus:
    """201 for a new message whose outcome is final, 200 for a repeated one, 202 while it is open."""
    if not outcome.state.final:
        return HTTPStatus.ACCEPTED
    return HTTPStatus.OK if outcome.duplicate else HTTPStatus.CREATED


def key_of(body_id: str | None) -> str | None:
    """The idempotency key from the body or the `Idempotency-Key` header, which may be in quotes (RFC 8941)."""
    header = request.headers.get("Idempotency-Key")
    if header is None:
        return body_id
    key = header[1:-1] if len(header) > 1 and header[0] == header[-1] == '"' else header
    if not 1 <= len(key) <= 128 or not key.isascii() or not key.isprintable() or " " in key:
        raise Rejected("invalid-request", "must be 1 to 128 visible ASCII characters", field="Idempotency-Key")
    if body_id not in {None, key}:
        raise Rejected("invalid-request", "differs from the Idempotency-Key header", field="id")
    return key


async def check_modem(core: Core, modem_id: str) -> None:
    """A named modem carries any message; so its flag for messages of the API is checked here."""
    found = await ask(core, ListModems(), ModemList)
    modem = next((status for status in found.modems if status.id == modem_id), None)
    if modem is None:
        raise Rejected("modem-unknown", "there is no modem with this id", field="modem_id")
    if not modem.send_from_api:
        raise Denied(
            "modem-not-for-api",
            "this modem takes no messages from the API",
            field="modem_id",
            remedy="choose another",
        )
