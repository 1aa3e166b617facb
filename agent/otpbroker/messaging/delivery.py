"""From the journal to a sender and back: how an accepted message reaches its one final outcome.

A message waits in the pool, a sender's lane pulls it, the sender's word is final. Only when it is certain that
nothing was sent does the message go to the next modem.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from otpbroker.clock import Clock
from otpbroker.config.model import Config
from otpbroker.errors import Unavailable
from otpbroker.events import Bus, MessageChanged, ModemChanged, ModemStatus
from otpbroker.messaging.command import Origin
from otpbroker.messaging.delivery_reports import LATEST, DeliveryReports
from otpbroker.messaging.in_air import InAir
from otpbroker.messaging.journal import Journal
from otpbroker.messaging.limits import Allowances
from otpbroker.messaging.message import Message
from otpbroker.messaging.message_rows import Identity, Left
from otpbroker.messaging.outcome import Arrival, Outcome, Receipt, State
from otpbroker.messaging.pool import Pool
from otpbroker.messaging.report import Report
from otpbroker.messaging.sender import Fleet, Sender
from otpbroker.sms.reference import References
from otpbroker.sms.submission import Refused, Retry, SendResult, Sent, Sms, Unknown
from otpbroker.sms.submit import encode_submit, with_validity

_log = logging.getLogger(__name__)

RETRY_ROUNDS = 2  # after every modem of the route refused for the moment
RETRY_PAUSE = 2.0  # seconds before a further round; +CMS ERROR 512/515 clear within about this time
DOUBT_AFTER = 10.0  # seconds of air time; networks answer within two to five, what waits should not wait longer
KEEP_OUTCOMES = 86400.0  # seconds that a final outcome is remembered, at least
HOUSEKEEPING = 3600.0

_MODEMS_WORD = ("cms-", "cme-", "at-")  # all other causes are of modems that could not say one


class Delivery:
    """Moves messages to senders; `on_final` hears of each message that ended."""

    def __init__(
        self,
        *,
        config: Callable[[], Config],
        fleet: Fleet,
        in_air: InAir,
        journal: Journal,
        limits: Allowances,
        report: Report,
        delivery_reports: DeliveryReports,
        bus: Bus,
        clock: Clock,
        blocked: Callable[[str], bool],
        on_final: Callable[[Message, State], None],
    ) -> None:
        self._config = config
        self._fleet = fleet
        self._in_air = in_air
        self._journal = journal
        self._report = report
        self._delivery_reports = delivery_reports
        self._bus = bus
        self._clock = clock
        self._blocked = blocked
        self._on_final = on_final
        self._references = References()
        self._pool = Pool(fleet, config, limits, clock, self._expired, self._held_back)
        self._open: dict[str, Message] = {}
        self._lanes: dict[Sender, asyncio.Task[None]] = {}
        self._on_trial: set[str] = set()  # senders that last left a message without a word
        self._group: asyncio.TaskGroup | None = None

    @property
    def waiting(self) -> int:
        """Messages that no sender has yet."""
        return len(self._pool)

    def status(self, sender: Sender) -> ModemStatus:
        """Its snapshot with what the core knows of it: what waits for it, and what its limits say."""
        status = replace(sender.status, waiting=self._pool.waiting_for(sender.config.id))
        held_back = self._pool.held_back(sender.config.id)
        if held_back is None:
            return status
        return replace(status, notes=(*status.notes, held_back.code), held_back_until=held_back.until)

    def admit(self, message: Message, text: str, identity: Identity | None) -> None:
        """Accept a message: from the return on it is in the journal and on its way.

        Raises `Unavailable` when no sender could take it or it can't be written: then nothing will be sent.
        """
        self._encode(message, text)
        try:
            self._pool.require_route(message)
        except Unavailable as error:
            if not message.origin.lent:  # its broker has it still, and gives it again, and again
                self.refuse(message, State.FAILED, error.code, error.detail)
            raise
        self._journal.accept(message, text, identity)
        self._wait_for_sender(message)

    def refuse(self, message: Message, state: State, error: str, detail: str) -> Outcome:
        """End a message that never waited."""
        return self._finish(message, state, error=error, detail=detail, waited=False)

    def withdraw(self, message_id: str) -> None:
        """Give a message back to its broker: it fails as `returned`, or ends as it ends when a sender has it."""
        message = self._open.get(message_id)
        if message is None or message.result is not None:
            return
        message.withdrawn = True
        if self._pool.withdraw(message):
            self._returned(message)

    def release(self) -> None:
        """End every wait for a final outcome; the messages go on."""
        for message in self._open.values():
            message.finished.set()

    async def outcome(self, message_id: str, *, caller: str | None, wait: float = 0.0) -> Outcome | None:
        """What is known of a message of this caller (None: of anybody's); waits for the final word if asked to."""
        message = self._open.get(message_id)
        if message is not None:
            if caller is not None and message.origin.caller != caller:
                return None
            return await message.settled(wait)
        known = self._journal.outcome(message_id)
        if known is None or (caller is not None and known[1] != caller):
            return None
        return known[0]

    async def run(self) -> None:
        """Take up what a former process left, then serve the senders until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._recover()
                self.senders_changed()
                while True:
                    await asyncio.sleep(HOUSEKEEPING)
                    keep = max(KEEP_OUTCOMES, self._config().sms.duplicate_window)
                    over = self._clock.monotonic() - LATEST
                    with _best_effort("old outcomes stay"):
                        self._journal.forget(self._clock.now() - keep, reports_over=over)
        finally:
            self._group = None
            self._lanes.clear()
            self._pool.close()

    def senders_changed(self) -> None:
        """The fleet tells: a sender came, went, or changed its readiness."""
        if self._group is None:
            return
        for gone in self._lanes.keys() - set(self._fleet.senders):
            self._lanes.pop(gone).cancel()
        for sender in self._fleet.senders:
            if sender not in self._lanes:
                self._lanes[sender] = self._group.create_task(self._lane(sender), name=f"lane {sender.config.id}")
        self._pool.refresh()

    async def _lane(self, sender: Sender) -> None:
        """One message at a time, pulled when the sender is free; what is in the air is answered before it ends."""
        while not _cancelled():
            message = await self._pool.take(sender)
            try:
                await self._transmit(message, sender)
            except asyncio.CancelledError:
                if message.result is None:  # cancelled before the first octet of a PDU
                    self._wait_for_sender(message)
                raise

    async def _transmit(self, message: Message, sender: Sender) -> None:
        if not await self._may_begin(message):
            return
        message.modem_id, message.imei = sender.config.id, sender.status.imei
        self._enter(message, State.SENDING)
        try:
            self._journal.sending(message)
        except Unavailable as error:
            self._finish(message, State.FAILED, error=error.code, detail=error.detail)
            return
        self._publish(message.outcome)
        if message.status_report:
            self._delivery_reports.begin(sender.config.id, message.receiver)
        try:
            self._conclude(message, sender, await self._send(message, sender))
        finally:
            self._delivery_reports.end(sender.config.id)

    async def _send(self, message: Message, sender: Sender) -> SendResult:
        left = message.deadline - self._clock.monotonic()
        sms = Sms(message.id, with_validity(message.pdus, left), message.deadline)
        sender_id = sender.config.id
        # One that was brought back has to show that it sends: until then nothing waits behind what it has.
        doubt_after = 0.0 if sender_id in self._on_trial else DOUBT_AFTER
        doubt = asyncio.get_running_loop().call_later(doubt_after, self._pool.doubt, sender_id)
        try:
            return await sender.send(sms, more=self._pool.has_more(sender_id))
        except Exception:  # noqa: BLE001 # told apart nowhere: see below
            # A defect of ours in mid-air: the honest answer is that nobody knows. The lane must go on.
            _log.exception("modem %s: sending broke", sender_id)
            return Unknown("internal-error")
        finally:
            doubt.cancel()
            self._pool.trust(sender_id)

    def _conclude(self, message: Message, sender: Sender, result: SendResult) -> None:
        (self._on_trial.add if _speechless(result) else self._on_trial.discard)(sender.config.id)
        match result:
            case Sent(references):
                self._finish(message, State.SENT, references=references)
            case Unknown(cause, references):
                detail = _what_is_known(cause, len(references), len(message.pdus))
                self._finish(message, State.UNKNOWN, references=references, error=cause, detail=detail)
            case Refused("expired", _):
                self._finish(message, State.EXPIRED, error="expired", detail="a modem had it, but was too slow")
            case Refused(cause, Retry.NEVER):
                self._finish(message, State.FAILED, error=cause, detail="the modem refused it")
            case Refused(cause, retry):
                self._try_again(message, sender, cause, retry)

    async def _may_begin(self, message: Message) -> bool:
        """What may have changed since it was accepted; False: that was its end."""
        if message.deadline <= self._clock.monotonic():  # handed over before its timer had its turn
            self._expired(message)
        elif not await _is_ours(message):
            self._returned(message)
        elif self._blocked(message.receiver):
            self._finish(message, State.BLOCKED, error="blocked")
        return message.result is None

    def _try_again(self, message: Message, sender: Sender, cause: str, retry: Retry) -> None:
        """Nothing was sent, for certain: the next modem, or after a pause those that may take it later."""
        if message.last_try:
            self._finish(message, State.FAILED, error=cause, detail="it was refused twice")
            return
        message.last_try = retry is Retry.ONCE
        (message.barred_by if retry is Retry.ELSEWHERE else message.refused_by).add(sender.config.id)
        if self._pool.open_to(message):
            self._wait_for_sender(message)
            return
        message.rounds += 1
        if message.rounds > RETRY_ROUNDS or self._pool.barred(message):
            if self._has_route(message):  # by a modem that its limits hold back until then
                self._wait_for_sender(message)
                return
            self._finish(message, State.FAILED, error=cause, detail=_why_not(cause))
            return
        message.refused_by.clear()
        # Where all modems are gone for the moment it waits for them, as what was accepted and never tried does.
        self._wait_for_sender(message, pause=RETRY_PAUSE * message.rounds)

    def _has_route(self, message: Message) -> bool:
        try:
            self._pool.require_route(message)
        except Unavailable:
            return False
        return True

    def _wait_for_sender(self, message: Message, pause: float = 0.0) -> None:
        if message.withdrawn:
            self._returned(message)
            return
        known = message.state is not State.ACCEPTED
        self._pool.settle(message, sent=False)
        self._open[message.id] = message
        self._enter(message, State.QUEUED)
        if known:
            with _best_effort(f"after a crash {message.id} will count as unknown"):
                self._journal.waiting(message)
        self._pool.put(message, pause)

    def _recover(self) -> None:
        """What a former process accepted: unsent messages go on, one in the air waits for a late answer."""
        in_air = []
        for left in self._journal.left():
            # A run that ended by a defect left its messages here, with the callers that wait for them.
            message = self._open.get(left.id) or _restored(left)
            if message.result is not None:
                self._record(message, message.result)
            elif left.state is State.SENDING:
                self._open[message.id] = message
                self._pool.resume(message)
                in_air.append(message)
                if message.status_report and message.modem_id is not None:
                    self._delivery_reports.begin(message.modem_id, message.receiver)
            elif left.lent and left.id not in self._open:  # its broker gives it again, perhaps to another device
                self._returned(message)
            elif left.text is None:
                self._finish(message, State.FAILED, error="text-lost", detail="its key is gone: send it again")
            else:
                self._encode(message, left.text)
                self._wait_for_sender(message)
        self._in_air.begin(in_air, self._finish_in_air)

    def _finish_in_air(self, message: Message, state: State, references: tuple[int, ...]) -> None:
        lost = state is State.UNKNOWN
        detail = "the agent was stopped while it was in the air" if lost else ""
        self._finish(message, state, references=references, error="agent-died" if lost else None, detail=detail)
        self._delivery_reports.end(message.modem_id or "")

    def _encode(self, message: Message, text: str) -> None:
        message.pdus = encode_submit(
            message.receiver,
            text,
            reference=self._references.allocate(message.receiver),
            life=message.deadline - self._clock.monotonic(),
            status_report=message.status_report,
        )

    def _enter(self, message: Message, state: State) -> None:
        message.state = state
        message.changed_at = self._clock.now()

    def _returned(self, message: Message) -> None:
        self._finish(message, State.FAILED, error="returned", detail="given back to the message broker")

    def _expired(self, message: Message) -> None:
        self._finish(message, State.EXPIRED, error="expired", detail="no modem was free in time")

    def _finish(
        self,
        message: Message,
        state: State,
        *,
        references: tuple[int, ...] = (),
        error: str | None = None,
        detail: str = "",
        waited: bool = True,
    ) -> Outcome:
        """The end of a message; one that `waited` is in the journal already."""
        sent = state in {State.SENT, State.UNKNOWN}
        self._pool.settle(message, sent=sent)
        if not sent:
            message.price = message.saved = None
        self._enter(message, state)
        receipt = Receipt((Arrival.WAITING,) * len(message.pdus)) if message.status_report and references else None
        outcome = replace(message.outcome, references=references, error=error, detail=detail, receipt=receipt)
        message.result = outcome
        if waited:
            self._record(message, outcome)
        else:
            with _best_effort(f"the outcome of {message.id} is not in it"):
                self._journal.refuse(message, reported=not self._config().sms.report)
        with _best_effort(f"what depends on the outcome of {message.id} is not in it"):
            self._on_final(message, state)
        if self._config().sms.report:
            self._report.add(outcome)
        self._publish(outcome)
        message.finished.set()
        message.ended.set()
        return outcome

    def _record(self, message: Message, outcome: Outcome) -> None:
        """Write a final outcome; one that can't be written is told from memory."""
        with _best_effort(f"the outcome of {message.id} is not in it"):
            self._journal.final(
                outcome,
                keeps_id=outcome.state in {State.SENT, State.UNKNOWN},
                reported=not self._config().sms.report,
                target=self._delivery_reports.target(message.receiver) if outcome.receipt else None,
            )
            self._open.pop(message.id, None)

    def _held_back(self, sender_id: str) -> None:
        """Its limits hold it back now, or no more: pages show that."""
        for sender in self._fleet.senders:
            if sender.config.id == sender_id:
                self._bus.publish(ModemChanged(self.status(sender)))

    def _publish(self, outcome: Outcome) -> None:
        self._bus.publish(
            MessageChanged(
                id=outcome.id,
                state=outcome.state.value,
                source=outcome.source,
                receiver=outcome.receiver,
                modem_id=outcome.modem_id,
                parts=outcome.parts,
                at=outcome.changed_at,
                error=outcome.error,
                arrival=outcome.receipt.arrival.value if outcome.receipt else None,
            )
        )


async def _is_ours(message: Message) -> bool:
    """Whether its broker has not taken it back, perhaps while it was claimed."""
    claimed = message.claim is None or (not message.withdrawn and await message.claim(message.id))
    return claimed and not message.withdrawn


def _what_is_known(cause: str, sent: int, parts: int) -> str:
    if 0 < sent < parts:
        return f"{sent} of its {parts} parts were sent"
    if cause.startswith("cms-"):
        return "the network did not confirm it"
    return "the modem's answer is missing"


def _why_not(cause: str) -> str:
    return "every modem refused it" if cause.startswith(_MODEMS_WORD) else "no modem could take it"


def _speechless(result: SendResult) -> bool:
    """Whether the modem let its time pass without a word on the message."""
    match result:
        case Refused(cause, retry):
            return retry is Retry.LATER and not cause.startswith(_MODEMS_WORD)
        case Unknown(cause):
            return not cause.startswith(_MODEMS_WORD)
    return False


def _restored(left: Left) -> Message:
    return Message(
        id=left.id,
        origin=Origin(left.source, left.caller, lent=left.lent),
        receiver=left.receiver,
        pdus=("",) * left.parts,
        length=left.length,
        encoding=left.encoding,
        accepted_at=left.accepted_at,
        expires_at=left.expires_at,
        deadline=left.deadline,
        modem_id=left.modem_id,
        imei=left.imei,
        only_modem=left.only_modem,
        status_report=left.status_report,
        otp_ticket=left.otp_ticket,
        price=left.price,
        saved=left.saved,
        state=left.state,
    )


def _cancelled() -> bool:
    """Whether this task was cancelled, even if what it awaited would not be."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


@contextmanager
def _best_effort(consequence: str) -> Iterator[None]:
    """Go on without the journal: what has happened to a message is told even when it can't be written."""
    try:
        yield
    except Unavailable as broken:
        _log.error("journal: %s: %s", consequence, broken)
