"""`/api/v1/inbox`: what came in by SMS; for users with the right `inbox`."""

import re
from http import HTTPStatus

from quart import Blueprint, Response, request

from otpbroker.clock import Clock
from otpbroker.errors import Rejected
from otpbroker.messaging.command import SendSms
from otpbroker.messaging.received import Received
from otpbroker.web.api.core import Core, Inbox
from otpbroker.web.api.exchange import read_body, read_number, require_right, respond
from otpbroker.web.api.messages import check_modem, key_of, submit
from otpbroker.web.api.models_inbox import InboxMessage, InboxPage, Reply
from otpbroker.web.api.problem import NotFound

LONGEST_PAGE = 100


def blueprint(core: Core, inbox: Inbox, clock: Clock) -> Blueprint:
    messages = Blueprint("inbox", __name__)

    @messages.before_request
    async def admit() -> None:
        require_right("inbox")

    async def found(message_id: str) -> Received:
        received = await inbox.get(message_id)
        if received is None:
            raise NotFound("message")
        return received

    @messages.get("/inbox")
    async def show_all() -> Response:
        limit = read_number("limit", LONGEST_PAGE, 1, LONGEST_PAGE)
        after = request.args.get("after", "")
        if not re.fullmatch("[0-9a-f]{17}|", after):
            raise Rejected("invalid-request", "must be the id of a message of the inbox", field="after")
        received = await inbox.page(modem_id=request.args.get("modem_id"), after=after, limit=limit + 1)
        shown = [InboxMessage.of(each) for each in received[:limit]]
        return respond(InboxPage(messages=shown, more=len(received) > limit))

    @messages.get("/inbox/<message_id>")
    async def show(message_id: str) -> Response:
        return respond(InboxMessage.of(await found(message_id)))

    @messages.delete("/inbox/<message_id>")
    async def delete(message_id: str) -> Response:
        if not await inbox.delete(message_id):
            raise NotFound("message")
        return Response("", HTTPStatus.NO_CONTENT)

    @messages.post("/inbox/<message_id>/reply")
    async def reply(message_id: str) -> Response:
        wanted = await read_body(Reply)
        received = await found(message_id)
        await check_modem(core, received.modem_id)
        command = SendSms(
            receiver=received.answerable_sender,
            text=wanted.text,
            id=key_of(wanted.id),
            expires_at=wanted.expiry(clock.now()),
            modem_id=received.modem_id,
            status_report=wanted.status_report,
            strict_id=True,
        )
        return await submit(core, command)

    return messages
