"""The credit of prepaid SIMs: asked for by USSD when it is time, shown with the modem, warned of when it is low."""

import asyncio
import logging
import random
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

from otpbroker.clock import Clock
from otpbroker.config.balance import BalanceSection
from otpbroker.errors import Misconfigured, OtpBrokerError, Rejected
from otpbroker.events import Bus, LowBalance
from otpbroker.messaging.amount import amount, shown
from otpbroker.messaging.command import Command, EndUssd, ListModems, Origin, RunUssd
from otpbroker.messaging.operators import operator_of
from otpbroker.messaging.outcome import ModemList, Result, UssdReplied
from otpbroker.messaging.sender import Fleet, Sender
from otpbroker.messaging.ussd import RIGHT

_log = logging.getLogger(__name__)

# All times in seconds. The first check after a start: the modems one after the other, and not before messages.
FIRST_LEAST, FIRST_MOST = 60.0, 600.0
RETRIES = (60.0, 300.0, 900.0)  # pauses after a check that failed; then it is left until the next time
POSTPONED = 60.0  # while messages wait for the modem
POSTPONED_MOST = 60  # times: then it is left until the next time
SPREAD = 300.0  # by which checks at one time of day are drawn apart
_JITTER = 0.05  # of the hours from check to check
_LONGEST_TEXT = 500  # characters that a pattern is tried on

_ORIGIN = Origin("balance", "", frozenset({RIGHT}))


class Core(Protocol):
    """The dispatcher, as far as it is used here."""

    async def submit(self, command: Command, origin: Origin, *, wait: float | None = None) -> Result: ...


@dataclass(frozen=True, slots=True)
class Balance:
    """What a SIM had left at a time (Unix seconds)."""

    imsi: str
    amount: Decimal
    at: float
    low: bool


