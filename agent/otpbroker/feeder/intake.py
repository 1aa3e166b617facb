"""From a broker's octets to honest outcomes, one path for all brokers; knows none of them."""

import asyncio
import hashlib
import math
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from otpbroker.clock import Clock
from otpbroker.errors import OtpBrokerError, Rejected, UnknownOutcome
from otpbroker.feeder.array import LONGEST_HOLD, Ended, carry_out_all
from otpbroker.feeder.delivery import (
    WORST_FIRST,
    Delivery,
    Handled,
    Verdict,
    has_end,
    outcome_of,
    verdict_of,
    verdict_of_error,
    with_times,
)
from otpbroker.feeder.repetitions import Claims, Repetitions
from otpbroker.feeder.sealed_form import identity
from otpbroker.messaging import wire
from otpbroker.messaging.command import (
    Block,
    Command,
    Echo,
    Origin,
    Repeatable,
    RequestOtp,
    RunUssd,
    SendSms,
    Unblock,
    VerifyOtp,
)
from otpbroker.messaging.dispatcher import REPEATED_WITHIN
from otpbroker.messaging.message import Claim
from otpbroker.messaging.outcome import OtpRequested, Outcome, Result, State
from otpbroker.redact import mask_number


class Unseal(Protocol):
    def __call__(self, body: bytes) -> tuple[bytes, bool]:
        """Clear octets, and whether they were sealed; raises `Rejected`."""
        ...


class Core(Protocol):
    """The dispatcher, as far as it is used here."""

    async def submit(
        self, command: Command, origin: Origin, *, wait: float | None = None, claim: Claim | None = None
    ) -> Result: ...

    async def outcome(self, message_id: str, *, caller: str | None, wait: float = 0.0) -> Outcome | None: ...

    def withdraw(self, message_id: str) -> None: ...

    @property
    def duplicate_window(self) -> float: ...


@dataclass(frozen=True, slots=True)
class _Given:
    """A delivery on its way through."""

    delivery: Delivery
    digest: str
    came_at: float
    sealed: bool
    claims: Claims | None
    began: Callable[[str], None]

    def key(self, place: int) -> str:
        """One command of it; with the broker's id the octets count too, for ids are not always unique."""
        return f"{self.delivery.message_id or ''}/{self.digest}/{place}"


