"""One USSD session with the network: asked in the writing that the modem takes, answered, replied to, released."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from otpbroker.errors import OtpBrokerError, Rejected, Unavailable, UnknownOutcome
from otpbroker.modem import answers
from otpbroker.modem.at import AtConversation
from otpbroker.modem.dialect import Dialect
from otpbroker.modem.results import AtError, AtFailure, AtTimeout, quoted
from otpbroker.sms.ussd import ANY_LANGUAGE, UssdAnswer, Writing, read, write

ANSWER_LIMIT = 30.0  # seconds for the network's answer
TRY_LIMIT = 10.0  # after which no other way of writing is tried: the caller would wait too long
REPLY_LIMIT = 45.0  # for the caller's reply; networks give up after one to three minutes
SESSION_LIMIT = 120.0  # from the code to the last reply: messages wait meanwhile
_LEAST = 5.0  # seconds that are worth being offered for a reply

# <m> of +CUSD
_DONE, _ASKS, _ENDED, _OTHER_CLIENT, _NOT_SUPPORTED, _NETWORK_TIMEOUT = range(6)
_UNICODE = "UCS2"

# +CME ERROR that can tell of the string alone (27.007 section 9.2): not supported, text or dial string too long or
# with wrong characters, wrong parameters, unknown.
_OF_THE_STRING = frozenset({4, 24, 25, 26, 27, 50, 100})


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    text: str
    answer: asyncio.Future[UssdAnswer]

    def fail(self, error: OtpBrokerError) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


@dataclass(frozen=True, slots=True)
class _Heard:
    """A +CUSD taken apart."""

    mode: int
    text: str
    raw: str


class Dialogue:
    """One session; `put` and `heard` come from outside while `converse` has the modem."""

    def __init__(self, writing: Writing | None) -> None:
        self.writing = writing  # None: nothing has worked yet
        self.answered = 0
        self._request: _Request | None = None
        self._line: str | None = None
        self._stopped = False
        self._news = asyncio.Event()
        self._charset = ""  # to be put back
        self._asked_by_network = False  # it waits for a reply, or for being released

    @property
    def waits(self) -> bool:
        return self._request is None

    def put(self, text: str) -> asyncio.Future[UssdAnswer]:
        """A future that ends with the network's answer; cancelled while it waits, nobody is there to reply."""
        if self._request is not None:
            raise Unavailable("ussd-busy", "the network has not answered yet", field="modem_id")
        request = self._request = _Request(text, asyncio.get_running_loop().create_future())
        self._news.set()
        return request.answer

    def heard(self, line: str) -> None:
        self._line = line
        self._news.set()

    def stop(self) -> None:
        self._stopped = True
        self._news.set()

    def close(self, failure: OtpBrokerError) -> None:
        """Whoever still waits hears why."""
        if self._request is not None:
            self._request.fail(failure)

    async def converse(self, at: AtConversation, dialect: Dialect) -> None:
        """All of it, from the code to the end of the session."""
        ends = _now() + SESSION_LIMIT
        within = 0.0
        try:
            while (request := await self._next_request(within)) is not None:
                try:
                    heard = await self._ask(at, dialect, request.text)
                    within = self._time_for_reply(at, heard, ends)
                    answer = _answer(heard, within)
                except OtpBrokerError as error:
                    self._request = None
                    request.fail(error)
                    return
                self._request = None
                self.answered += 1
                if not request.answer.done():
                    request.answer.set_result(answer)
                if request.answer.cancelled() or not answer.replyable:
                    return
        finally:
            await self._leave(at)

    async def _next_request(self, within: float) -> _Request | None:
        """The caller's next word, or None when the session is to end or has ended."""
        until = _now() + within
        while self._request is None:
            line, self._line = self._line, None
            if line is not None and (found := answers.ussd(line)) is not None and found[0] != _ASKS:
                self._asked_by_network = False
                return None
            if self._stopped or not await self._wait(until):
                return None
        return None if self._stopped else self._request

    async def _ask(self, at: AtConversation, dialect: Dialect, text: str) -> _Heard:
        """Ask in the writing that this modem takes, or in each until one is taken."""
        began = _now()
        refused: _Heard | AtError | None = None
        for writing in self._writings(dialect):
            if refused is not None and _now() - began > TRY_LIMIT:
                break
            try:
                heard = await self._exchange(at, text, writing)
            except AtError as error:
                if not _of_the_string(error):
                    raise _refused(error) from None
                refused = error
                continue
            except AtFailure as failure:
                raise UnknownOutcome("no-answer", f"the modem did not answer: {failure}") from None
            if heard.mode != _NOT_SUPPORTED or writing is self.writing:
                self.writing = writing
                return heard
            refused = heard  # a string that this modem passed on and the network could not read
        if isinstance(refused, _Heard):
            return refused
        assert refused is not None
        raise _refused(refused)

    def _writings(self, dialect: Dialect) -> tuple[Writing, ...]:
        """What worked comes first, and is the only one in a session; another stick may be in the modem's place."""
        if self.writing is None:
            return dialect.ussd
        others = () if self.answered else tuple(writing for writing in dialect.ussd if writing is not self.writing)
        return (self.writing, *others)

    async def _exchange(self, at: AtConversation, text: str, writing: Writing) -> _Heard:
        """One request and what the network says to it. Raises `AtFailure`, or `UnknownOutcome` for silence."""
        if writing is Writing.UCS2:
            await self._use_unicode(at)
        until = _now() + ANSWER_LIMIT
        self._line, was_open = None, self._asked_by_network
        self._asked_by_network = True  # until it says otherwise
        try:
            await at.command(f"AT+CUSD=1,{quoted(write(text, writing))},{ANY_LANGUAGE}")
        except AtError:
            self._asked_by_network = was_open
            raise
        except AtTimeout:
            if self._line is None:
                raise
        while True:
            line, self._line = self._line, None
            if line is not None and (found := answers.ussd(line)) is not None:
                mode, string, dcs = found
                self._asked_by_network = mode == _ASKS
                return _Heard(mode, read(string, dcs, writing), line)
            if self._stopped:
                raise UnknownOutcome("ussd-stopped", "the modem was lost or stopped before the network answered")
            if not await self._wait(until):
                detail = f"the network did not answer within {ANSWER_LIMIT:.0f} seconds"
                raise UnknownOutcome("ussd-timeout", detail)

    def _time_for_reply(self, at: AtConversation, heard: _Heard, ends: float) -> float:
        """Seconds; 0: there is nothing to reply to."""
        left = min(REPLY_LIMIT, ends - _now())
        return left if heard.mode == _ASKS and at.in_step and left >= _LEAST else 0.0

    async def _wait(self, until: float) -> bool:
        """Whether there is news before then."""
        self._news.clear()
        try:
            async with asyncio.timeout_at(until):
                await self._news.wait()
        except TimeoutError:
            return False
        return True

    async def _use_unicode(self, at: AtConversation) -> None:
        """Modems that write 16-bit units do so under this character set; some have no other, and don't know it."""
        if self._charset:
            return
        try:
            before = answers.value(await at.command("AT+CSCS?"))
            if before != _UNICODE:
                await at.command(f"AT+CSCS={quoted(_UNICODE)}")
                self._charset = before
        except AtError:
            return

    async def _leave(self, at: AtConversation) -> None:
        """Release the network and put the character set back; a modem that fails here is looked after by others."""
        for command in self._farewells():
            try:
                await at.command(command)
            except AtError:
                continue
            except AtFailure:
                return

    def _farewells(self) -> Iterator[str]:
        if self._asked_by_network:
            yield "AT+CUSD=2"
        if self._charset:
            # Some take it in the character set that is in force: then the first of both is refused, or the second.
            yield f"AT+CSCS={quoted(write(self._charset, Writing.UCS2))}"
            yield f"AT+CSCS={quoted(self._charset)}"


def _answer(heard: _Heard, within: float) -> UssdAnswer:
    """Raises what stands for an end without an answer; many modems give the last text with "terminated"."""
    if heard.mode == _OTHER_CLIENT:
        raise Unavailable("ussd-other-client", "another program on the modem took the session")
    if heard.mode == _NOT_SUPPORTED:
        raise Rejected("ussd-not-supported", "the network does not know this code", field="code")
    if heard.mode in {_DONE, _ASKS} or heard.text:
        return UssdAnswer(heard.text, heard.raw, within or None)
    if heard.mode == _NETWORK_TIMEOUT:
        raise UnknownOutcome("ussd-timeout", "the network says that it took too long")
    raise Unavailable("ussd-terminated", "the network ended the session without an answer")


def _of_the_string(error: AtError) -> bool:
    return error.kind == "at" or (error.kind == "cme" and error.number in _OF_THE_STRING)


def _refused(error: AtError) -> Unavailable:
    return Unavailable(error.code, f"the modem refused the USSD code: {error}")


def _now() -> float:
    return asyncio.get_running_loop().time()
