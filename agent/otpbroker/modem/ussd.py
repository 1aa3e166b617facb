"""USSD on one modem (27.007 section 7.15): a code, the network's answer, replies as long as it asks for them.

The whole session is one errand, so no message is in the air meanwhile, and none goes out before it is over.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable

from otpbroker.errors import OtpBrokerError, Rejected, Unavailable, UnknownOutcome
from otpbroker.modem.at import AtConversation
from otpbroker.modem.dialect import Dialect
from otpbroker.modem.ussd_dialogue import Dialogue
from otpbroker.sms.ussd import CODE, REPLY, UssdAnswer, Writing

log = logging.getLogger(__name__)

TURN_LIMIT = 15.0  # seconds for the message in the air to end before a code has its turn

_OF_THE_SIM = re.compile(r"\*\*0[45]2?\*.*")  # PIN and PUK by keypad (22.030 section 6.6.2)

Errand = Callable[[Callable[[AtConversation, Dialect], Awaitable[None]]], Awaitable[None]]


def check_code(code: str) -> None:
    """Raise `Rejected` for what is no USSD code, or could cost a try of the SIM's PIN."""
    if not CODE.fullmatch(code):
        raise Rejected(
            "ussd-code-invalid",
            "a USSD code has 1 to 160 digits, *, # and +",
            field="code",
            remedy="for example *888#",
        )
    if _OF_THE_SIM.fullmatch(code):
        raise Rejected(
            "ussd-code-of-sim", "this code changes the SIM's PIN", field="code", remedy="use the SIM page instead"
        )


def check_reply(text: str) -> None:
    """Raise `Rejected` for what not every modem can pass on."""
    if not REPLY.fullmatch(text):
        raise Rejected(
            "ussd-reply-invalid",
            "a reply has 1 to 160 letters, digits, spaces and common signs",
            field="text",
            remedy="mostly it is the number of a menu's line",
        )


class Ussd:
    """Outlives the modem's sessions, and so remembers how it wants codes written; one code at a time.

    `errand` is `Session.errand`'s.
    """

    def __init__(self, modem_id: str, errand: Errand) -> None:
        self._modem_id = modem_id
        self._errand = errand
        self._writing: Writing | None = None
        self._dialogue: Dialogue | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def open(self) -> bool:
        """A code is under way, or the network waits for a reply."""
        return self._dialogue is not None

    @property
    def waits(self) -> bool:
        """The network waits for a reply."""
        return self._dialogue is not None and self._dialogue.waits

    async def run(self, code: str) -> UssdAnswer:
        """The network's answer to a code.

        Raises `Rejected` (wrong code), `Unavailable` (not now), `UnknownOutcome` (no answer: the network may have
        done it). The session ends as well when the caller does not wait for the answer.
        """
        check_code(code)
        if self._dialogue is not None:
            raise Unavailable("ussd-busy", "another USSD code is under way on this modem", field="modem_id")
        dialogue = self._dialogue = Dialogue(self._writing)
        answer = dialogue.put(code)
        self._task = asyncio.create_task(self._carry(dialogue), name=f"ussd {self._modem_id}")
        return await answer

    async def reply(self, text: str) -> UssdAnswer:
        """The network's answer to a reply. Raises what `run` raises; `Rejected` when nothing is open."""
        check_reply(text)
        if self._dialogue is None:
            raise no_session()
        return await self._dialogue.put(text)

    async def end(self) -> None:
        """End the session; from the return on the modem takes messages again."""
        if self._dialogue is not None and self._task is not None:
            self._dialogue.stop()
            await asyncio.wait((self._task,))

    def stop(self) -> None:
        """The modem is being stopped, or is lost: what waits for the network does not any longer."""
        if self._dialogue is not None:
            self._dialogue.stop()

    def heard(self, line: str) -> None:
        """A +CUSD; one that nobody asked for is an operator's advertisement, and dropped."""
        if self._dialogue is not None:
            self._dialogue.heard(line)

    async def _carry(self, dialogue: Dialogue) -> None:
        failure: OtpBrokerError = no_session()
        try:
            async with asyncio.timeout(TURN_LIMIT) as turn:

                async def converse(at: AtConversation, dialect: Dialect) -> None:
                    turn.reschedule(None)
                    await dialogue.converse(at, dialect)

                await self._errand(converse)
        except TimeoutError:
            failure = Unavailable("modem-busy", "the modem is busy with a message", field="modem_id")
        except OtpBrokerError as error:
            failure = error
        except Exception:
            log.exception("modem %s: a USSD session broke", self._modem_id)
            failure = UnknownOutcome("internal-error", "the device made a mistake")
        finally:
            self._writing = dialogue.writing
            self._dialogue = None
            dialogue.close(failure)
        log.info("modem %s: a USSD session of %d answers is over", self._modem_id, dialogue.answered)


def no_session() -> Rejected:
    """What to tell who replies to nothing."""
    return Rejected(
        "ussd-no-session",
        "there is no open USSD session of yours on this modem",
        field="modem_id",
        remedy="it ended or its time was over: begin with the code again",
    )
