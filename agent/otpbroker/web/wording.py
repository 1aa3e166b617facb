"""The words for codes, states and times: message ids for the catalogues and the functions that choose them."""

import re

from otpbroker.events import FeederState, ModemState
from otpbroker.messaging.outcome import State
from otpbroker.web.language import gettext, ngettext
from otpbroker.web.language import gettext_noop as _

MODEM_STATES = {
    ModemState.INACTIVE: _("Switched off"),
    ModemState.ABSENT: _("Not connected"),
    ModemState.STARTING: _("Starting"),
    ModemState.READY: _("Ready"),
    ModemState.SENDING: _("Sending"),
    ModemState.BUSY: _("Busy"),
    ModemState.RECOVERING: _("Recovering"),
    ModemState.QUARANTINED: _("Quarantined"),
    ModemState.BLOCKED: _("Needs attention"),
}

MESSAGE_STATES = {
    State.ACCEPTED: _("Accepted"),
    State.QUEUED: _("Waiting"),
    State.SENDING: _("Sending"),
    State.SENT: _("Sent"),
    State.UNKNOWN: _("Unclear"),
    State.FAILED: _("Failed"),
    State.EXPIRED: _("Expired"),
    State.BLOCKED: _("Blocked"),
}

FEEDER_STATES = {
    FeederState.STOPPED: _("Stopped"),
    FeederState.CONNECTING: _("Connecting"),
    FeederState.CONNECTED: _("Connected"),
    FeederState.REFUSED: _("Refused"),
    FeederState.FAILED: _("Connection lost"),
}
# The colours are those of the modems' states.
FEEDER_CHIPS = {
    FeederState.STOPPED: "inactive",
    FeederState.CONNECTING: "starting",
    FeederState.CONNECTED: "ready",
    FeederState.REFUSED: "blocked",
    FeederState.FAILED: "recovering",
}
FEEDER_KINDS = {"rabbitmq": "RabbitMQ", "websocket": "WebSocket"}

REGISTRATIONS = {
    "home": _("home network"),
    "roaming": _("roaming"),
    "searching": _("searching for a network"),
    "denied": _("the network refuses this SIM"),
    "none": _("no network"),
}

SOURCES = {"rest": "REST", "amqp": "AMQP", "ws": "WebSocket", "admin": _("Admin site")}

ERRORS = {
    "begun-before": _("Another device may have sent it; it is not sent again."),
    "feeder-stopped": _("The feeder is stopped."),
    "returned": _("It was given back to the message broker."),
    "agent-died": _("The device stopped while the message was being sent."),
    "blocked": _("The receiver is on the block list."),
    "busy": _("The modem was busy."),
    "expired": _("Its time passed before a modem could send it."),
    "internal-error": _("The device made a mistake. Its log tells more."),
    "link-lost": _("The modem was lost while it was sending."),
    "message-empty": _("Write a message."),
    "message-too-long": _("The message is too long."),
    "modem-not-ready": _("This modem is not ready. See why on the overview."),
    "modem-unknown": _("There is no such modem."),
    "no-answer": _("The modem did not answer in time."),
    "no-modem": _("No modem is ready. Connect and activate one with a working SIM."),
    "no-reference": _("The modem gave no reference for the message."),
    "not-ready": _("The modem was not ready."),
    "queue-full": _("Too many messages wait already. Try again later."),
    "receiver-invalid": _("This is not a phone number. Write it as +628123456789 or 08123456789."),
    "receiver-missing": _("Write the receiver's number."),
    "setup-done": _("The administrator is there already."),
    "text-lost": _("Its text was lost when the device stopped. Send it again."),
    "too-many-attempts": _("Too many attempts. Wait a moment, then try again."),
    "too-many-logins": _("Too many log-ins at once. Try again in a few seconds."),
    "too-many-streams": _("Too many live pages are open."),
    "weak-password": _(
        "Choose a stronger password: at least 12 characters, better a phrase of several words, "
        "without your user name."
    ),
    "wrong-credentials": _("User name or password is wrong."),
    "wrong-setup-code": _("This is not the device's setup code. Each code works once; a restart prints a new one."),
}

# What a modem's detail is made of, see `trouble`.
_TROUBLES = (
    _("there is no SIM"),
    _("the SIM asks for its PIN"),
    _("the SIM asks for its PUK"),
    _("the SIM did not take the configured PIN, which is not tried again"),
    _("the SIM is not ready yet"),
    _("searching for a network"),
    _("the network refuses this SIM: is it active, and has it credit?"),
    _("not in a network: is the antenna connected, and is there coverage?"),
    _("is not there"),
    _("is used by another program"),
    _("may not be opened"),
    _("does not open"),
    _("is no serial port, or does not take these settings"),
    _("plug the modem in"),
    _("plug the modem in again"),
    _("put a SIM in and plug the modem in again"),
    _("set the modem's pin, or take the PIN off the SIM"),
    _("correct the modem's pin, or unlock the SIM in a phone"),
    _("unlock the SIM in a phone, then correct the modem's pin"),
    _("unlock it in a phone with the PUK of its card"),
    _("try the SIM in a phone"),
    _("stop it, for example ModemManager"),
    _("put the agent's user in the group dialout"),
    _("check the modem's port and baud_rate"),
)
_TROUBLE = re.compile(r"(?P<path>/\S+ )?(?P<detail>.+?)(?: \((?P<remedy>[^()]+)\))?")
_REFUSAL = re.compile(r"(cms|cme)-(\d+)")

_BARS = (-105, -95, -85, -75)  # dBm; what phones commonly draw as one to four bars
_STRENGTHS = (_("very weak"), _("weak"), _("fair"), _("good"), _("excellent"))


def bars(signal_dbm: int) -> int:
    """Received signal strength as 0 to 4 bars."""
    return sum(signal_dbm >= least for least in _BARS)


def strength(signal_dbm: int) -> str:
    return gettext(_STRENGTHS[bars(signal_dbm)])


def error(code: str | None, detail: str = "") -> str:
    """What went wrong in the reader's words; an unlisted code shows its English detail, or itself."""
    code = code or ""
    if refusal := _REFUSAL.fullmatch(code):
        shown = f"+{refusal[1].upper()} ERROR {refusal[2]}"
        return gettext("The modem or the network refused it (%(code)s).", code=shown)
    return gettext(ERRORS.get(code, detail or code))


def trouble(detail: str) -> str:
    """A modem's English detail, `[port ]what is wrong[ (remedy)]`, translated as far as it is known."""
    parts = _TROUBLE.fullmatch(detail)
    if parts is None:
        return detail
    words = (parts["path"] or "") + gettext(parts["detail"])
    return f"{words} ({gettext(parts['remedy'])})" if parts["remedy"] else words


def ago(seconds: float) -> str:
    """How long ago: `just now`, `5 minutes ago`."""
    whole = max(0, int(seconds))
    if whole < 10:
        return gettext("just now")
    if whole < 60:
        text, number = ngettext("%(num)s second ago", "%(num)s seconds ago", whole), whole
    elif whole < 3600:
        number = whole // 60
        text = ngettext("%(num)s minute ago", "%(num)s minutes ago", number)
    elif whole < 86400:
        number = whole // 3600
        text = ngettext("%(num)s hour ago", "%(num)s hours ago", number)
    else:
        number = whole // 86400
        text = ngettext("%(num)s day ago", "%(num)s days ago", number)
    return text % {"num": number}
