"""The words for codes, states and times: message ids for the catalogues and the functions that choose them."""

import re
from datetime import datetime

from otpbroker.events import Fault, FeederState, Incident, ModemState, RecoveryStep
from otpbroker.messaging.outcome import Arrival, State
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

FAULTS = {
    Fault.SILENT: _("did not answer"),
    Fault.DEAF: _("did not answer at all"),
    Fault.RESTARTED: _("restarted by itself"),
    Fault.REFUSING: _("refused every message"),
    Fault.UNWILLING: _("refused to be set up"),
    Fault.DEAD_PORT: _("its port did not open"),
    Fault.HANGS_UP: _("its port hung up again and again"),
    Fault.DROPS_OUT: _("left the USB whenever it sent"),
}

STEPS = {
    RecoveryStep.RESYNC: _("asking it until it answers"),
    RecoveryStep.RADIO: _("leaving the network and coming back"),
    RecoveryStep.REOPEN: _("opening its port anew"),
    RecoveryStep.USB_RESET: _("resetting its USB device"),
    RecoveryStep.PORT_POWER: _("switching its USB port off and on"),
    RecoveryStep.QUARANTINE: _("leaving it alone for a while"),
}

ARRIVALS = {
    Arrival.WAITING: _("no report yet"),
    Arrival.RETRYING: _("the network still tries"),
    Arrival.DELIVERED: _("delivered"),
    Arrival.EXPIRED: _("not delivered in time"),
    Arrival.FAILED: _("not delivered"),
}

REGISTRATIONS = {
    "home": _("home network"),
    "roaming": _("roaming"),
    "searching": _("searching for a network"),
    "denied": _("the network refuses this SIM"),
    "none": _("no network"),
}

# What an administrator should know of a modem though it works, and of one that is not there.
NOTES = {
    "brownout": _("It restarts by itself, leaves the USB or complains of its voltage: give it a powered USB hub."),
    "sim-moved": _("Its SIM is in another modem than before, and sends from there."),
    "sim-changed": _("Its modem has another SIM now. Nothing is sent by that until you choose it."),
    "no-reports": _(
        "No delivery report ever came back through this modem: its network or the stick may have none."
    ),
    "store-full": _("The SIM's memory for messages is nearly full. When it is full nothing comes in any more."),
    "cap-reached": _("It has sent as much as its limits allow."),
    "paused": _("It rests between two messages."),
}

FOUND_KINDS = {
    "modem": _("Modem"),
    "hilink": _("Modem as a network card"),
    "storage": _("Modem as a drive"),
    "adapter": _("Serial adapter"),
    "unknown": _("Unknown serial port"),
}

# What stands between a found device and its use.
FOUND_TROUBLES = {
    "hilink": _(
        "In HiLink mode it shows itself as a network card and has no port for messages. "
        "Use another stick, or give it firmware with a serial port."
    ),
    "storage": _(
        "It shows itself as a drive. Wait a few seconds; if it stays so, plug it in again. "
        "A stick that stays a drive is not known to usb_modeswitch."
    ),
    "adapter": _("It is not opened by itself: anything may hang on it. If it is a modem, set it up by its socket."),
    "unknown": _("It is not opened by itself: it may be anything. If it is a modem, set it up by its socket."),
    "silent": _("It does not answer. It is asked again from time to time; plug it in again if that lasts."),
    "busy": _("Its port is used by another program, for example ModemManager. Stop that."),
    "denied": _("Its port may not be opened. Put the agent's user in the group dialout."),
    "sim-absent": _("There is no SIM in it. Put one in, then plug it in again."),
    "sim-locked": _("Its SIM asks for the PIN."),
    "sim-blocked": _("Its SIM asks for the PUK, or is defect. Try it in a phone."),
}

SIM_STATES = {
    "READY": _("open"),
    "SIM PIN": _("it asks for its PIN"),
    "SIM PUK": _("it asks for its PUK"),
    "SIM not inserted": _("there is no SIM"),
    "SIM busy": _("the SIM is not ready yet"),
}

# What was done on the page of a SIM.
SIM_ACTS = {
    "enter": _("The SIM is open, and its PIN is in the configuration."),
    "on": _("The SIM asks for its PIN at each start from now on."),
    "off": _("The SIM does not ask for its PIN any more."),
    "change": _("The PIN was changed, in the configuration too."),
    "unblock": _("The SIM is open again, with its new PIN."),
    "smsc": _("The message centre was set."),
    "balance": _("The network told the balance."),
    "end": _("The session is over."),
}

SOURCES = {"rest": "REST", "amqp": "AMQP", "ws": "WebSocket", "admin": _("Admin site")}

