"""What comes in through one modem: heard, read, acknowledged, handed to the core, and only then deleted.

`heard` may be called at any time and only remembers. What talks to the modem is one small `step` at a time, between
messages; what the core needs time for (`hand_over`) runs while messages go out.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from otpbroker.modem import answers
from otpbroker.modem.at import AtConversation
from otpbroker.modem.dialect import GENERIC, Dialect
from otpbroker.modem.mailbox import Mailbox, decoded
from otpbroker.modem.memory import announced, whole_pdu
from otpbroker.modem.parts import Arrived
from otpbroker.modem.results import AtError, AtTimeout, OutOfStep
from otpbroker.modem.shared import Shared
from otpbroker.modem.status import StatusBoard
from otpbroker.modem.transmit import Part
from otpbroker.sms.deliver import Deliver
from otpbroker.sms.status_report import StatusReport
from otpbroker.sms.submission import SendResult, Sent
from otpbroker.sms.submit import asks_report

log = logging.getLogger(__name__)

NO_REPORTS, STORE_FULL = "no-reports", "store-full"  # notes of the modem's snapshot

FIRST_LOOK = 1.0  # seconds after the start: what waits to be sent goes first
LOOK = 55.0  # seconds between looks at settings and memory; shorter than the session's heartbeat
_KEEP_LIMIT = 10.0  # seconds for the core to keep a message; a disk that is slower has trouble
_AGAIN = 60.0  # seconds until a message that was not kept is offered again
_MOST_DIRECT = 64  # messages that lie in no memory and are not kept
_IN_TIME = 15.0  # seconds for an acknowledgement; after 17 the modem reports nothing any more


class Incoming:
    """One session's. `call` asks for a `hand_over` and a `step` soon."""

    def __init__(
        self,
        modem_id: str,
        conversation: AtConversation,
        board: StatusBoard,
        shared: Shared,
        call: Callable[[], None],
    ) -> None:
        self._modem_id = modem_id
        self._at = conversation
        self._board = board
        self._inbound = shared.inbound
        self._habits = shared.habits
        self._call = call
        self._now = asyncio.get_running_loop().time
        self._arrivals = shared.arrivals[modem_id]
        self._whole = self._arrivals.whole
        self._mailbox = Mailbox(
            conversation,
            shared.habits,
            self._arrivals.parts,
            arrived=self._arrived,
            reported=self._reported,
            holds=lambda part: shared.inbound.holds(modem_id, part),
            now=self._now,
            wall=shared.clock,
        )
        self._dialect: Dialect = GENERIC
        self._acknowledges = False  # +CSMS=1 is in force: each +CMT and +CDS wants its +CNMA
        self._answers: deque[tuple[bool, float]] = deque()  # kept or not, and since when the modem waits
        self._asked: float | None = None  # since when the modem waits for word of a message that is in `_whole`
        self._notified: tuple[str, str] | None = None  # <mt> and <ds> of +CNMI as they were accepted
        self._deaf = False  # +CNMI may not be as it was
        self._look_at = self._read_at = 0.0
        self._offer_at = 0.0

    async def begin(self, dialect: Dialect) -> None:
        """The modem has started: have it tell of what comes in. What its memory holds is read later, by steps."""
        status = self._board.status
        self._dialect = dialect
        self._arrivals.forget_memory()
        self._mailbox.reset(f"{status.imei} {status.iccid}")
        self._answers.clear()
        self._asked = None
        self._look_at = self._read_at = self._now() + FIRST_LOOK
        # Phase 2: reports and messages then need no +CNMA, whose absence would switch them off after 17 s.
        await self._ask("AT+CSMS=0")
        self._acknowledges = answers.number(await self._ask("AT+CSMS?"), "+CSMS:") == 1
        await self._notify()
        asyncio.get_running_loop().call_later(FIRST_LOOK, self._call)

    def heard(self, line: str, pdu: str) -> bool:
        """Whether an unsolicited line was about something that came in."""
        if line.startswith(("+CMTI:", "+CDSI:")):
            if (place := announced(line)) is not None:
                self._mailbox.tell(place, report=line.startswith("+CDSI:"))
                self._call()
        elif line.startswith(("+CMT:", "+CDS:")):
            self._direct(whole_pdu(pdu, (answers.fields(line) or ("",))[-1]))
        else:
            return False
        return True

    def sent(self, parts: tuple[Part, ...], result: SendResult) -> None:
        """Count the reports that the network owes now."""
        if isinstance(result, Sent):
            for part in parts:
                if asks_report(part.pdu):
                    self._habits.asked(self._who, self._now())

    async def hand_over(self) -> None:
        """Give the core what is whole; returns when it has it, or does not take it now."""
        while self._offers:
            arrived = self._whole.popleft()
            try:
                kept = arrived.message is None or await self._keep(arrived)
            except asyncio.CancelledError:  # what was acknowledged is nowhere else
                self._whole.appendleft(arrived)
                raise
            if kept:
                self._mailbox.free(arrived.places)
            asked = self._asked if arrived.direct else None
            # Then the network sends it again; of a long one it would send the last part alone.
            refused = asked is not None and not kept and not arrived.long
            if asked is not None:
                self._answers.append((not refused, asked))
                self._asked = None
            if not kept and not refused:
                self._whole.appendleft(arrived)
                self._offer_at = self._now() + _AGAIN

    async def step(self) -> None:
        """Do what is next, one or few commands; `call` if there is more. For the session's turn.

        A modem that does not answer is out of step then, and the session starts it anew. Raises `LinkLost`.
        """
        try:
            await self._next()
        except AtTimeout as failure:
            log.warning("modem %s, incoming messages: %s", self._modem_id, failure)
            return
        except OutOfStep:
            return
        if self._answers or self._deaf or self._reads or self._offers:
            self._call()

    async def _next(self) -> None:
        if self._answers:
            await self._acknowledge(*self._answers.popleft())
        elif self._deaf:
            await self._notify()
        elif self._reads:
            await self._mailbox.step()
            if not self._mailbox.busy and STORE_FULL in self._board.status.notes:
                self._look_at = 0.0
        elif self._now() >= self._look_at:
            self._look_at = self._now() + LOOK
            await self._look()

    async def _look(self) -> None:
        if self._notified is not None and (lines := await self._ask("AT+CNMI?")):
            values = answers.fields(lines[0])
            if len(values) > 3 and (values[1], values[3]) != self._notified:
                log.info("modem %s had stopped telling of what comes in", self._modem_id)
                await self._notify()
        self._note(STORE_FULL, await self._mailbox.look())
        self._note(NO_REPORTS, self._habits.never_reports(self._who, self._now()))

    @property
    def _reads(self) -> bool:
        return self._mailbox.busy and self._now() >= self._read_at

    @property
    def _offers(self) -> bool:
        return bool(self._whole) and self._now() >= self._offer_at

    @property
    def _who(self) -> str:
        return f"{self._board.status.imei} {self._board.status.iccid}"

    def _direct(self, pdu: str) -> None:
        match decoded(pdu):
            case StatusReport() as report:
                self._reported(report)
                self._answer()
            case Deliver() as part:
                if self._acknowledges:
                    self._asked = self._now()
                if not self._mailbox.take(part, None):
                    self._asked = None
                    self._answer()
            case None:
                log.warning("modem %s: what came in is no PDU that is known", self._modem_id)
                self._answer()

    def _answer(self) -> None:
        if self._acknowledges:
            self._answers.append((True, self._now()))
            self._call()

    async def _acknowledge(self, kept: bool, since: float) -> None:
        self._deaf = True  # too late, or not as the modem wants it: it may have gone silent
        for command in ("AT+CNMA", "AT+CNMA=1") if kept else ("AT+CNMA=2",):
            try:
                await self._at.command(command)
            except AtError:
                continue
            self._deaf = self._now() - since > _IN_TIME
            return

    async def _notify(self) -> None:
        self._deaf = False
        self._notified = None
        for command in self._dialect.notify:
            try:
                await self._at.command(command)
            except AtError:
                continue
            _, incoming, _, report, *_ = command.partition("=")[2].split(",")
            self._notified = incoming, report
            return

    def _arrived(self, arrived: Arrived) -> None:
        direct = [at for at, each in enumerate(self._whole) if each.direct]
        if arrived.direct and len(direct) >= _MOST_DIRECT:
            log.error("modem %s: a message that could not be kept is lost", self._modem_id)
            del self._whole[direct[0]]
        self._whole.append(arrived)
        self._call()

    def _reported(self, report: StatusReport) -> None:
        self._habits.reported(self._who)
        self._note(NO_REPORTS, there=False)
        self._inbound.reported(self._modem_id, report)

    async def _keep(self, arrived: Arrived) -> bool:
        assert arrived.message is not None
        try:
            async with asyncio.timeout(_KEEP_LIMIT):
                return await self._inbound.received(self._modem_id, arrived.message)
        except TimeoutError:
            log.warning("modem %s: keeping a message takes too long", self._modem_id)
            return False
        except Exception as defect:  # noqa: BLE001 # of ours: the modem goes on, the message stays; the text in it is not logged
            log.error("modem %s: keeping a message broke: %s", self._modem_id, type(defect).__name__)  # noqa: TRY400
            return False

    def _note(self, code: str, there: bool) -> None:
        others = tuple(note for note in self._board.status.notes if note != code)
        self._board.update(notes=(*others, code) if there else others)

    async def _ask(self, command: str) -> tuple[str, ...]:
        try:
            return await self._at.command(command)
        except AtError:
            return ()
