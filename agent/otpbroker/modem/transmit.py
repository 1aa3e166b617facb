"""Sending a message's parts by AT+CMGS in PDU mode (27.005 section 4.3), and what may be said of the end."""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass

from otpbroker.errors import Rejected
from otpbroker.modem.answers import number
from otpbroker.modem.at import AtConversation
from otpbroker.modem.causes import Trouble, meaning
from otpbroker.modem.owed import LONGEST_AIR
from otpbroker.modem.results import AtError, AtFailure, AtTimeout, LinkLost, NotSubmitted, Restarted, TooLate
from otpbroker.sms.submission import Refused, Retry, SendResult, Sent, Sms, Unknown

log = logging.getLogger(__name__)

_REMEMBERED = 50
_LEAST_LIMIT = 10.0  # seconds; a network that is asked again after that is asked twice
_RECENT = 20  # PDUs, of which ...
_DOUBTS = 2  # ... so many without an answer in time are no accident


class AirTimes:
    """How long this modem took between the PDU and the answer, and so how long to wait for the next one.

    What is not answered in time has no time of its own, and says either that the network got slower or that the
    modem hangs: so it lengthens the wait, but never beyond that for a modem of which nothing is known.
    """

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=_REMEMBERED)
        self._doubts: deque[bool] = deque(maxlen=_RECENT)

    def add(self, seconds: float) -> None:
        """An answer came in time."""
        self._seconds.append(seconds)
        self._doubts.append(False)

    def missed(self) -> None:
        """None did."""
        self._doubts.append(True)

    def late(self, seconds: float) -> None:
        """One that was missed came after all: it is the network that is slow."""
        self._seconds.append(seconds)
        self._doubts.append(True)

    def limit(self, first: float) -> float:
        """Four times the 95th percentile, within bounds; `first` while it is not known, at least that in doubt."""
        if not self._seconds:
            return first
        ordered = sorted(self._seconds)
        known = min(LONGEST_AIR, max(_LEAST_LIMIT, 4 * ordered[int(0.95 * (len(ordered) - 1))]))
        return max(known, first) if sum(self._doubts) >= _DOUBTS else known


@dataclass(frozen=True, slots=True)
class Part:
    """One part, ready for the wire."""

    command: str
    pdu: str

    def __repr__(self) -> str:
        return f"Part({self.command})"


def prepare(sms: Sms) -> tuple[Part, ...]:
    """The parts as they go out; done while the message before is in the air."""
    return tuple(Part(f"AT+CMGS={Sms.tpdu_length(pdu)}", pdu) for pdu in sms.pdus)


class Transmitter:
    """Sends through one conversation, one message at a time."""

    def __init__(
        self, modem_id: str, conversation: AtConversation, air: AirTimes, *, keeps_link: bool, first_limit: float
    ) -> None:
        self._modem_id = modem_id
        self._at = conversation
        self._air = air
        self._may_keep_link = keeps_link
        self._first_limit = first_limit
        self.trouble: Trouble | None = None  # what a refusal of the last message tells of the modem
        self.unanswered_since: float | None = None  # of a part whose reference may still come, on the loop's clock

    async def send(self, parts: tuple[Part, ...], deadline: float, *, more: bool) -> SendResult:
        """Every part in order; `deadline` on the loop's clock. From the first PDU on it cannot be cancelled."""
        self.trouble = self.unanswered_since = None
        if self._may_keep_link and (more or len(parts) > 1):
            await self._keep_link()
        references: tuple[int, ...] = ()
        loop = asyncio.get_running_loop()
        for part in parts:
            if loop.time() >= deadline:
                return self._unsent("expired", references, Retry.NEVER)
            begun = loop.time()
            try:
                lines = await self._at.submit(
                    part.command,
                    part.pdu,
                    limit=self._air.limit(self._first_limit),
                    deadline=deadline,
                    cancellable=not references,
                )
            except Rejected:
                return self._unsent("invalid-pdu", references, Retry.NEVER)
            except NotSubmitted as failure:
                return self._not_submitted(failure.reason, references)
            except AtError as error:
                return self._failed(error, references)
            except AtTimeout as failure:
                return self._unanswered(failure, begun, references)
            except LinkLost:
                return Unknown("link-lost", references)
            reference = number(lines, "+CMGS:")
            if reference is None:
                return Unknown("no-reference", references)
            references = (*references, reference)
            self._air.add(loop.time() - begun)
        return Sent(references)

    async def _keep_link(self) -> None:
        """Ask once for the relay link to stay up between messages (27.005 section 3.5.6)."""
        self._may_keep_link = False
        try:
            await self._at.command("AT+CMMS=2")
        except AtFailure as failure:
            log.info("modem %s does not keep the relay link: %s", self._modem_id, failure)

    def _not_submitted(self, reason: AtFailure, references: tuple[int, ...]) -> SendResult:
        match reason:
            case AtError():
                return self._refused(reason, references)
            case TooLate():
                return self._unsent("expired", references, Retry.NEVER)
            case Restarted():
                return self._unsent("modem-restarted", references)
            case AtTimeout():
                return self._unsent("no-prompt", references)
            case LinkLost():
                return self._unsent("link-lost", references)
        return self._unsent("out-of-step", references)

    def _unanswered(self, failure: AtTimeout, begun: float, references: tuple[int, ...]) -> SendResult:
        cause = "modem-restarted" if isinstance(failure, Restarted) else "no-answer"
        reference = number(failure.lines, "+CMGS:")
        if reference is not None:
            return Unknown(cause, (*references, reference))
        if not isinstance(failure, Restarted):
            self._air.missed()
        self.unanswered_since = begun
        return Unknown(cause, references)

    def _failed(self, error: AtError, references: tuple[int, ...]) -> SendResult:
        """The modem's word on a PDU that it had."""
        if not meaning(error).unclear:
            return self._refused(error, references)
        self.trouble = meaning(error).trouble
        return Unknown(error.code, references)

    def _refused(self, error: AtError, references: tuple[int, ...]) -> SendResult:
        means = meaning(error)
        self.trouble = means.trouble
        log.warning(
            "modem %s refused part %d: %s, %s", self._modem_id, len(references) + 1, error.code, means.words
        )
        return self._unsent(error.code, references, means.retry)

    def _unsent(self, cause: str, references: tuple[int, ...], again: Retry = Retry.LATER) -> SendResult:
        """This part certainly did not leave; whether the message did in part depends on the parts before."""
        if references:
            return Unknown(cause if cause == "expired" else "part-lost", references)
        return Refused(cause, again)
