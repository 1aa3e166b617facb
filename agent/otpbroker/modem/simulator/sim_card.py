"""The SIM card: PIN, PUK and the tries left of each (3GPP TS 31.101, as `+CPIN` shows it)."""

from dataclasses import dataclass

from otpbroker.modem.simulator.replies import AtError, Cme

_PIN_TRIES = 3


@dataclass(slots=True)
class SimCard:
    """One card; `locked` asks for the PIN after each power-up."""

    pin: str = "1234"
    puk: str = "12345678"
    locked: bool = False
    absent: bool = False
    pin_left: int = _PIN_TRIES
    puk_left: int = 10
    verified: bool = False

    @property
    def state(self) -> str:
        """`READY`, `SIM PIN` or `SIM PUK`; raises `AtError` for a card that is absent or dead."""
        if self.absent:
            raise AtError(Cme.SIM_NOT_INSERTED)
        if self.puk_left == 0:
            raise AtError(Cme.SIM_FAILURE)
        if self.pin_left == 0:
            return "SIM PUK"
        return "SIM PIN" if self.locked and not self.verified else "READY"

    @property
    def ready(self) -> bool:
        return not self.absent and self.puk_left > 0 and self.state == "READY"

    def power_up(self) -> None:
        self.verified = False

    def verify(self, pin: str) -> None:
        """Present the PIN; a wrong one costs a try."""
        if self.state == "SIM PUK":
            raise AtError(Cme.PUK_REQUIRED)
        if pin != self.pin:
            self.pin_left -= 1
            raise AtError(Cme.INCORRECT_PASSWORD)
        self.pin_left = _PIN_TRIES
        self.verified = True

    def unblock(self, puk: str, pin: str) -> None:
        """Present the PUK and set a new PIN."""
        if self.state != "SIM PUK":
            raise AtError(Cme.NOT_ALLOWED)
        if puk != self.puk:
            self.puk_left -= 1
            raise AtError(Cme.INCORRECT_PASSWORD)
        self.pin, self.pin_left, self.puk_left = pin, _PIN_TRIES, 10
        self.verified = True

    def require_pin(self, required: bool, pin: str) -> None:
        """Facility lock `SC` on or off, against the PIN."""
        self.verify(pin)
        self.locked = required

    def change_pin(self, old: str, new: str) -> None:
        """Only while the PIN is on (3GPP TS 31.101 section 11.1.10)."""
        if not self.locked:
            raise AtError(Cme.NOT_ALLOWED)
        self.verify(old)
        self.pin = new
