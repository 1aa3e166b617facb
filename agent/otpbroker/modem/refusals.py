"""Whether a modem refuses whatever it is given: told by messages that differ, for one may be its own fault."""

from otpbroker.modem.causes import Trouble

ENOUGH = 3  # messages in a row
ENOUGH_ON_TRIAL = 2  # of a modem that was brought back for this and has sent nothing since


class Refusals:
    """Counts the messages that were refused in a row, each once however often it comes back."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._on_trial = False

    def add(self, message_id: str, trouble: Trouble) -> bool:
        """Whether that was enough: then the modem is on trial, and counting begins anew."""
        if trouble is Trouble.MESSAGE:
            return False
        self._ids.add(message_id)
        if len(self._ids) < (ENOUGH_ON_TRIAL if self._on_trial else ENOUGH):
            return False
        self._ids.clear()
        self._on_trial = True
        return True

    def clear(self) -> None:
        """It sent a message, or is another modem."""
        self._ids.clear()
        self._on_trial = False
