"""The answer to a message that a former process gave to a modem, and died before it came."""

from otpbroker.modem.answers import number
from otpbroker.modem.shared import LateAnswers


class Predecessor:
    """Listened for until the modem is ready; then nothing of that time can come any more."""

    def __init__(self, late: LateAnswers, modem_id: str) -> None:
        self._late = late
        self._modem_id = modem_id
        self._reference: int | None = None  # what it said
        self._imei: str | None = None  # who says it: another modem may be on the port now
        self.awaited = late.expected(modem_id)

    def hears(self, line: str) -> bool:
        """Whether the line, which nobody of this process asked for, is that answer."""
        reference = number((line,), "+CMGS:") if self.awaited else None
        if reference is None:
            return False
        self._reference = reference
        self._tell()
        return True

    def identified(self, imei: str) -> None:
        """Who it is that may have answered."""
        self._imei = imei
        self._tell()

    def over(self) -> None:
        """The modem is ready."""
        if self.awaited:
            self.awaited = False
            self._late.over(self._modem_id)

    def _tell(self) -> None:
        if self._imei is not None and self._reference is not None:
            self._late.arrived(self._modem_id, self._reference, self._imei)
            self._reference = None
