"""The one path of every command: from any source, through the same checks, to an honest outcome.

The order of a message: duplicate? expired? blocked? -> journal -> pool -> a sender -> journal -> whoever listens.
"""

import hmac
import secrets
from collections.abc import Callable
from dataclasses import replace

from otpbroker.clock import Clock
from otpbroker.config.model import Config, SmsSection
from otpbroker.errors import Misconfigured, OtpBrokerError, Rejected, Unavailable
from otpbroker.events import Bus
from otpbroker.messaging.blocklist import Blocklist
from otpbroker.messaging.command import (
    Block,
    Command,
    Echo,
    EndUssd,
    ListModems,
    Origin,
    Repeatable,
    ReplyUssd,
    RequestOtp,
    RunUssd,
    SendMail,
    SendSms,
    Unblock,
    VerifyOtp,
)
from otpbroker.messaging.delivery import Delivery
from otpbroker.messaging.delivery_reports import DeliveryReports
from otpbroker.messaging.in_air import InAir
from otpbroker.messaging.journal import Journal
from otpbroker.messaging.limits import Allowances
from otpbroker.messaging.message import Claim, Message
from otpbroker.messaging.message_rows import Identity
from otpbroker.messaging.msisdn import normalise
from otpbroker.messaging.otp import Otps
from otpbroker.messaging.outcome import (
    Blocklisted,
    Echoed,
    ModemList,
    OtpRequested,
    Outcome,
    Result,
    State,
)
from otpbroker.messaging.report import Report
from otpbroker.messaging.sender import Fleet
from otpbroker.messaging.ussd import UssdDesk
from otpbroker.rate import TokenBuckets
from otpbroker.sms.gsm7 import UnencodableText
from otpbroker.sms.segment import Measure, TextTooLong, measure

LONGEST_LIFE = 7 * 86400.0  # seconds; whatever a caller asks for, as `sms.life` allows at most
REPEATED_WITHIN = 86400.0  # seconds; a broker may give a message again even where ids are not compared


