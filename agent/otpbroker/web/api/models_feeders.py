"""The models of `/api/v1/feeders`."""

from datetime import UTC, datetime
from typing import Literal, Self

from pydantic import BaseModel, Field

from otpbroker.events import FeederState
from otpbroker.feeder.feeders import FeederStatus
from otpbroker.web.api.models import Body


class FeederAct(Body):
    do: Literal["start", "stop", "refresh"] = Field(
        description="until the feeder's configuration changes or the device restarts; refresh: connect anew"
    )


class Feeder(BaseModel):
    """A feeder; the counts are of deliveries since the device started or the feeder's configuration changed."""

    id: str
    kind: str
    state: FeederState
    detail: str = Field(description="why it is not connected, or what is not as it should be")
    since: datetime = Field(description="of the state")
    done: int
    unknown: int = Field(description="may have been sent, and are not sent again")
    refused: int = Field(description="dead-lettered or rejected")
    returned: int = Field(description="given back to the broker")

    @classmethod
    def of(cls, status: FeederStatus) -> Self:
        return cls(
            id=status.id,
            kind=status.kind,
            state=status.state,
            detail=status.detail,
            since=datetime.fromtimestamp(status.since, UTC),
            done=status.done,
            unknown=status.unknown,
            refused=status.refused,
            returned=status.returned,
        )


class Feeders(BaseModel):
    feeders: list[Feeder]