ERRORS = {
    "begun-before": _("Another device may have sent it; it is not sent again."),
    "feeder-stopped": _("The feeder is stopped."),
    "returned": _("It was given back to the message broker."),
    "agent-died": _("The device stopped while the message was being sent."),
    "balance-not-configured": _(
        "The code for the balance of this operator is not known: set the modem's balance.ussd and balance.pattern."
    ),
    "balance-not-found": _(
        "The operator's answer holds no amount where it is looked for. Run the code by hand, then correct the "
        "modem's balance.pattern."
    ),
    "blocked": _("The receiver is on the block list."),
    "busy": _("The modem was busy."),
    "config-has-mistakes": _("The configuration has mistakes, and nothing was changed. Correct them first."),
    "cap-reached": _("Every modem for it has reached its limit. Try again later, or raise the limits."),
    "expired": _("Its time passed before a modem could send it."),
    "internal-error": _("The device made a mistake. Its log tells more."),
    "link-lost": _("The modem was lost while it was sending."),
    "message-empty": _("Write a message."),
    "message-too-long": _("The message is too long."),
    "found-gone": _("This device is not plugged in any more, or has another SIM now."),
    "modem-busy": _("The modem is busy with a message. Try again in a moment."),
    "modem-restarted": _("The modem restarted while it was sending."),
    "modem-not-ready": _("This modem is not ready. See why on the overview."),
    "modem-unknown": _("There is no such modem."),
    "no-answer": _("The modem did not answer in time."),
    "no-modem": _("No modem is ready. Connect and activate one with a working SIM."),
    "no-reference": _("The modem gave no reference for the message."),
    "not-saved": _("The configuration could not be written."),
    "not-ready": _("The modem was not ready."),
    "pin-already": _("So it is already."),
    "pin-invalid": _("A PIN has 4 to 8 digits."),
    "pin-off": _("The PIN is off. It can only be changed when it is on."),
    "pin-tries-hidden": _(
        "A PIN was refused, and this modem does not tell how many tries are left. Put the SIM into a phone."
    ),
    "pin-wrong": _("The SIM did not take this PIN."),
    "pins-differ": _("The two new PINs differ."),
    "puk-invalid": _("A PUK has 8 digits."),
    "puk-refused-before": _("The SIM refused a PUK before. Ask the operator for the right one, and use a phone."),
    "puk-wrong": _("The SIM did not take this PUK."),
    "queue-full": _("Too many messages wait already. Try again later."),
    "receiver-invalid": _("This is not a phone number. Write it as +628123456789 or 08123456789."),
    "receiver-missing": _("Write the receiver's number."),
    "sender-no-number": _("The sender is a name: it takes no reply."),
    "setup-done": _("The administrator is there already."),
    "sim-last-try": _("Only one try is left, and it is not used here. Put the SIM into a phone."),
    "sim-state": _("The SIM is not in the state for this. Ask it first."),
    "sim-unclear": _("The modem did not answer. Ask the SIM before you try anything else."),
    "smsc-invalid": _("This is not a number such as +62811000000."),
    "text-lost": _("Its text was lost when the device stopped. Send it again."),
    "too-many-attempts": _("Too many attempts. Wait a moment, then try again."),
    "too-many-logins": _("Too many log-ins at once. Try again in a few seconds."),
    "too-many-streams": _("Too many live pages are open."),
    "ussd-busy": _("A USSD session is open on this modem. Try again in a moment."),
    "ussd-code-invalid": _("A code has digits, *, # and + only."),
    "ussd-code-of-sim": _("This code changes the SIM's PIN. Do that below."),
    "ussd-no-session": _("The session is over. Begin with the code again."),
    "ussd-not-supported": _("The network does not know this code."),
    "ussd-other-client": _("Another program on the modem took the session."),
    "ussd-reply-invalid": _("A reply has letters, digits, spaces and common signs only."),
    "ussd-stopped": _("The modem was lost before the network answered. The code may have been carried out."),
    "ussd-terminated": _("The network ended the session without an answer."),
    "ussd-timeout": _("The network did not answer in time. The code may have been carried out."),
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
    _("no modem has the SIM {}"),
    _("no modem has the IMEI {}"),
    _("no modem is in USB socket {}"),
    _("the modem in USB socket {} has another SIM, {}"),
    _("USB socket {} has another modem, IMEI {}"),
    _("the modem in USB socket {} does not answer"),
    _("modem {} uses what is in USB socket {}"),
    _("USB socket {} has a stick in HiLink mode, a network card without a port for messages"),
    _("USB socket {} has a stick that shows itself as a drive"),
    _("its SIM is in another modem"),
    _("has another modem or SIM than the configured one"),
    _("put the right SIM in, or choose the new one on the page Modems"),
    _("plug the right one in"),
    _("use another stick, or give it firmware with a serial port"),
    _("plug it in again; if it stays a drive, usb_modeswitch does not know it"),
    _("correct the modem's iccid, imsi and imei, or plug the right one in"),
    _("did not answer to a message, whose answer may still come"),
    _("did not answer as it should, and is being brought back"),
    _("does not answer, and is being brought back"),
    _("has restarted by itself, and is being set up again"),
    _("refuses every message, and is being brought back"),
    _("refuses what it has to do, and is being brought back"),
    _("its port does not open, and its device is being brought back"),
    _("its port hangs up again and again, and its device is being brought back"),
    _("leaves the bus whenever it sends: does it get enough power?"),
    _("refuses every message: has its SIM credit? It is tried again from time to time"),
    _("nothing brought it back, it is tried again from time to time"),
    _("its device did not come back"),
    _("its port hung up, and is opened anew"),
    _("the SIM has no SMS service centre: set the modem's smsc"),
    _("stopped"),
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
    _("the SIM's PIN was being changed when the agent stopped: which one is right is not known"),
    _("enter the PIN on the SIM page"),
    _("stop it, for example ModemManager"),
    _("put the agent's user in the group dialout"),
    _("check the modem's port and baud_rate"),
)
# What a feeder's detail is made of, see `feeder_trouble`.
_FEEDER_TROUBLES = (
    _("stopped by hand"),
    _("no modem is ready, nothing is taken"),
    _("every modem has reached its limit, nothing is taken"),
    _("messages wait that are too long for what the limits leave, or whose modem is not ready"),
    _("so many that others may wait too"),
    _("the broker refused user name and password"),
    _("the broker's certificate is not trusted"),
    _("the connection to the broker was lost"),
    _("the broker takes nothing now, not even acknowledgements"),
    _("the broker ended the consumer"),
    _("the queue is gone"),
    _("dead letters are not taken"),
    _("dead letters come back into the queue, and are dropped"),
    _("let their exchange lead elsewhere"),
    _("answers are not taken"),
    _("the broker could not take a message over"),
    _("status events are not taken"),
    _("there is no host of this name"),
    _("what is there does not answer"),
    _("what answers there does not speak AMQP, or is just starting or ending"),
    _("the connection broke"),
    _("no heartbeat"),
    _("correct username and password"),
    _("correct vhost, or give the user the right to it"),
    _("give the user the right to it, at the broker"),
    _("set tls.ca to the authority that signed it, or tls.server_name to the name in it"),
    _("make it with otpbroker rabbitmq setup, or remove the setting claims"),
)
_BETWEEN = re.compile(r"(; |: | \(|\)$)")
_TROUBLE = re.compile(r"(?P<path>/\S+ )?(?P<detail>.+?)(?: \((?P<remedy>[^()]+)\))?")
# The end of a SIM's or modem's number, a USB socket, the name of a modem.
_VARIABLE = re.compile(r"\.\.\.\d+|(?<![\w.])\d+-\d+(?:\.\d+)*|(?<=modem )[A-Za-z0-9_.-]+(?= uses )")
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
    words = (parts["path"] or "") + "; ".join(_filled(detail) for detail in parts["detail"].split("; "))
    return f"{words} ({gettext(parts['remedy'])})" if parts["remedy"] else words


