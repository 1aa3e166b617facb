"""What the modern API takes and gives, as pydantic models; the OpenAPI document is made of them."""

from datetime import UTC, datetime
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from otpbroker.events import ModemState, ModemStatus
from otpbroker.messaging.outcome import Arrival, OtpRequested, OtpVerified, Outcome, Receipt, State, Verdict

LONGEST_LIFE = 7 * 86400

# No control characters: a receiver travels to modems, logs and pages (here only as the caller wrote it).
Receiver = Annotated[
    str,
    Field(
        pattern=r"^[^\x00-\x1f\x7f-\x9f]{1,64}$",
        description="a telephone number: international with or without +, or national",
        examples=["+628123456789", "08123456789"],
    ),
]
MessageId = Annotated[
    str,
    Field(
        pattern=r"^[\x21-\x7e]{1,128}$",
        description="idempotency key: the same id with the same content within a day is sent once",
    ),
]
Reference = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._~-]{1,64}$")]
Lifetime = Annotated[int, Field(ge=1, le=LONGEST_LIFE, description="seconds from now")]
ModemId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
StatusReport = Annotated[
    bool | None, Field(description="ask the network for delivery reports; absent: as the device is configured")
]
Text = Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[^\x00]+$")]

Model = TypeVar("Model", bound="Body")


class Body(BaseModel):
    """A request: unknown fields and other types are refused, and no error repeats a value."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Expiring(Body):
    """At most one of both; without any the device's configured life counts."""

    expires_in: Lifetime | None = None
    expires_at: AwareDatetime | None = Field(None, description="RFC 3339 with time zone")

    @model_validator(mode="after")
    def _one_expiry(self) -> Self:
        if self.expires_in is not None and self.expires_at is not None:
            raise ValueError("send expires_in or expires_at, not both")
        return self

    def expiry(self, now: float) -> float | None:
        """In Unix seconds."""
        if self.expires_in is not None:
            return now + self.expires_in
        return None if self.expires_at is None else self.expires_at.timestamp()


class MessageRequest(Expiring):
    receiver: Receiver
    text: Text
    id: MessageId | None = None
    modem_id: ModemId | None = Field(None, description="send by this modem alone")
    status_report: StatusReport = None


class OtpRequest(Expiring):
    receiver: Receiver
    message: Text = Field(description="with %s once, where the code goes", examples=["Your code is %s"])
    reference: Reference | None = Field(None, description="made by the device if absent")
    params: list[Annotated[str, Field(max_length=1024)]] = Field(
        [], max_length=4, description="further values that verification has to repeat"
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.message.count("%s") != 1:
            raise ValueError("message must hold %s once, where the code goes")
        return self


class OtpVerification(Body):
    receiver: Receiver
    otp: Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,64}$")]
    params: list[Annotated[str, Field(max_length=1024)]] = Field([], max_length=4)


class Fault(BaseModel):
    """Why a message was not sent, or may not have been."""

    code: str
    detail: str


class Delivery(BaseModel):
    """What the recipient's network reported of a message after it was sent; `delivered` means every part."""

    state: Arrival
    parts_delivered: int
    changed_at: datetime | None = Field(description="of the last report")

    @classmethod
    def of(cls, receipt: Receipt) -> Self:
        return cls(
            state=receipt.arrival,
            parts_delivered=receipt.parts.count(Arrival.DELIVERED),
            changed_at=None if receipt.at is None else _utc(receipt.at),
        )


class Message(BaseModel):
    """A message's state; never its text. `sent` means that the modem gave a reference for each part."""

    id: str
    state: State
    final: bool
    receiver: str = Field(description="masked")
    accepted_at: datetime
    expires_at: datetime
    changed_at: datetime
    parts: int
    length: int
    encoding: str
    modem_id: str | None
    references: list[int]
    delivery: Delivery | None = Field(description="null: no delivery report was asked for, or nothing was sent")
    duplicate: bool = Field(description="an earlier request with this id had been accepted; nothing new was sent")
    error: Fault | None

    @classmethod
    def of(cls, outcome: Outcome) -> Self:
        return cls(
            id=outcome.id,
            state=outcome.state,
            final=outcome.state.final,
            receiver=outcome.receiver,
            accepted_at=_utc(outcome.accepted_at),
            expires_at=_utc(outcome.expires_at),
            changed_at=_utc(outcome.changed_at),
            parts=outcome.parts,
            length=outcome.length,
            encoding=outcome.encoding,
            modem_id=outcome.modem_id,
            references=list(outcome.references),
            delivery=Delivery.of(outcome.receipt) if outcome.receipt else None,
            duplicate=outcome.duplicate,
            error=Fault(code=outcome.error, detail=outcome.detail) if outcome.error else None,
        )


class Otp(BaseModel):
    """A code on its way; `message` tells how far."""

    reference: str
    expires_at: datetime
    message: Message

    @classmethod
    def of(cls, requested: OtpRequested) -> Self:
        return cls(
            reference=requested.reference,
            expires_at=_utc(requested.expires_at),
            message=Message.of(requested.outcome),
        )


class OtpVerdict(BaseModel):
    reference: str
    verdict: Verdict
    tries_left: int

    @classmethod
    def of(cls, verified: OtpVerified) -> Self:
        return cls(reference=verified.reference, verdict=verified.verdict, tries_left=verified.tries_left)


class BlockedNumber(BaseModel):
    receiver: str = Field(description="international digits")
    blocked: Literal[True] = True


class BlocklistPage(BaseModel):
    count: int = Field(description="of the whole list")
    offset: int
    limit: int
    receivers: list[str]


class Modem(BaseModel):
    """A modem as far as it concerns who sends by it."""

    id: str
    name: str
    state: ModemState
    detail: str
    active: bool
    default: bool
    send_from_api: bool
    prefixes: list[str]
    operator: str
    registration: str
    signal_dbm: int | None
    waiting: int
    last_activity: datetime | None
    held_back_until: datetime | None = Field(description="its limits let it send again then")

    @classmethod
    def of(cls, status: ModemStatus) -> Self:
        return cls(
            id=status.id,
            name=status.name,
            state=status.state,
            detail=status.detail,
            active=status.active,
            default=status.default,
            send_from_api=status.send_from_api,
            prefixes=list(status.prefixes),
            operator=status.operator,
            registration=status.registration,
            signal_dbm=status.signal_dbm,
            waiting=status.waiting,
            last_activity=None if status.last_activity is None else _utc(status.last_activity),
            held_back_until=None if status.held_back_until is None else _utc(status.held_back_until),
        )


class Modems(BaseModel):
    modems: list[Modem]


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
