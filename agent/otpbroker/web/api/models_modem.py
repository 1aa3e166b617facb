"""What the modern API tells of one modem: as much as concerns who sends by it, no identity of SIM or device."""

from datetime import UTC, datetime
from typing import Self

from pydantic import BaseModel, Field

from otpbroker.events import Fault, Incident, ModemHealth, ModemStatus, RecoveryStep
from otpbroker.web.api.models import Modem


class StepTaken(BaseModel):
    step: RecoveryStep
    seconds: float


class ModemIncident(BaseModel):
    """Once that the modem had to be brought back."""

    at: datetime
    fault: Fault
    steps: list[StepTaken] = Field(description="that are over, in their order")
    cured_by: RecoveryStep | None = Field(description="null: nothing yet, or it was pulled out")
    seconds: float | None = Field(description="until it worked again")

    @classmethod
    def of(cls, incident: Incident) -> Self:
        return cls(
            at=_utc(incident.at),
            fault=incident.fault,
            steps=[StepTaken(step=taken.step, seconds=_rounded(taken.seconds)) for taken in incident.steps],
            cured_by=incident.cured_by,
            seconds=None if incident.seconds is None else _rounded(incident.seconds),
        )


class Health(BaseModel):
    """How the modem is brought back now, and how often it had to be since the agent started."""

    step: RecoveryStep | None = Field(description="null: nothing is being done")
    since: datetime | None
    tries: int = Field(description="steps of this incident, the present one included")
    faults: int
    brownouts: int = Field(description="signs of weak power: restarts by itself, complaints about its voltage")
    resets: int = Field(description="of its USB device or its hub port, by this device")
    incidents: list[ModemIncident] = Field(description="the last ones, newest first")

    @classmethod
    def of(cls, health: ModemHealth) -> Self:
        return cls(
            step=health.step,
            since=None if health.since is None else _utc(health.since),
            tries=health.tries,
            faults=health.faults,
            brownouts=health.brownouts,
            resets=health.resets,
            incidents=[ModemIncident.of(incident) for incident in health.incidents],
        )


class ModemDetails(Modem):
    """One modem with its counts since the agent started and its health."""

    manufacturer: str
    model: str
    sent: int
    failed: int
    unknown: int
    notes: list[str] = Field(description="stable codes of what an administrator should know though it works")
    health: Health

    @classmethod
    def of(cls, status: ModemStatus) -> Self:
        return cls(
            **Modem.of(status).model_dump(),
            manufacturer=status.manufacturer,
            model=status.model,
            sent=status.sent,
            failed=status.failed,
            unknown=status.unknown,
            notes=list(status.notes),
            health=Health.of(status.health),
        )


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _rounded(seconds: float) -> float:
    return round(seconds, 3)
