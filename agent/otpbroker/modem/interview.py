"""Asking whoever is at one port who it is. Nothing is stored there, nothing sent, and a PIN is never given."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from otpbroker.config.model import ModemSection
from otpbroker.errors import OtpBrokerError, Unavailable
from otpbroker.modem import answers
from otpbroker.modem.at import AtConversation
from otpbroker.modem.modem import Connect
from otpbroker.modem.registration import Registration
from otpbroker.modem.results import AtFailure
from otpbroker.modem.sim import PinMemory, SimLock
from otpbroker.modem.startup import Startup

# A port that speaks AT answers within one to three seconds, also while it boots its radio; others never do.
ANSWER_LIMIT = 3.0
# A SIM that was just powered is read within 10 s; what it would have told is worth no longer wait.
SIM_LIMIT = 20.0
_SIM_BUSY = 1.0  # between looks at a SIM that is being read
# One that was just plugged in finds its network within 30 s, or has no coverage.
NETWORK_LIMIT = 30.0
_RECHECK = 5.0  # between looks at a registration that should tell of itself
_WHOLE_LIMIT = 120.0


@dataclass(frozen=True, slots=True)
class Answers:
    """What a modem told of itself, "" where it did not.

    `sim` is `READY`, `SIM PIN`, ... as in 27.007 section 8.3, or "" before it was asked. `late` are the references
    of `+CMGS` lines that came before the first question: answers to messages of a process before this one.
    """

    manufacturer: str = ""
    model: str = ""
    revision: str = ""
    imei: str = ""
    sim: str = ""
    iccid: str = ""
    imsi: str = ""
    msisdn: str = ""
    operator: str = ""
    smsc: str = ""
    late: tuple[int, ...] = ()


_NAMES = frozenset(each.name for each in fields(Answers))


class Interview:
    """With one port, once. `tell` gets the answers as they add up, by their names in `Answers`, and says whether to
    go on.
    """

    def __init__(
        self,
        connect: Connect,
        line: ModemSection,
        first: tuple[str, ...],
        listen: float,
        tell: Callable[[dict[str, Any]], bool],
    ) -> None:
        """`line` has the port's parameters, `first` commands before all others; `listen`: seconds before them."""
        self._connect = connect
        self._line = line
        self._first = first
        self._listen = listen
        self._tell = tell
        self._late: list[int] = []
        self._known: dict[str, Any] = {}
        self._registration = Registration()
        self._news = asyncio.Event()  # the modem told of its SIM or its network

    async def hold(self, port: str) -> None:
        """Raises `Unavailable` (`silent` when no modem answers, or one no longer) or `Misconfigured`."""
        link = await self._connect(port, self._line)
        conversation = AtConversation(link, self._heard)
        startup = Startup(conversation, self._line, self._registration, self._note)
        link.start(conversation.feed, conversation.hang_up)
        try:
            async with asyncio.timeout(_WHOLE_LIMIT):
                await self._ask(conversation, startup)
        except (AtFailure, TimeoutError) as failure:
            raise Unavailable("silent", f"{port} does not answer: {failure}") from None
        finally:
            conversation.hang_up("closed")
            await link.close()

    async def _ask(self, conversation: AtConversation, startup: Startup) -> None:
        await asyncio.sleep(self._listen)
        self._note(late=tuple(self._late))
        self._listen = 0.0
        async with asyncio.timeout(ANSWER_LIMIT):
            await conversation.resync()
        for command in self._first:
            await startup.ask(command)
        await startup.identify()
        if not self._known.get("imei"):
            raise Unavailable("silent", "it has no IMEI")
        if not self._tell(self._known):
            return
        await self._ask_sim(conversation, startup)
        if not self._tell(self._known):
            return
        smsc = await startup.ask("AT+CSCA?")
        self._note(smsc=next(iter(answers.fields(smsc[0])), "") if smsc else "")
        await startup.read_operator()
        if self._tell(self._known) and self._known["sim"] == "READY" and not self._known["operator"]:
            await self._wait_for_network(startup)
            await startup.read_operator()
            self._tell(self._known)

    async def _ask_sim(self, conversation: AtConversation, startup: Startup) -> None:
        lock = SimLock(conversation, startup.dialect, self._line, PinMemory())
        loop = asyncio.get_running_loop()
        end = loop.time() + SIM_LIMIT
        while (state := await lock.state()) == "SIM busy" and loop.time() < end:
            await self._hear(_SIM_BUSY)
        self._note(sim=state)
        if state != "SIM not inserted":
            await startup.read_iccid()
        if state == "READY" and self._tell(self._known):
            await startup.read_sim()

    async def _wait_for_network(self, startup: Startup) -> None:
        await startup.watch_registration()
        loop = asyncio.get_running_loop()
        end = loop.time() + NETWORK_LIMIT
        while not self._registration.registered and loop.time() < end:
            if not await self._hear(_RECHECK):
                await startup.read_registration()

    async def _hear(self, seconds: float) -> bool:
        """Whether the modem told something within the time."""
        self._news.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return False
        return True

    def _note(self, **facts: Any) -> None:
        self._known |= {name: fact for name, fact in facts.items() if name in _NAMES}

    def _heard(self, line: str, _pdu: str) -> None:
        if line.startswith("+CPIN:") or self._registration.note(line):
            self._news.set()
        elif self._listen and (found := re.fullmatch(r"\+CMGS: ?(\d+)", line)):
            self._late.append(int(found[1]))


def trouble_with(problem: OtpBrokerError) -> str:
    """The code for `FoundModem.trouble`."""
    return {"port-busy": "busy", "port-denied": "denied"}.get(problem.code, "silent")


def trouble_with_sim(state: str) -> str:
    """The code for `FoundModem.trouble`."""
    return {"READY": "", "": "", "SIM busy": "", "SIM not inserted": "sim-absent", "SIM PIN": "sim-locked"}.get(
        state, "sim-blocked"
    )
