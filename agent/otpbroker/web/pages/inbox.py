"""What came in by SMS: read, answered, deleted."""

import secrets

from quart import Blueprint, redirect, render_template, request, url_for
from quart.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from otpbroker.errors import Misconfigured, Rejected, Unavailable
from otpbroker.messaging.command import Origin, SendSms
from otpbroker.messaging.outcome import Outcome
from otpbroker.messaging.received import Received
from otpbroker.web import wording
from otpbroker.web.language import gettext_noop as _
from otpbroker.web.pages.sms import WAIT
from otpbroker.web.site import Navigation, Site, administrator

NAVIGATION = Navigation(_("Inbox"), "inbox.show", position=30)

PAGE = 25


def create(site: Site) -> Blueprint:
    page = Blueprint("inbox", __name__)

    async def names() -> dict[str, str]:
        return {modem.id: modem.name or modem.id for modem in await site.modems()}

    async def found(message_id: str) -> Received:
        received = await site.inbox.get(message_id)
        if received is None:
            raise NotFound
        return received

    async def message_page(received: Received, problem: str = "") -> str:
        """One message; its reply is not shown again, as with every text that goes out."""
        return await render_template(
            "inbox_message.html",
            received=received,
            names=await names(),
            problem=problem,
            reply_id=secrets.token_urlsafe(12),
        )

    @page.get("/inbox")
    async def show() -> ResponseReturnValue:
        messages = await site.inbox.page(before=request.args.get("before", ""), limit=PAGE + 1, newest_first=True)
        return await render_template(
            "inbox.html",
            messages=messages[:PAGE],
            older=messages[PAGE - 1].id if len(messages) > PAGE else "",
            names=await names(),
            settings=site.store.config.inbox,
        )

    @page.get("/inbox/<message_id>")
    async def read(message_id: str) -> ResponseReturnValue:
        return await message_page(await found(message_id))

    @page.post("/inbox/<message_id>/delete")
    async def delete(message_id: str) -> ResponseReturnValue:
        await site.inbox.delete(message_id)
        return redirect(url_for("inbox.show"), 303)

    @page.post("/inbox/<message_id>/reply")
    async def reply(message_id: str) -> ResponseReturnValue:
        received = await found(message_id)
        form = await request.form
        text = form.get("message", "").replace("\r\n", "\n")
        try:
            command = SendSms(
                received.answerable_sender, text, id=form.get("id") or None, modem_id=received.modem_id
            )
            result = await site.dispatcher.submit(command, Origin("admin", administrator().username), wait=WAIT)
        except (Rejected, Unavailable, Misconfigured) as error:
            status = 422 if isinstance(error, Rejected) else 503
            return await message_page(received, wording.error(error.code, error.detail)), status
        assert isinstance(result, Outcome)
        return redirect(url_for("sms.result", message_id=result.id), 303)

    return page
