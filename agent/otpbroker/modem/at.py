"""The AT conversation with one modem: V.250 command lines, 3GPP TS 27.005 and 27.007 answers.

No I/O of its own: it writes to whatever takes octets and is fed what comes back.
"""

import asyncio
import math
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from otpbroker.errors import Rejected
from otpbroker.modem.answers import ussd_complete
from otpbroker.modem.framing import LONGEST_LINE, Framer
from otpbroker.modem.results import (
    AtError,
    AtFailure,
    AtTimeout,
    LinkLost,
    NotSubmitted,
    OutOfStep,
    Restarted,
    TooLate,
    Unresponsive,
    final_result,
)
from otpbroker.modem.timeouts import QUIET, RESYNC_LIMIT, RESYNC_TRIES, patience

_ESCAPE = b"\x1b"
_CONTROL_Z = b"\x1a"
_LONGEST_ANSWER = 64  # lines
_LONGEST_LIST = 512  # of a store with 255 messages, each with its PDU

_COMMAND = re.compile(r"AT([+^*$#%&]?[A-Z]*)[ -~]*")
_PDU = re.compile(r"(?:[0-9A-F]{2})+")
_READ_PDU = re.compile(r"(?:[0-9A-Fa-f]{2})+")  # some modems write it in lower case
_CODE = re.compile(r"([+^*$#%&][A-Z0-9]+) ?:")
_WITH_PDU = ("+CMT:", "+CDS:", "+CBM:")  # unsolicited codes whose PDU is the next line (27.005 section 3.4.1)

# Commands that answer with the bare value (V.250 section 6.1.3, 27.007 section 5, vendors' ICCID commands).
_BARE = frozenset(
    {"I", "+CGMI", "+CGMM", "+CGMR", "+CGSN", "+GMI", "+GMM", "+GMR", "+GSN", "+CIMI"}
    | {"+CCID", "+ICCID", "^ICCID", "+QCCID", "#CCID", "+ZICCID"}
)

# Commands that answer with a PDU behind each line (27.005 sections 4.1 and 4.2).
_LISTS = frozenset({"+CMGL", "+CMGR"})

Unsolicited = Callable[[str, str], None]  # the line, and the PDU that came behind it or ""


class Writer(Protocol):
    def write(self, data: bytes) -> None: ...


