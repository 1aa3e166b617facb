"""What the USSD endpoints take and give."""

from datetime import UTC, datetime
from typing import Annotated, Self

from pydantic import BaseModel, Field

from otpbroker.messaging.outcome import UssdReplied
from otpbroker.sms.ussd import CODE, REPLY
from otpbroker.web.api.models import Body, ModemId

_LONGEST = 160

Code = Annotated[str, Field(pattern=f"^{CODE.pattern}$", max_length=_LONGEST, examples=["*888#"])]
Reply = Annotated[str, Field(pattern=f"^{REPLY.pattern}$", max_length=_LONGEST, examples=["1"])]


class UssdRequest(Body):
    modem_id: ModemId
    code: Code = Field(description="an open session of the caller on this modem ends; digits alone reply to it")


class UssdReply(Body):
    text: Reply = Field(description="mostly the number of a menu's line")


class Ussd(BaseModel):
    """The network's word."""

    modem_id: str
    text: str
    raw: str = Field(description="the modem's line, as it came")
    replyable: bool = Field(description="the network waits for a reply, and the modem sends no message meanwhile")
    expires_at: datetime | None = Field(description="until then the session is held open")

    @classmethod
    def of(cls, replied: UssdReplied) -> Self:
        expires_at = None if replied.expires_at is None else datetime.fromtimestamp(replied.expires_at, UTC)
        return cls(
            modem_id=replied.modem_id,
            text=replied.text,
            raw=replied.raw,
            replyable=replied.replyable,
            expires_at=expires_at,
        )