class Dispatcher:
    """Takes commands, moves messages to senders, answers with what became of them."""

    def __init__(
        self,
        *,
        config: Callable[[], Config],
        fleet: Fleet,
        in_air: InAir,
        journal: Journal,
        limits: Allowances,
        blocklist: Blocklist,
        report: Report,
        delivery_reports: DeliveryReports,
        bus: Bus,
        clock: Clock,
    ) -> None:
        self._config = config
        self._fleet = fleet
        self._journal = journal
        self.blocklist = blocklist
        self._clock = clock
        self._otps = Otps(journal, clock)
        self._ussd = UssdDesk(fleet, clock)
        self._identity_key = hmac.digest(journal.key, b"identity", "sha256")
        self._limits: tuple[int, TokenBuckets] | None = None
        self._delivery = Delivery(
            config=config,
            fleet=fleet,
            in_air=in_air,
            journal=journal,
            limits=limits,
            report=report,
            delivery_reports=delivery_reports,
            bus=bus,
            clock=clock,
            blocked=blocklist.blocked,
            on_final=self._ended,
        )

    async def submit(
        self, command: Command, origin: Origin, *, wait: float | None = None, claim: Claim | None = None
    ) -> Result:
        """Carry out one command. `wait`: seconds to wait for the final outcome of a message; None: don't.

        A message with a `claim` is sent only after that said yes.
        Raises `Rejected` (wrong input), `Denied` (a right is missing), `Unavailable` (not now), `Misconfigured`
        (the device can't): then nothing was accepted and nothing will be sent. A USSD code alone may end with
        `UnknownOutcome`.
        """
        match command:
            case SendSms():
                return await self._send_sms(command, origin, wait, claim)
            case RequestOtp():
                return await self._request_otp(command, origin, wait, claim)
            case VerifyOtp():
                _require_number(command.receiver)
                return self._otps.verify(command, self._normal(command.receiver), origin.caller)
            case Block(receiver) | Unblock(receiver):
                number, blocked = self._normal(receiver), isinstance(command, Block)
                await (self.blocklist.block(number) if blocked else self.blocklist.unblock(number))
                return Blocklisted(number, blocked)
            case ListModems():
                return ModemList(tuple(map(self._delivery.status, self._fleet.senders)))
            case Echo(request):
                return Echoed(request)
            case SendMail():
                raise _no_mail()
            case RunUssd() | ReplyUssd() | EndUssd():
                return await self._ussd.submit(command, origin)

    async def outcome(self, message_id: str, *, caller: str | None, wait: float = 0.0) -> Outcome | None:
        """What is known of a message of this caller (None: of anybody's); waits for the final word if asked to."""
        return await self._delivery.outcome(message_id, caller=caller, wait=wait)

    def withdraw(self, message_id: str) -> None:
        """Give a message back to its broker: it fails as `returned`, or ends as it ends when a modem has it."""
        self._delivery.withdraw(message_id)

    @property
    def duplicate_window(self) -> float:
        """Seconds in which an id with the same content is the same message; 0: ids are not compared."""
        return self._config().sms.duplicate_window

    @property
    def waiting(self) -> int:
        """Messages that no modem has yet."""
        return self._delivery.waiting

    def release(self) -> None:
        """The agent ends: whoever waits for a message gets what is known by now."""
        self._delivery.release()

    def senders_changed(self) -> None:
        """The fleet tells: a sender came, went, or changed its readiness."""
        self._delivery.senders_changed()

    async def run(self) -> None:
        """Deliver until cancelled."""
        await self._delivery.run()

    async def _send_sms(
        self,
        command: SendSms,
        origin: Origin,
        wait: float | None,
        claim: Claim | None,
        otp_ticket: str | None = None,
        identity: Identity | None = None,
        begun: bool = False,
    ) -> Outcome:
        settings = self._config().sms
        receiver = self._normal(command.receiver)
        size = _measured(command.text, settings.max_parts)
        if command.modem_id is not None and all(s.config.id != command.modem_id for s in self._fleet.senders):
            raise Rejected("modem-unknown", "there is no modem with this id", field="modem_id")
        now = self._clock.now()
        expires_at = self._expiry(command.expires_at, command.date_time, now)
        late = expires_at <= now
        life = settings.life if late else expires_at - now
        message = Message(
            id=secrets.token_urlsafe(12),
            origin=origin,
            receiver=receiver,
            pdus=(),
            length=len(command.text),
            encoding=size.encoding.value,
            accepted_at=now,
            expires_at=expires_at if late and settings.drop_expired else now + life,
            deadline=self._clock.monotonic() + life,
            only_modem=command.modem_id,
            status_report=settings.status_report if command.status_report is None else command.status_report,
            otp_ticket=otp_ticket,
            claim=claim,
        )
        repeatable = command.repeatable
        if command.id and settings.duplicate_window:
            identity = self._identity(("id", origin.caller, command.id), receiver, command.text)
            redelivered = repeatable is not None and repeatable.redelivered
            since = now - max(settings.duplicate_window, REPEATED_WITHIN if redelivered else 0)
            if (earlier := await self._earlier(identity, since, wait, strict=command.strict_id)) is not None:
                return earlier
        elif repeatable is not None:
            identity = self._repeatable(repeatable, origin, "sms", receiver, command.text)
            if (repeated := await self._repeated(repeatable, identity, wait)) is not None:
                return repeated
        if begun or (repeatable is not None and repeatable.begun):
            return self._delivery.refuse(message, State.UNKNOWN, "begun-before", "another device had begun with it")
        if late and settings.drop_expired:
            return self._delivery.refuse(message, State.EXPIRED, "expired", "its time had passed when it came")
        if self.blocklist.blocked(receiver):
            return self._delivery.refuse(message, State.BLOCKED, "blocked", "")
        self._check_limits(receiver, settings)
        try:
            self._delivery.admit(message, command.text, identity)
        except Unavailable:
            self._nothing_went_to(receiver)
            raise
        return await message.settled(wait)

    async def _request_otp(
        self, command: RequestOtp, origin: Origin, wait: float | None, claim: Claim | None
    ) -> OtpRequested:
        _require_number(command.receiver)
        now = self._clock.now()
        expires_at = self._expiry(command.expires_at, command.made_at, now)
        receiver = self._normal(command.receiver)
        identity = None
        if command.repeatable is not None:
            content = ("otp", receiver, command.reference, command.template, *command.params)
            identity = self._repeatable(command.repeatable, origin, *content)
            if (repeated := await self._repeated(command.repeatable, identity, wait)) is not None:
                return OtpRequested(command.reference, command.receiver, expires_at, repeated)
        if expires_at <= now:
            field = "date_time" if command.expires_at is None else "expiration"
            raise Rejected("expired", "its time had passed when it came", field=field)
        if command.repeatable is not None and command.repeatable.begun:  # with another code than one of ours
            sms = SendSms(receiver, command.template, expires_at=expires_at)
            outcome = await self._send_sms(sms, origin, wait, claim, begun=True)
            return OtpRequested(command.reference, command.receiver, expires_at, outcome)
        code, ticket = self._otps.create(command, receiver, expires_at, origin.caller)
        text = command.template.replace("%s", code)
        try:
            sms = SendSms(receiver, text, expires_at=expires_at)
            outcome = await self._send_sms(sms, origin, wait, claim, otp_ticket=ticket, identity=identity)
        except OtpBrokerError:
            self._otps.settle(ticket, State.FAILED)
            raise
        return OtpRequested(command.reference, command.receiver, expires_at, outcome)

    def _normal(self, receiver: str) -> str:
        return normalise(receiver, self._config().device.country_code)

    def _expiry(self, expires_at: float | None, date_time: float | None, now: float) -> float:
        life = self._config().sms.life
        if expires_at is not None:
            return min(max(expires_at, 0.0), now + LONGEST_LIFE)
        return (now if date_time is None else date_time) + life

    def _identity(self, key: tuple[str, ...], *content: str) -> Identity:
        return Identity(self._keyed(*key), self._keyed("content", *content))

    def _repeatable(self, repeatable: Repeatable, origin: Origin, *content: str) -> Identity:
        return self._identity(("given", origin.caller, repeatable.key), *content)

    def _keyed(self, *values: str) -> bytes:
        octets = b"".join(b"%d:%s" % (len(value.encode()), value.encode()) for value in values)
        return hmac.digest(self._identity_key, octets, "sha256")

    async def _repeated(self, repeatable: Repeatable, identity: Identity, wait: float | None) -> Outcome | None:
        """The outcome of the same command when its broker gave it before."""
        if not repeatable.again:
            return None
        since = self._clock.now() - max(REPEATED_WITHIN, self._config().sms.duplicate_window)
        return await self._earlier(identity, since, wait)

    async def _earlier(
        self, identity: Identity, since: float, wait: float | None, *, strict: bool = False
    ) -> Outcome | None:
        """The outcome of the message that this one repeats, if that was accepted after `since` (Unix seconds)."""
        held = self._journal.holder(identity, since)
        if held is None:
            return None
        message_id, same = held
        if not same:
            if strict:
                raise Rejected("id-reused", "this id was used for another message", field="id")
            return None  # clients that number every message 1 exist, and must keep working
        outcome = await self.outcome(message_id, caller=None, wait=wait or 0.0)
        return outcome and replace(outcome, duplicate=True)

    def _check_limits(self, receiver: str, settings: SmsSection) -> None:
        """Raise `Unavailable` when too much is under way, or too much went to this receiver (SMS pumping)."""
        if self._delivery.waiting >= settings.max_waiting:
            raise Unavailable("queue-full", "too many messages wait for a modem", remedy="try again later")
        if not settings.receiver_limit:
            return
        if self._limits is None or self._limits[0] != settings.receiver_limit:
            hourly = settings.receiver_limit
            buckets = TokenBuckets(capacity=hourly, refill=hourly / 3600, clock=self._clock.monotonic)
            self._limits = (hourly, buckets)
        if self._limits[1].take(receiver) > 0:
            raise Unavailable(
                "receiver-limit",
                f"this number got its {settings.receiver_limit} messages an hour",
                field="receiver",
                remedy="try again later, or raise sms.receiver_limit",
            )

    def _nothing_went_to(self, receiver: str) -> None:
        if self._limits is not None:
            self._limits[1].give_back(receiver)

    def _ended(self, message: Message, state: State) -> None:
        if message.result is not None and message.result.error == "returned":
            self._nothing_went_to(message.receiver)
        if message.otp_ticket is not None:
            self._otps.settle(message.otp_ticket, state)


def _no_mail() -> Misconfigured:
    return Misconfigured("mail-not-configured", "this device has no e-mail account", remedy="send by SMS instead")


def _require_number(receiver: str) -> None:
    """Raises `Misconfigured` for an e-mail address: the older products sent one-time passwords there too."""
    if "@" in receiver:
        raise _no_mail()


def _measured(text: str, max_parts: int) -> Measure:
    """What the text costs. Raises `Rejected` when it can't be sent."""
    if not text:
        raise Rejected("message-empty", "the message has no text", field="message")
    try:
        size = measure(text)
    except UnencodableText:
        raise Rejected("message-invalid", "the text holds half a character", field="message") from None
    except TextTooLong:
        parts = "more than 255"
    else:
        if size.parts <= max_parts:
            return size
        parts = str(size.parts)
    raise Rejected(
        "message-too-long",
        f"the message needs {parts} parts, this device sends up to {max_parts}",
        field="message",
        remedy="shorten it, or use only letters of the GSM alphabet",
    )