@dataclass(slots=True, eq=False)
class _Exchange:
    """The one command in flight."""

    stem: str
    asks: bool  # lines with its own stem are its answer even where they could be unsolicited
    future: asyncio.Future[None]
    awaits_prompt: bool = False
    prompted: bool = False
    lines: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Late:
    """The answer to a command that was given up, as far as it came."""

    stem: str
    began: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class AtConversation:
    """One command in flight, the others wait their turn.

    Lines that are no part of the command's answer go to `unsolicited`. It begins out of step, and is so again after
    a timeout or a cancelled command: then it refuses commands until `resync` succeeds, so that no late answer is
    taken for another command's.
    """

    def __init__(self, writer: Writer, unsolicited: Unsolicited, known_codes: tuple[str, ...] = ()) -> None:
        self._writer = writer
        self._unsolicited = unsolicited
        self.known_codes = known_codes  # what unsolicited lines of this modem begin with
        self._framer = Framer()
        self._turn = asyncio.Lock()
        self._exchange: _Exchange | None = None
        self._echo = ""  # of what was written last, as far as it has not come back
        self._head: str | None = None  # an unsolicited line whose PDU is still to come
        self._broken = ""  # a +CUSD whose text has line ends, as far as it came
        self._in_step = False
        self._prompt_open = False  # the modem may be waiting for a PDU
        self._stray = asyncio.Event()  # an answer came that nobody waited for
        self._late: _Late | None = None
        self._lost: str | None = None

    @property
    def in_step(self) -> bool:
        return self._in_step and self._lost is None

    @property
    def lost(self) -> bool:
        return self._lost is not None

    def feed(self, data: bytes) -> None:
        """Octets from the modem, in any pieces."""
        self._framer.feed(data)
        for line in self._framer.lines():
            self._take(line)
        exchange = self._exchange
        if exchange is not None and exchange.awaits_prompt and self._framer.take_prompt(self._echo):
            self._prompt(exchange)

    def hang_up(self, reason: str) -> None:
        """The link is gone: the command in flight and every later one end with `LinkLost`."""
        if self._lost is None:
            self._lost = reason
            self._stray.set()
            if self._late is not None:
                self._late.ended.set()
            if self._exchange is not None:
                self._end(self._exchange, LinkLost(reason))

    def restarted(self) -> None:
        """The modem says that it came up anew: the command in flight, if there is one, will not be answered."""
        exchange = self._exchange
        if exchange is not None and exchange.stem:  # what has none is the AT of a resync, which tries again anyway
            self._abandon(exchange)
            self._end(exchange, Restarted(exchange.stem, tuple(exchange.lines)))

    async def command(self, text: str) -> tuple[str, ...]:
        """The lines of the answer, final result excluded.

        Raises `AtError`, `AtTimeout`, `LinkLost`, `OutOfStep`, or `Rejected` for what is not one command line.
        """
        stem = _checked(text)
        async with self._turn:
            self._require_step()
            exchange = self._start(stem, patience(stem), asks="=" not in text or text.endswith("=?"))
            self._write(text, text.encode("ascii") + b"\r")
            await self._outcome(exchange)
            return tuple(exchange.lines)

    async def submit(
        self, text: str, pdu: str, *, limit: float, deadline: float = math.inf, cancellable: bool = True
    ) -> tuple[str, ...]:
        """A command that prompts for a PDU; the lines of its answer, which may take `limit` seconds after the PDU.

        A prompt that comes at `deadline` (on the loop's clock) or later is given up.
        Raises `NotSubmitted` if it failed before the first octet of the PDU, else like `command`. From that octet
        on (with `cancellable=False`: at all) cancellation does not end it; `Task.cancelling` still tells of it.
        """
        stem = _checked(text)
        if not _PDU.fullmatch(pdu):
            raise Rejected("at-injection", "a PDU is upper-case hexadecimal of whole octets")
        payload = pdu.encode("ascii") + _CONTROL_Z
        async with self._turn:
            try:
                self._require_step()
                prompt = self._start(stem, patience(">"), awaits_prompt=True)
                self._write(text, text.encode("ascii") + b"\r")
                await self._outcome(prompt, cancellable=cancellable)
                if not prompt.prompted:
                    raise AtError("no-prompt")
                if asyncio.get_running_loop().time() >= deadline:
                    self._abandon(prompt)
                    raise TooLate("the prompt came too late")
                answer = self._start(stem, limit)
            except AtFailure as reason:
                raise NotSubmitted(reason) from reason
            self._write(pdu, payload)
            await self._outcome(answer, cancellable=False)
            return tuple(answer.lines)

    async def resync(self, quiet: float = 0.0) -> None:
        """Get in step: an open prompt is given up and a fresh `AT` answered with OK.

        Then no further answer may come for `quiet` seconds, or `QUIET` if anything but one plain OK was heard.
        Raises `Unresponsive` after all tries, `LinkLost`.
        """
        async with self._turn:
            self._in_step = False
            for seconds in RESYNC_TRIES:
                escaped = self._prompt_open
                exchange = self._start("", seconds, awaits_prompt=True)
                self._write("AT", (_ESCAPE if escaped else b"") + b"AT\r")
                try:
                    await self._outcome(exchange)
                except (AtTimeout, AtError):
                    self._prompt_open = True
                    continue
                if exchange.prompted:  # the AT went into a message that a predecessor had begun
                    self._prompt_open = True
                    continue
                self._prompt_open = False
                if quiet or escaped or self._stray.is_set():
                    await self._hush(max(quiet, QUIET))
                self._in_step = True
                return
            raise Unresponsive

    async def late_answer(self, stem: str, seconds: float) -> bool:
        """Whether the answer to a command that was given up comes within the time: its line and OK, or an error.

        Nothing is written meanwhile. Raises `LinkLost`.
        """
        async with self._turn:
            self._late = late = _Late(stem)
            try:
                async with asyncio.timeout(seconds):
                    await late.ended.wait()
            except TimeoutError:
                return False
            finally:
                self._late = None
            self._require_link()
            return True

    async def _hush(self, quiet: float) -> None:
        try:
            async with asyncio.timeout(RESYNC_LIMIT):
                while True:
                    self._stray.clear()
                    try:
                        async with asyncio.timeout(quiet):
                            await self._stray.wait()
                    except TimeoutError:
                        return
                    self._require_link()
        except TimeoutError:
            raise Unresponsive from None

    def _require_link(self) -> None:
        if self._lost is not None:
            raise LinkLost(self._lost)

    def _require_step(self) -> None:
        self._require_link()
        if not self._in_step:
            raise OutOfStep("an earlier command was not answered")

    def _start(self, stem: str, seconds: float, *, asks: bool = True, awaits_prompt: bool = False) -> _Exchange:
        self._require_link()
        loop = asyncio.get_running_loop()
        exchange = _Exchange(stem, asks, loop.create_future(), awaits_prompt)
        timer = loop.call_later(seconds, self._expire, exchange)
        exchange.future.add_done_callback(lambda _: timer.cancel())
        self._exchange = exchange
        return exchange

    def _write(self, echo: str, data: bytes) -> None:
        self._echo = echo
        self._writer.write(data)

    async def _outcome(self, exchange: _Exchange, *, cancellable: bool = True) -> None:
        if cancellable:
            try:
                await exchange.future
            except asyncio.CancelledError:
                self._abandon(exchange)
                raise
            return
        while not exchange.future.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait((exchange.future,))
        exchange.future.result()

    def _expire(self, exchange: _Exchange) -> None:
        self._abandon(exchange)
        self._end(exchange, AtTimeout(exchange.stem, tuple(exchange.lines)))

    def _abandon(self, exchange: _Exchange) -> None:
        """Nobody waits for its answer any longer, but it may come."""
        if self._exchange is exchange:
            self._exchange = None
        self._in_step = False
        if exchange.stem and exchange.awaits_prompt and self._lost is None:
            self._prompt_open = True
            self._writer.write(_ESCAPE)

    def _end(self, exchange: _Exchange, failure: AtFailure | None = None) -> None:
        if self._exchange is exchange:
            self._exchange = None
        if exchange.future.done():
            return
        if failure is None:
            exchange.future.set_result(None)
        else:
            exchange.future.set_exception(failure)

    def _prompt(self, exchange: _Exchange) -> None:
        exchange.prompted = True
        self._end(exchange)

    def _take(self, line: str) -> None:
        if self._broken and self._goes_on(line):
            return
        if self._head is not None:
            head, self._head = self._head, None
            if _READ_PDU.fullmatch(line):
                self._unsolicited(head, line)
                return
            self._unsolicited(head, "")
        if self._is_echo(line):
            return
        exchange = self._exchange
        if not line.startswith(">"):
            self._route(line, exchange)
        elif exchange is not None and exchange.awaits_prompt:
            self._prompt(exchange)
        elif line := line.lstrip("> "):
            self._route(line, exchange)

    def _route(self, line: str, exchange: _Exchange | None) -> None:
        result = final_result(line, exchange.stem if exchange is not None else "")
        if self._late is not None:
            self._note_late(self._late, line, result)
        if result is not False:
            if exchange is None:
                self._stray.set()
            else:
                self._end(exchange, None if result is True else result)
        elif exchange is not None and self._answers(exchange, line):
            if len(exchange.lines) < (_LONGEST_LIST if exchange.stem in _LISTS else _LONGEST_ANSWER):
                exchange.lines.append(line)
        else:
            self._tell(line, exchange)

    @staticmethod
    def _note_late(late: _Late, line: str, result: AtError | bool) -> None:
        if line.startswith(f"{late.stem}:"):
            late.began = True
        elif isinstance(result, AtError) or (result and late.began):  # a bare OK may be anybody's
            late.ended.set()

    def _is_echo(self, line: str) -> bool:
        """Modems may echo for ever, and break the echo where an unsolicited line comes between."""
        if not self._echo.startswith(line):
            return False
        self._echo = self._echo[len(line) :]
        return True

    def _answers(self, exchange: _Exchange, line: str) -> bool:
        code = _CODE.match(line)
        if code is not None:
            return code[1] == exchange.stem and (exchange.asks or not line.startswith(self.known_codes))
        if exchange.stem in _LISTS and exchange.lines:
            return _READ_PDU.fullmatch(line) is not None
        return exchange.stem in _BARE and not line.startswith((*self.known_codes, "AT"))

    def _goes_on(self, line: str) -> bool:
        """Whether the line belongs to the text of a +CUSD that has line ends; a command's end is the text's too."""
        if _CODE.match(line) and line.startswith(self.known_codes):
            return False
        exchange = self._exchange
        cut = exchange is not None and final_result(line, exchange.stem) is not False
        text = self._broken if cut else f"{self._broken}\n{line}"
        if cut or ussd_complete(text) or len(text) > LONGEST_LINE:
            self._broken = ""
            self._unsolicited(text, "")
        else:
            self._broken = text
        return not cut

    def _tell(self, line: str, exchange: _Exchange | None) -> None:
        if line.startswith("+CUSD:") and not ussd_complete(line):
            self._broken = line
            return
        if line.startswith(_WITH_PDU):
            self._head = line
            return
        if exchange is not None and not exchange.stem and not line.startswith(self.known_codes):
            self._stray.set()  # looks like the answer to an earlier command: its OK is still to come
        self._unsolicited(line, "")


def _checked(text: str) -> str:
    """The command's name without `AT`; raises `Rejected` unless the text is one command line and nothing else."""
    found = _COMMAND.fullmatch(text)
    if found is None or not found[1] or text.count('"') % 2:
        raise Rejected("at-injection", "not one AT command line")
    return found[1]
