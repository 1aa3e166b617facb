"""What callers can ask for: a closed union, whatever the shape on the wire was (see `wire`)."""

from dataclasses import dataclass, field

from otpbroker.errors import Denied


@dataclass(frozen=True, slots=True)
class Origin:
    """Who asks and by which way; `caller` with the caller's id makes the idempotency key."""

    source: str  # rest, admin, amqp, ws, ...
    caller: str
    rights: frozenset[str] = frozenset()  # beyond messages: ussd, inbox
    lent: bool = False  # a broker keeps what is not final, and gives it to others when this device is gone


@dataclass(frozen=True, slots=True)
class Repeatable:
    """How a command is known again that a broker may give twice; the same key with the same content is the same."""

    key: str
    again: bool  # look for the first time; else this one is new, whatever was before it
    begun: bool = False  # somebody began with it: if that is not known here, its outcome is unknown
    redelivered: bool = False  # its broker gives it again by itself: it is the same, however long ago it was


def no_right(right: str) -> Denied:
    """What to tell a caller who may not do this."""
    return Denied(
        "right-missing",
        f"this user lacks the right {right}",
        remedy=f"add {right} to the user's rights in api.users",
    )


@dataclass(frozen=True, slots=True)
class SendSms:
    """`receiver` as written by the caller; `expires_at` in Unix seconds, None: the configured life counts."""

    receiver: str
    text: str = field(repr=False)
    id: str | None = None
    expires_at: float | None = None
    date_time: float | None = None
    modem_id: str | None = None  # set: this modem alone, and its send-from-API flag is not asked
    status_report: bool | None = None  # ask for delivery reports; None: as configured
    strict_id: bool = False  # the id with another content: an error, instead of a new message
    repeatable: Repeatable | None = None  # counts where there is no id, or ids are not compared


@dataclass(frozen=True, slots=True)
class SendMail:
    receiver: str
    subject: str = field(repr=False)
    text: str = field(repr=False)
    id: str | None = None
    expires_at: float | None = None
    date_time: float | None = None


@dataclass(frozen=True, slots=True)
class Block:
    receiver: str


@dataclass(frozen=True, slots=True)
class Unblock:
    receiver: str


@dataclass(frozen=True, slots=True)
class RequestOtp:
    """`template` holds one `%s` for the code; `made_at` is `date_time` as Unix seconds."""

    receiver: str
    reference: str
    template: str = field(repr=False)
    expires_at: float | None = None
    made_at: float | None = None
    date_time: str = ""
    subject: str = field(default="", repr=False)
    id: str | None = None
    params: tuple[str, str, str, str] = field(default=("", "", "", ""), repr=False)
    repeatable: Repeatable | None = None


@dataclass(frozen=True, slots=True)
class VerifyOtp:
    receiver: str
    reference: str
    otp: str = field(repr=False)
    date_time: str = ""
    params: tuple[str, str, str, str] = field(default=("", "", "", ""), repr=False)


@dataclass(frozen=True, slots=True)
class RunUssd:
    """A code, which ends the caller's open session on this modem; one without * and # is a reply to it."""

    modem_id: str
    code: str = field(repr=False)
    date_time: str = ""


@dataclass(frozen=True, slots=True)
class ReplyUssd:
    """The next word in the caller's open session."""

    modem_id: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class EndUssd:
    """End the caller's session; none open is no error."""

    modem_id: str


@dataclass(frozen=True, slots=True)
class ListModems:
    date_time: str = ""


@dataclass(frozen=True, slots=True)
class Echo:
    request: dict[str, object] = field(repr=False)


Command = (
    SendSms
    | SendMail
    | Block
    | Unblock
    | RequestOtp
    | VerifyOtp
    | RunUssd
    | ReplyUssd
    | EndUssd
    | ListModems
    | Echo
)
