"""A message on its way through the core: the live object behind an `Outcome`."""

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal

from otpbroker.messaging.command import Origin
from otpbroker.messaging.outcome import Outcome, State
from otpbroker.redact import mask_number

# Asked, with our id, each time before a modem begins with a message: False when others may have got it.
Claim = Callable[[str], Awaitable[bool]]


@dataclass(slots=True, eq=False)
class Message:
    """Not yet final, or just finished. `deadline` is on the monotonic clock, all other times are Unix seconds."""

    id: str
    origin: Origin
    receiver: str  # normal form
    pdus: tuple[str, ...] = field(repr=False)
    length: int
    encoding: str
    accepted_at: float
    expires_at: float
    deadline: float
    modem_id: str | None = None  # the one that has it, or had it last
    imei: str = ""  # of the one that has it
    only_modem: str | None = None  # a manual message names its modem
    status_report: bool = False  # ask the network for delivery reports
    otp_ticket: str | None = None  # of the one-time password of ours that it carries
    claim: Claim | None = field(default=None, repr=False)
    withdrawn: bool = False  # its broker has it back: it is not tried any more
    state: State = State.ACCEPTED
    changed_at: float = 0.0
    refused_by: set[str] = field(default_factory=set)  # modems that refused it in this round
    barred_by: set[str] = field(default_factory=set)  # modems whose SIM will not carry it
    last_try: bool = False  # a further refusal is the end
    rounds: int = 0  # how often every modem of its route was tried
    price: Decimal | None = None  # by the modem that has it; None: it has no tariff
    saved: Decimal | None = None  # see `Outcome`
    finished: asyncio.Event = field(default_factory=asyncio.Event)  # or the agent ends: don't wait any longer
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    result: Outcome | None = None

    @property
    def outcome(self) -> Outcome:
        """What is known now."""
        return self.result or Outcome(
            id=self.id,
            state=self.state,
            receiver=mask_number(self.receiver),
            source=self.origin.source,
            accepted_at=self.accepted_at,
            expires_at=self.expires_at,
            changed_at=self.changed_at or self.accepted_at,
            parts=len(self.pdus),
            length=self.length,
            encoding=self.encoding,
            modem_id=self.modem_id,
            price=self.price,
            saved=self.saved,
        )

    async def settled(self, wait: float | None) -> Outcome:
        """The final outcome, or after `wait` seconds (None: at once) what is known by then.

        `math.inf` waits for the end even while the agent ends.
        """
        if wait == math.inf:
            await self.ended.wait()
        elif wait and self.result is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self.finished.wait()
        return self.outcome
