"""Send a test SMS by a chosen modem and tell honestly what became of it."""

import secrets

from quart import Blueprint, redirect, render_template, request, url_for
from quart.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from otpbroker.errors import Misconfigured, Rejected, Unavailable
from otpbroker.messaging.command import Origin, SendSms
from otpbroker.messaging.outcome import Outcome
from otpbroker.sms import gsm7
from otpbroker.web import wording
from otpbroker.web.language import gettext_noop as _
from otpbroker.web.site import Navigation, Site, administrator

NAVIGATION = Navigation(_("Send a test SMS"), "sms.show", position=20)

# Seconds: what a person waits for; the result page tells the rest.
WAIT = 30.0


def create(site: Site) -> Blueprint:
    page = Blueprint("sms", __name__)

    async def form_page(modem_id: str = "", receiver: str = "", problem: str = "") -> str:
        """The form. It never holds the text again: that is seen by its receiver alone."""
        return await render_template(
            "sms.html",
            modems=await site.modems(),
            modem_id=modem_id,
            receiver=receiver,
            problem=problem,
            message_id=secrets.token_urlsafe(12),
            max_parts=site.store.config.sms.max_parts,
            gsm7_basic=gsm7.BASIC.replace("\x1b", ""),
            gsm7_extension="".join(gsm7.EXTENSION.values()).replace("\f", ""),
        )

    @page.get("/sms")
    async def show() -> ResponseReturnValue:
        return await form_page(request.args.get("modem", ""))

    @page.post("/sms")
    async def send() -> ResponseReturnValue:
        form = await request.form
        modem_id, receiver = form.get("modem", ""), form.get("receiver", "").strip()
        # The browser's line ends cost a character more than the one a phone shows.
        text = form.get("message", "").replace("\r\n", "\n")
        # The form's own id: a form that is sent twice is one message.
        command = SendSms(receiver, text, id=form.get("id") or None, modem_id=modem_id)
        try:
            result = await site.dispatcher.submit(command, Origin("admin", administrator().username), wait=WAIT)
        except (Rejected, Unavailable, Misconfigured) as error:
            status = 422 if isinstance(error, Rejected) else 503
            return await form_page(modem_id, receiver, wording.error(error.code, error.detail)), status
        match result:
            case Outcome(id=message_id):
                return redirect(url_for("sms.result", message_id=message_id), 303)
            case other:
                raise TypeError(f"an outcome was expected, not {type(other).__name__}")

    @page.get("/sms/<message_id>")
    async def result(message_id: str) -> ResponseReturnValue:
        outcome = await site.dispatcher.outcome(message_id, caller=None)
        if outcome is None:
            raise NotFound
        names = {modem.id: modem.name or modem.id for modem in await site.modems()}
        return await render_template("sms_result.html", outcome=outcome, names=names)

    return page