def feeder_trouble(detail: str) -> str:
    """A feeder's English detail, made of our words and the broker's, translated as far as it is known."""
    return "".join(gettext(part) if part in _FEEDER_TROUBLES else part for part in _BETWEEN.split(detail))


def _filled(detail: str) -> str:
    """Translated with what varies left as it is."""
    variables = iter(_VARIABLE.findall(detail))
    return re.sub(r"\{\}", lambda _: next(variables, ""), gettext(_VARIABLE.sub("{}", detail)))


def device(manufacturer: str, model: str) -> str:
    """What a device calls itself; makers like to put their name into both."""
    return model if model.lower().startswith(manufacturer.lower()) else f"{manufacturer} {model}".strip()


def note(code: str) -> str:
    """What an administrator should know of a modem; an unlisted code shows itself."""
    return gettext(NOTES.get(code, code))


def incident(told: Incident) -> str:
    """What happened to a modem, and what cured it after how long."""
    fault = gettext(FAULTS[told.fault])
    if told.seconds is None:
        return gettext("%(fault)s; not over yet", fault=fault)
    seconds = f"{told.seconds:.1f}" if told.seconds < 100 else f"{told.seconds:.0f}"
    if told.cured_by is None:
        return gettext("%(fault)s; pulled out after %(seconds)s s", fault=fault, seconds=seconds)
    step = gettext(STEPS[told.cured_by])
    return gettext("%(fault)s; back after %(seconds)s s by %(step)s", fault=fault, seconds=seconds, step=step)


def again(at: float, now: float) -> str:
    """When a modem that is held back may send again; on the device's clock, as its limits are."""
    then, today = datetime.fromtimestamp(at).astimezone(), datetime.fromtimestamp(now).astimezone().date()
    shown = f"{then:%H:%M:%S}" if then.date() == today else f"{then:%Y-%m-%d %H:%M}"
    return gettext("It sends again at %(time)s.", time=shown)


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
