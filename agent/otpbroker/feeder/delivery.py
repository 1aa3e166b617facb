"""What brokers give, what becomes of it, and how the one is judged by the other: words that all feeders share."""

import math
from dataclasses import dataclass, field, replace
from enum import Enum

from otpbroker.errors import OtpBrokerError, Rejected, Unavailable, UnknownOutcome
from otpbroker.messaging.command import Command, RequestOtp, RunUssd, SendSms
from otpbroker.messaging.limits import LimitReached
from otpbroker.messaging.outcome import OtpRequested, Outcome, Result, State


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a broker gave; times are Unix seconds."""

    body: bytes = field(repr=False)
    message_id: str | None = None  # the broker's own id: idempotency key when the command has none
    expires_at: float | None = None  # by the broker
    made_at: float | None = None  # when it was published
    redelivered: bool = False  # the broker may have given it before, to this device or to another one


class Verdict(Enum):
    """What the broker is to be told."""

    DONE = "done"  # final: acknowledged (sent, expired by its own time, blocked, answered)
    UNKNOWN = "unknown"  # may have been sent: never sent again by itself
    REFUSED = "refused"  # poison, invalid, finally failed: dead-lettered with the reason, or rejected and reported
    NOT_NOW = "not-now"  # certainly not sent, and it may pass later: back to the broker after a pause


@dataclass(frozen=True, slots=True)
class Handled:
    """How a delivery ended. `answer`: the historic response object, if there is one to give."""

    verdict: Verdict
    reason: str = ""  # stable code, "" for DONE
    answer: dict[str, object] | None = field(default=None, repr=False)
    callback_topic: str | None = None
    callback_delay: float = 0.0  # seconds
    reasons: tuple[str, ...] = ()  # of each command, where the delivery had several


# Codes of what can't be taken now though modems are ready for others.
OF_ITS_MODEMS = frozenset({"cap-reached", "modem-not-ready"})

# Of several commands: what was refused has to be kept by somebody; what is unknown needs nothing more.
WORST_FIRST = (Verdict.NOT_NOW, Verdict.REFUSED, Verdict.UNKNOWN, Verdict.DONE)


def verdict_of(result: Result, *, of_use_until_then: bool) -> tuple[Verdict, str]:
    """Verdict and reason; `of_use_until_then`: its publisher said how long, so that being late is an end."""
    if not isinstance(result, Outcome | OtpRequested):
        return Verdict.DONE, ""
    outcome = outcome_of(result)
    match outcome.state:
        case State.UNKNOWN:
            return Verdict.UNKNOWN, outcome.error or "unknown"
        case State.FAILED if outcome.error == "returned":
            return Verdict.NOT_NOW, "returned"
        case State.FAILED:
            return Verdict.REFUSED, outcome.error or "failed"
        case State.EXPIRED if not of_use_until_then:
            return Verdict.REFUSED, "expired"
    return Verdict.DONE, ""


def verdict_of_error(error: OtpBrokerError, command: Command | Rejected) -> tuple[Verdict, str]:
    """Verdict and reason of what the core raised."""
    match error:
        case UnknownOutcome():
            return Verdict.UNKNOWN, error.code
        case Rejected() if error.code == "expired":
            return Verdict.DONE, ""
        case LimitReached() if math.isinf(error.retry_after):  # waiting makes it no shorter
            return Verdict.REFUSED, error.code
        # One number that gets too much must not hold up the others, and a USSD code is asked for now.
        case Unavailable() if error.code != "receiver-limit" and not isinstance(command, RunUssd):
            return Verdict.NOT_NOW, error.code
    return Verdict.REFUSED, error.code


def outcome_of(result: Outcome | OtpRequested) -> Outcome:
    """The one of the message that a one-time password travels in, too."""
    return result.outcome if isinstance(result, OtpRequested) else result


def with_times(command: SendSms | RequestOtp, delivery: Delivery, now: float) -> SendSms | RequestOtp:
    """The command with the earlier of its own expiry and the broker's; a publishing time that lies ahead is now.

    Where neither says anything it lives from `now`, when it came (Unix seconds), however often it is tried.
    """
    made_at = command.date_time if isinstance(command, SendSms) else command.made_at
    ends = [end for end in (command.expires_at, delivery.expires_at) if end is not None]
    if ends:
        return replace(command, expires_at=min(ends))
    if made_at is None:
        made_at = now if delivery.made_at is None else min(delivery.made_at, now)
        if isinstance(command, SendSms):
            return replace(command, date_time=made_at)
        return replace(command, made_at=made_at)
    return command


def has_end(command: Command | Rejected, delivery: Delivery) -> bool:
    """Whether its publisher said how long it is of use."""
    match command:
        case SendSms(expires_at=end, date_time=made_at) | RequestOtp(expires_at=end, made_at=made_at):
            times = (end, made_at, delivery.expires_at, delivery.made_at)
            return any(time is not None for time in times)
    return True
