"""What the core needs of whatever transmits short messages; a modem fits, so does a test's fake."""

from typing import Protocol

from otpbroker.config.model import ModemSection
from otpbroker.events import ModemStatus
from otpbroker.sms.submission import SendResult, Sms
from otpbroker.sms.ussd import UssdAnswer


class UssdLine(Protocol):
    """The USSD of one sender. While it is open no message is in the air, and none goes out.

    `run` and `reply` raise `Rejected` (wrong code or reply, nothing open), `Unavailable` (not now),
    `UnknownOutcome` (the network did not answer, and may have done it).
    """

    @property
    def open(self) -> bool:
        """A code is under way, or the network waits for a reply."""
        ...

    @property
    def waits(self) -> bool:
        """The network waits for a reply."""
        ...

    async def run(self, code: str) -> UssdAnswer: ...

    async def reply(self, text: str) -> UssdAnswer: ...

    async def end(self) -> None:
        """End the session, if there is one."""
        ...


class Sender(Protocol):
    """One transmitter with one SIM; `ready` and `recovering` may change between awaits."""

    @property
    def config(self) -> ModemSection: ...

    @property
    def ready(self) -> bool:
        """Connected, unlocked and registered: takes a message now, or after the one that it has."""
        ...

    @property
    def recovering(self) -> bool:
        """Not ready, but expected to be within moments: messages may wait for it."""
        ...

    @property
    def status(self) -> ModemStatus: ...

    @property
    def ussd(self) -> UssdLine: ...

    def tell_balance(self, balance: str, at: float | None, *, low: bool) -> None:
        """Show what its SIM had left at a time (Unix seconds); "": that is not known any more."""
        ...

    async def send(self, sms: Sms, *, more: bool) -> SendResult:
        """Transmit every part in order, one message at a time; never raises for what a modem can do.

        `more`: another message waits for this sender, so the relay link is worth keeping (`+CMMS=2`).
        Cancellation is honoured only before the first octet of a PDU; after it the call ends with the answer.
        """
        ...


class Fleet(Protocol):
    """The senders there are now."""

    @property
    def senders(self) -> tuple[Sender, ...]: ...