class Intake:
    """Hands the commands of one feeder to the core and waits for what becomes of them.

    `lent`: the broker keeps each message until it is told how it ended, and gives it to another device when this
    one is gone. Then a message that still waits is given up when `handle` is cancelled; else it goes on.
    """

    def __init__(
        self,
        core: Core,
        *,
        source: str,
        caller: str,
        rights: frozenset[str],
        unseal: Unseal,
        sealed_only: bool,
        clock: Clock,
        lent: bool = False,
    ) -> None:
        self._core = core
        self._origin = Origin(source, caller, rights, lent)
        self._unseal = unseal
        self._sealed_only = sealed_only
        self._clock = clock
        self.counts: Counter[Verdict] = Counter()  # of what was handled
        self._repetitions = Repetitions()
        self._in_order = asyncio.Lock()  # a message that comes after an unblocking is not to pass it

    def withdraw(self, message_id: str) -> None:
        """Give a message up that waits for a modem; it ends as NOT_NOW."""
        self._core.withdraw(message_id)

    def connected(self) -> None:
        """A connection begins: its broker may have done anything with what went back to it before."""
        self._repetitions.connected()

    def lending(self, lent: bool) -> "Intake":
        """The same way into the core, for a broker that turns out to keep its messages, or not to."""
        other = copy(self)
        other._origin = replace(self._origin, lent=lent)  # noqa: SLF001 # of a copy of this one
        return other

    async def outcome(self, message_id: str, wait: float) -> Outcome | None:
        """What is known of a message by our id after so many seconds; None: nothing."""
        return await self._core.outcome(message_id, caller=None, wait=wait)

    async def handle(
        self,
        delivery: Delivery,
        *,
        claims: Claims | None = None,
        began: Callable[[str], None] = lambda _: None,
        beside: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> Handled:
        """Wait for the final outcome, however long its life is; `began` is told our id of each message.

        `beside` is around the pauses of an array whose rest the modems can't take now.
        """
        handled = await self._handle(delivery, claims, began, beside)
        self.counts[handled.verdict] += 1
        return handled

    async def _handle(
        self,
        delivery: Delivery,
        claims: Claims | None,
        began: Callable[[str], None],
        beside: Callable[[], AbstractContextManager[None]],
    ) -> Handled:
        try:
            clear, sealed = self._unsealed(delivery.body)
            envelope = wire.parse(clear)
        except Rejected as error:
            return Handled(Verdict.REFUSED, error.code, wire.refuse(error))
        digest = hashlib.sha256(delivery.body).hexdigest()[:32]
        key = f"{delivery.message_id or ''}/{digest}"
        if delivery.redelivered and claims is None and self._repetitions.came_back(key):
            delivery = replace(delivery, redelivered=False)
        handled = await self._handle_opened(delivery, envelope, digest, sealed, claims, began, beside)
        if handled.verdict is Verdict.NOT_NOW:
            self._repetitions.went_back(key)
        return handled

    async def _handle_opened(
        self,
        delivery: Delivery,
        envelope: wire.Envelope,
        digest: str,
        sealed: bool,
        claims: Claims | None,
        began: Callable[[str], None],
        beside: Callable[[], AbstractContextManager[None]],
    ) -> Handled:
        if sealed:  # whatever id its broker gives it: who repeats it can't change this one
            delivery = replace(delivery, message_id=identity(delivery.body))
        given = _Given(delivery, digest, self._clock.now(), sealed, claims, began)
        if not envelope.several:
            (item,) = envelope.items
            ended = await self._carry_out(item, given, 0)
            answer = _without_clear_text(ended.answer, item) if sealed else ended.answer
            return Handled(
                ended.verdict,
                ended.reason,
                answer or None,
                envelope.callback_topic or None,
                envelope.callback_delay,
            )
        all_ended = await carry_out_all(
            envelope.items, lambda item, place: self._carry_out(item, given, place), beside
        )
        worst = min(all_ended, key=lambda ended: WORST_FIRST.index(ended.verdict))
        answers = [ended.answer for ended in all_ended]
        if sealed:
            answers = [_without_clear_text(*told) for told in zip(answers, envelope.items, strict=True)]
        return Handled(
            worst.verdict,
            worst.reason,
            wire.answer_several(answers),
            reasons=tuple(ended.reason for ended in all_ended),
        )

    def _unsealed(self, body: bytes) -> tuple[bytes, bool]:
        clear, sealed = self._unseal(body)
        if self._sealed_only and not sealed:
            raise Rejected("not-sealed", "this feeder takes encrypted messages alone")
        return clear, sealed

    async def _carry_out(self, item: wire.Item, given: _Given, place: int) -> Ended:
        try:
            if isinstance(item.command, Rejected):
                raise item.command
            result = await self._result(item.command, given, place)
        except OtpBrokerError as error:
            return Ended(*verdict_of_error(error, item.command), wire.answer(item, error))
        judged = verdict_of(result, of_use_until_then=has_end(item.command, given.delivery))
        return Ended(*judged, wire.answer(item, result))

    async def _result(self, command: Command, given: _Given, place: int) -> Result:
        """The final one. Raises what the core raises."""
        delivery, claims = given.delivery, given.claims
        if isinstance(command, RunUssd) and delivery.redelivered:
            raise UnknownOutcome("begun-before", "it may have been run before, and is not run twice")
        if given.sealed and isinstance(command, Block | Unblock | RunUssd):
            with self._repetitions.once(f"{delivery.message_id or given.digest}/{place}"):
                return await self._act(command)
        if isinstance(command, VerifyOtp):
            verify = partial(self._act, command)
            return await self._repetitions.verified(given.key(place), delivery.redelivered, verify)
        if not isinstance(command, SendSms | RequestOtp):
            return await self._act(command)
        async with self._in_order:  # what was published after an unblocking comes after it
            pass
        command = with_times(command, delivery, given.came_at)
        key = given.key(place)
        again = delivery.redelivered or delivery.message_id is not None
        begun = False
        # Others' claims are a day old at most: an id is compared with them where that is what its device would do.
        by_id = command.id is not None and self._core.duplicate_window >= REPEATED_WITHIN
        if claims is not None and (again or by_id):
            earlier = await claims.earlier(key, certain=delivery.redelivered)
            if earlier is not None and earlier.state is State.SENT:
                return _as_result(command, earlier)
            begun = earlier is not None
        name = f"{delivery.message_id}/{place}" if delivery.message_id is not None else key
        command = replace(command, repeatable=Repeatable(name, again, begun, delivery.redelivered))
        claim = None if claims is None else lambda message_id: claims.claim(key, message_id)
        result = await self._core.submit(command, self._origin, claim=claim)
        assert isinstance(result, Outcome | OtpRequested)
        outcome = await self._final(outcome_of(result), given)
        if claims is not None:
            await claims.settle(key, outcome)
        return replace(result, outcome=outcome) if isinstance(result, OtpRequested) else outcome

    async def _act(self, command: Command) -> Result:
        if not isinstance(command, Block | Unblock):
            return await self._core.submit(command, self._origin)
        async with self._in_order:
            return await self._core.submit(command, self._origin)

    async def _final(self, outcome: Outcome, given: _Given) -> Outcome:
        given.began(outcome.id)
        if outcome.state.final:
            return outcome
        try:
            if self._origin.lent:
                outcome = await self._wait(outcome, LONGEST_HOLD)
                if not outcome.state.final:
                    self._core.withdraw(outcome.id)
            return await self._wait(outcome, math.inf)
        except asyncio.CancelledError:
            if self._origin.lent:
                self._core.withdraw(outcome.id)
            raise

    async def _wait(self, outcome: Outcome, seconds: float) -> Outcome:
        known = await self._core.outcome(outcome.id, caller=None, wait=seconds)
        if known is None:  # only when the journal lost it
            raise UnknownOutcome("outcome-lost", "what became of it is not known any more")
        return replace(known, duplicate=outcome.duplicate)


def _as_result(command: SendSms | RequestOtp, outcome: Outcome) -> Result:
    if isinstance(command, SendSms):
        return outcome
    return OtpRequested(command.reference, command.receiver, outcome.expires_at, outcome)


def _without_clear_text(answer: wire.Answer, item: wire.Item) -> wire.Answer:
    """What was sealed on its way here is not told in clear on the way back; `{}`: there is nothing else to tell."""
    if isinstance(item.command, Echo):
        return {}
    data = answer.get("data")
    if isinstance(data, dict) and "receiver" in data:
        return answer | {"data": data | {"receiver": mask_number(str(data["receiver"]))}}
    return answer
