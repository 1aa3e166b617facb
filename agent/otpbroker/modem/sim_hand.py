"""Giving a secret to a SIM by hand: never the last try, never one that was refused, nothing left in doubt."""

from otpbroker.config.model import ModemSection
from otpbroker.errors import Rejected, Unavailable
from otpbroker.modem.at import AtConversation
from otpbroker.modem.dialect import Dialect
from otpbroker.modem.modem import Modem
from otpbroker.modem.results import AtError, quoted
from otpbroker.modem.sim import LEAST_TRIES, Mark, PinMemory, tries_left

_WRONG = frozenset({12, 16})  # +CME ERROR: the PUK is asked for, incorrect password (27.007 section 9.2)


class SimHand:
    """One operation on one SIM, and what must be remembered of it should the process die in the middle.

    Before a secret is given that makes another PIN than the configured one right, the configured one is marked: it
    is not given any more, and so costs no try, until the configuration has followed.
    """

    def __init__(self, modem: Modem, pins: PinMemory) -> None:
        self.modem = modem
        self._pins = pins
        self._sim = modem.status.iccid, modem.status.imei
        self._doubted = ""

    async def give_pin(self, at: AtConversation, dialect: Dialect, pin: str, command: str, *, valid: str) -> None:
        """A command with the SIM's PIN, after which `valid` is it."""
        left = await tries_left(at, dialect.pin_tries)
        if left is None and self._pins.count(*self._sim):
            raise Rejected(
                "pin-tries-hidden",
                "a PIN was refused, and this modem does not tell how many tries are left",
                remedy="put the SIM into a phone",
            )
        _require_tries("PIN", left)
        await self._doubt(valid)
        await self._pins.remember(pin, *self._sim)  # before it is given: the answer may be lost
        try:
            await at.command(command)
        except AtError as error:
            await self._trust()
            if error.kind != "at" and error.number not in _WRONG:
                await self._pins.forget(pin, *self._sim)
                raise refused(error) from None
            left = await tries_left(at, dialect.pin_tries)
            raise Rejected("pin-wrong", f"the SIM did not take this PIN{_left(left)}", field="pin") from None
        await self._pins.forget(pin, *self._sim)

    async def give_puk(self, at: AtConversation, dialect: Dialect, puk: str, new: str) -> None:
        left = await tries_left(at, dialect.puk_tries)
        known = self._pins.tried(puk, *self._sim, Mark.PUK)
        if known or (left is None and self._pins.count(*self._sim, Mark.PUK)):
            raise Rejected(
                "puk-refused-before",
                "the SIM did not take this PUK before" if known else "the SIM did not take a PUK before",
                field="puk",
                remedy="ask the operator for the PUK of this SIM, and put it into a phone",
            )
        _require_tries("PUK", left)
        await self._doubt(new)
        await self._pins.remember(puk, *self._sim, Mark.PUK)
        try:
            await at.command(f"AT+CPIN={quoted(puk)},{quoted(new)}")
        except AtError as error:
            await self._trust()
            if error.kind != "at" and error.number not in _WRONG:
                await self._pins.forget(puk, *self._sim, Mark.PUK)
                raise refused(error) from None
            left = await tries_left(at, dialect.puk_tries)
            raise Rejected("puk-wrong", f"the SIM did not take this PUK{_left(left)}", field="puk") from None

    async def settled(self) -> None:
        """The configuration has the right PIN."""
        await self._pins.forget_all(*self._sim)

    async def _doubt(self, valid: str) -> None:
        configured = _configured(self.modem.config)
        if configured and configured != valid:
            self._doubted = configured
            await self._pins.remember(configured, *self._sim, Mark.CHANGING)

    async def _trust(self) -> None:
        """Nothing was changed."""
        if self._doubted:
            await self._pins.forget(self._doubted, *self._sim, Mark.CHANGING)


def _require_tries(what: str, left: int | None) -> None:
    if left is not None and left < LEAST_TRIES:
        raise Rejected(
            "sim-last-try",
            f"the SIM has {left} {what} tries left; the last one is not used here",
            remedy="put the SIM into a phone",
        )


def _configured(section: ModemSection) -> str:
    return section.pin.get_secret_value() if section.pin is not None else ""


def _left(left: int | None) -> str:
    return "" if left is None else f"; it has {left} tries left"


def refused(error: AtError) -> Unavailable:
    """What to tell of a refusal that says nothing of a secret."""
    return Unavailable(error.code, f"the modem refused it: {error}")