class Balances:
    """A part that lives: one task for each modem whose configuration asks for it."""

    def __init__(self, *, fleet: Fleet, core: Core, bus: Bus, clock: Clock) -> None:
        self._fleet = fleet
        self._core = core
        self._bus = bus
        self._clock = clock
        self._known: dict[str, Balance] = {}  # by modem id; outlives the senders
        self._news = asyncio.Event()
        self._keepers: dict[tuple[Sender, BalanceSection], asyncio.Task[None]] = {}

    def senders_changed(self) -> None:
        """A sender came, went, or changed its readiness or configuration."""
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def run(self) -> None:
        """Check until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    news = self._news
                    self._employ(group)
                    await news.wait()
        finally:
            self._keepers.clear()

    async def check(self, modem_id: str) -> Balance:
        """Ask now. Raises what USSD raises, and `Misconfigured` when code or pattern are missing or don't fit."""
        sender = next((each for each in self._fleet.senders if each.config.id == modem_id), None)
        if sender is None:
            raise Rejected("modem-unknown", "there is no modem with this id", field="modem_id")
        return await self._check(sender, sender.config.balance or BalanceSection())

    def _employ(self, group: asyncio.TaskGroup) -> None:
        """A keeper for each modem that wants one now."""
        wanted = {
            (sender, sender.config.balance)
            for sender in self._fleet.senders
            if sender.config.active and sender.config.balance is not None
        }
        for gone in self._keepers.keys() - wanted:
            self._keepers.pop(gone).cancel()
        for sender, settings in wanted - self._keepers.keys():
            keeper = self._keep(sender, settings)
            name = f"balance {sender.config.id}"
            self._keepers[sender, settings] = group.create_task(keeper, name=name)

    async def _keep(self, sender: Sender, settings: BalanceSection) -> None:
        pause = random.uniform(FIRST_LEAST, FIRST_MOST)  # noqa: S311 # spreads the modems
        await self._ready(sender)
        known = self._known.get(sender.config.id)
        if known is not None and known.imsi == sender.status.imsi:
            self._show(sender, settings, known.amount, known.at)
            pause = max(pause, self._pause(settings, known.at))
        while True:
            if await self._same_sim(sender, pause):
                await self._try(sender, settings)
                pause = self._pause(settings, self._clock.now())
            else:
                pause = random.uniform(FIRST_LEAST, FIRST_MOST)  # noqa: S311

    async def _try(self, sender: Sender, settings: BalanceSection) -> None:
        """One check, with the retries that it takes, when no message waits for the modem."""
        for pause in (*RETRIES, None):
            if not await self._free(sender):
                return
            try:
                await self._check(sender, settings)
            except OtpBrokerError as error:
                _log.warning("modem %s: balance not known: %s", sender.config.id, error)
                if pause is None or isinstance(error, Misconfigured | Rejected):
                    return
                await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311
            else:
                return

    async def _free(self, sender: Sender) -> bool:
        """Wait for a ready modem without messages that wait for it; False: it has no moment for this."""
        for _ in range(POSTPONED_MOST):
            await self._ready(sender)
            found = await self._core.submit(ListModems(), _ORIGIN)
            assert isinstance(found, ModemList)
            if not any(modem.waiting for modem in found.modems if modem.id == sender.config.id):
                return True
            await asyncio.sleep(POSTPONED * random.uniform(0.8, 1.2))  # noqa: S311
        return False

    async def _ready(self, sender: Sender) -> None:
        while True:
            news = self._news
            if sender.ready:
                return
            await news.wait()

    async def _same_sim(self, sender: Sender, seconds: float) -> bool:
        """Let the time pass; False, and at once, when another SIM is in the modem: its balance is not known."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    news = self._news
                    known = self._known.get(sender.config.id)
                    if known is not None and sender.ready and sender.status.imsi != known.imsi:
                        del self._known[sender.config.id]
                        sender.tell_balance("", None, low=False)
                        return False
                    await news.wait()
        except TimeoutError:
            return True

    async def _check(self, sender: Sender, settings: BalanceSection) -> Balance:
        operator = operator_of(sender.status.imsi)
        code = settings.ussd or (operator and operator.ussd)
        pattern = settings.pattern or (operator and operator.pattern)
        if not code or not pattern:
            raise Misconfigured(
                "balance-not-configured",
                "the code for the balance of this operator is not known",
                field="balance",
                remedy="set the modem's balance.ussd and balance.pattern",
            )
        answer = await self._core.submit(RunUssd(sender.config.id, code), _ORIGIN)
        assert isinstance(answer, UssdReplied)
        if answer.replyable:
            await self._core.submit(EndUssd(sender.config.id), _ORIGIN)
        return self._show(sender, settings, _found(answer.text, pattern), self._clock.now())

    def _show(self, sender: Sender, settings: BalanceSection, left: Decimal, at: float) -> Balance:
        limit = settings.warn_below
        low = limit is not None and left < Decimal(str(limit))
        before = self._known.get(sender.config.id)
        balance = self._known[sender.config.id] = Balance(sender.status.imsi, left, at, low)
        sender.tell_balance(shown(left), at, low=low)
        if low and limit is not None and not (before and before.low):
            _log.warning("modem %s: its balance %s is below %g", sender.config.id, shown(left), limit)
            self._bus.publish(LowBalance(sender.config.id, shown(left), limit, at))
        return balance

    def _pause(self, settings: BalanceSection, since: float) -> float:
        """Seconds from now to the check that follows the one at `since`."""
        now = self._clock.now()
        if settings.at:
            return _until(settings.at, now) + random.uniform(0, SPREAD)  # noqa: S311
        seconds = 3600 * settings.every * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311
        return min(max(0.0, since + seconds - now), seconds)  # the clock may have been set back since


def _found(text: str, pattern: str) -> Decimal:
    found = re.search(pattern, text[:_LONGEST_TEXT])
    left = amount(found["amount"] or "") if found else None
    if left is None:
        raise Misconfigured(
            "balance-not-found",
            "the operator's answer holds no amount where it is looked for",
            field="balance.pattern",
            remedy="run the code by hand, then correct the modem's balance.pattern",
        )
    return left


def _until(times: tuple[str, ...], now: float) -> float:
    """Seconds to the next of these times of day, by the clock on the wall."""
    today = datetime.fromtimestamp(now).astimezone()
    moments = (
        (today + timedelta(days=day)).replace(hour=int(time[:2]), minute=int(time[3:]), second=0, microsecond=0)
        for time in times
        for day in (0, 1)
    )
    return min(moment.timestamp() - now for moment in moments if moment.timestamp() > now)
