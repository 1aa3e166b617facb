"""What the history of a modem looks like."""

from datetime import UTC, datetime
from typing import Self

from pydantic import BaseModel, Field

from otpbroker.modem.history import Sample


class ModemSample(BaseModel):
    """What held from `at` until the next sample."""

    at: datetime
    signal_dbm: int | None = Field(description="null: not known")
    registration: str = Field(description="home, roaming, searching, denied, none; empty: the modem did not talk")
    operator: str
    roaming: bool

    @classmethod
    def of(cls, sample: Sample) -> Self:
        return cls(
            at=datetime.fromtimestamp(sample.at, UTC),
            signal_dbm=sample.signal_dbm,
            registration=sample.registration,
            operator=sample.operator,
            roaming=sample.roaming,
        )


class ModemHistory(BaseModel):
    modem_id: str
    samples: list[ModemSample] = Field(description="oldest first; one is made when something changed")
