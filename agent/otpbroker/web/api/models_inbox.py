"""What the inbox's endpoints take and give."""

from datetime import UTC, datetime
from typing import Self

from pydantic import BaseModel, Field

from otpbroker.messaging.received import Received
from otpbroker.web.api.models import Expiring, MessageId, StatusReport, Text


class InboxMessage(BaseModel):
    """A message that came in by SMS, with its text."""

    id: str
    modem_id: str
    sender: str = Field(description="a number as the network writes it, or a name")
    text: str = Field(description="with an ellipsis for each missing part")
    sent_at: datetime | None = Field(description="by the service centre's clock")
    received_at: datetime
    parts: int
    total: int
    complete: bool

    @classmethod
    def of(cls, received: Received) -> Self:
        return cls(
            id=received.id,
            modem_id=received.modem_id,
            sender=received.sender,
            text=received.text,
            sent_at=None if received.sent_at is None else datetime.fromtimestamp(received.sent_at, UTC),
            received_at=datetime.fromtimestamp(received.received_at, UTC),
            parts=received.parts,
            total=received.total,
            complete=received.complete,
        )


class InboxPage(BaseModel):
    """In order of arrival; `more`: go on after the last one's id."""

    messages: list[InboxMessage]
    more: bool


class Reply(Expiring):
    """Goes to the sender by the modem that received the message."""

    text: Text
    id: MessageId | None = None
    status_report: StatusReport = None
