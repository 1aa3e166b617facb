"""How much one SIM sends: what its operator allows, or its owner wants to pay."""

from pydantic import Field

from otpbroker.config.section import Section


class LimitsSection(Section):
    """Counted in parts, as operators count: a message of three parts is three. 0: no limit."""

    per_minute: int = Field(0, ge=0, le=10_000, description="in any 60 seconds")
    per_hour: int = Field(0, ge=0, le=100_000, description="in any 3600 seconds")
    per_day: int = Field(0, ge=0, le=1_000_000, description="from midnight to midnight of the device's time zone")
    per_month: int = Field(0, ge=0, le=10_000_000, description="of the calendar of the device's time zone")
    pause: float = Field(0, ge=0, le=3600, description="seconds from the end of one message to the next")

    @property
    def windows(self) -> bool:
        """Whether anything but the calendar limits it."""
        return bool(self.per_minute or self.per_hour or self.pause)

    def __bool__(self) -> bool:
        return self.windows or bool(self.per_day or self.per_month)
