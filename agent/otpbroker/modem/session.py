"""The life of one open port: start-up, sending, looking after the modem, until the link or the modem is lost."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from otpbroker.config.model import ModemSection
from otpbroker.errors import Misconfigured, Unavailable
from otpbroker.events import ModemState
from otpbroker.modem import answers
from otpbroker.modem.at import AtConversation, Writer
from otpbroker.modem.causes import sim_trouble
from otpbroker.modem.dialect import GENERIC, Dialect
from otpbroker.modem.identity import Identity
from otpbroker.modem.incoming import Incoming
from otpbroker.modem.registration import Registration
from otpbroker.modem.results import LinkLost
from otpbroker.modem.shared import Shared
from otpbroker.modem.sim import SimLock, unusable
from otpbroker.modem.startup import Startup
from otpbroker.modem.status import StatusBoard
from otpbroker.modem.timeouts import QUIET
from otpbroker.modem.transmit import AirTimes, Part, Transmitter
from otpbroker.sms.submission import Refused, Retry, SendResult, Sent, Unknown

log = logging.getLogger(__name__)

Result = TypeVar("Result")

HEARTBEAT = 60.0  # seconds between proofs of life
_RECHECK = 15.0  # between looks at a registration that should have told of itself
_SIM_BUSY = 1.0  # between looks at a SIM that is being read
_SIM_BLOCKED = 60.0  # between looks at a SIM that needs hands: only a question, never a try

_UNREGISTERED = {
    "searching": "searching for a network",
    "denied": "the network refuses this SIM: is it active, and has it credit?",
    "none": "not in a network: is the antenna connected, and is there coverage?",
}


class Session:
    """Used once. `run` ends by cancellation or by the `AtFailure` that cost the modem."""

    def __init__(
        self,
        config: ModemSection,
        writer: Writer,
        board: StatusBoard,
        port: str,
        air: AirTimes,
        shared: Shared,
        heard_ussd: Callable[[str], None],
    ) -> None:
        self._port = port
        self._config = config
        self._board = board
        self._air = air
        self._shared = shared
        self._heard_ussd = heard_ussd
        self._late = shared.late
        self._owed = shared.owed
        self._attention = asyncio.Event()  # something happened that `run` has to look at
        self._at = AtConversation(writer, self._heard, GENERIC.known_codes)
        self._registration = Registration()
        self._startup = Startup(self._at, config, self._registration, board.update)
        self._incoming = Incoming(config.id, self._at, board, shared, self._attention.set)
        self._transmitter: Transmitter | None = None
        self._turn = asyncio.Lock()  # a message, an errand, or a look after the modem
        self._errands = 0  # under way or waiting for their turn: no further message is taken then
        self._listening = self._late.expected(config.id)  # for a predecessor's answer
        self._late_reference: int | None = None  # what it said
        self._identified = False
        self._iccid = ""
        self._reset = False  # the modem or its SIM has to be started anew
        self._detail = ""

    def feed(self, data: bytes) -> None:
        self._at.feed(data)

    def hang_up(self, reason: str) -> None:
        """The link is gone or closed: whatever waits for an answer ends."""
        self._at.hang_up(reason)
        self._attention.set()

    async def run(self) -> None:
        try:
            await self._listen()
            while True:
                self._board.update(state=ModemState.STARTING, detail="")
                await self._start()
                await self._attend()
        except LinkLost:  # unplugged: it comes back without a memory
            self._owed.settled(self._port)
            raise
        finally:
            self._transmitter = None

    async def send(self, parts: tuple[Part, ...], deadline: float, *, more: bool) -> SendResult:
        """One message after the other, each when its turn comes."""
        if self._errands:
            return Refused("not-ready", Retry.LATER)
        async with self._turn:
            transmitter = self._transmitter
            if transmitter is None or not self._board.ready:
                return Refused("not-ready", Retry.LATER)
            self._board.update(state=ModemState.SENDING)
            try:
                result = await transmitter.send(parts, deadline, more=more)
            except asyncio.CancelledError:
                self._settle()
                raise
            if transmitter.unanswered_since is not None:
                self._owed.expect(self._port, transmitter.unanswered_since)
            if transmitter.refusal is not None and sim_trouble(transmitter.refusal):
                self._reset = True
            self._incoming.sent(parts, result)
            self._settle(result)
            return result

    async def errand(self, work: Callable[[AtConversation, Dialect], Awaitable[Result]]) -> Result:
        """Work that is no message: done when none is in the air, and none is sent meanwhile.

        It comes before messages that are not in the air yet: these are better off with another modem.
        Raises `Unavailable` when the modem is not ready by then, and whatever the work raises.
        """
        self._errands += 1
        try:
            async with self._turn:
                if not self._usable:
                    raise _not_ready(self._config.id)
                self._board.update(state=ModemState.BUSY)
                return await work(self._at, self._startup.dialect)
        finally:
            self._errands -= 1
            self._attention.set()
            if not self._turn.locked():
                self._settle()

    async def sim_errand(self, work: Callable[[AtConversation, Dialect], Awaitable[Result]]) -> Result:
        """An errand that a modem with a blocked SIM can be sent on too, whose SIM is looked at again afterwards."""
        if self._board.status.state is not ModemState.BLOCKED:
            return await self.errand(work)
        async with self._turn:
            try:
                return await work(self._at, self._startup.dialect)
            finally:
                self._attention.set()

    @property
    def _usable(self) -> bool:
        """Everything that messages need is there."""
        return (
            self._transmitter is not None and not self._reset and self._at.in_step and self._registration.registered
        )

    async def idle(self) -> None:
        """Return when no message is in the air."""
        async with self._turn:
            return

    async def _listen(self) -> None:
        """A predecessor's answer may still be on its way: say nothing that could spoil it."""
        if self._listening:
            await self._pause(self._shared.late_window)

    async def _end_what_is_owed(self) -> None:
        """An answer that was given up may still come, and would be taken for the next message's.

        Off the network the modem has nothing in the air; one that does not leave it is waited for.
        """
        seconds = self._owed.seconds(self._port)
        if not seconds:
            return
        self._board.update(
            state=ModemState.RECOVERING, detail="did not answer to a message; its answer may still come"
        )
        if not await self._startup.leave_network():
            await self._at.late_answer("+CMGS", seconds)
        await self._at.resync(QUIET)
        self._owed.settled(self._port)
        self._board.update(state=ModemState.STARTING, detail="")

    async def _start(self) -> None:
        self._reset = False
        startup = self._startup
        await self._at.resync(QUIET if self._listening else 0.0)
        await self._end_what_is_owed()
        await startup.identify()
        self._identified = True
        self._tell_late()
        await self._unlock()
        await startup.read_sim()
        self._confirm(imsi=self._board.status.imsi)
        await startup.watch_registration()
        while not self._registration.registered:
            self._board.update(detail=_UNREGISTERED.get(self._registration.word, "searching for a network"))
            if not await self._pause(_RECHECK):
                await startup.read_registration()
        self._detail = await startup.prepare()
        await self._incoming.begin(startup.dialect)
        await startup.read_signal()
        await startup.read_operator()
        self._transmitter = Transmitter(
            self._config.id,
            self._at,
            self._air,
            keeps_link=startup.keeps_link,
            first_limit=startup.dialect.first_limit,
        )
        if self._listening:
            self._listening = False
            self._late.over(self._config.id)
        self._settle()

    async def _unlock(self) -> None:
        """Return when the SIM is usable, for as long as that takes."""
        lock = SimLock(self._at, self._startup.dialect, self._config, self._shared.pins)
        while True:
            self._iccid = iccid = await self._startup.read_iccid()
            self._confirm()
            state = await lock.state()
            if state == "READY":
                await lock.opened(iccid, self._startup.imei)
                self._board.update(state=ModemState.STARTING, detail="")
                return
            if state == "SIM busy":
                self._board.update(detail="the SIM is not ready yet")
                await self._pause(_SIM_BUSY)
                continue
            try:
                if state != "SIM PIN":
                    raise unusable(state)
                if not await lock.enter_pin(iccid, self._startup.imei):
                    await self._pause(_SIM_BUSY)
            except Misconfigured as problem:
                if self._board.status.state is not ModemState.BLOCKED:
                    log.warning("modem %s is blocked: %s", self._config.id, problem)
                self._board.update(state=ModemState.BLOCKED, detail=str(problem))
                await self._pause(_SIM_BLOCKED)

    def _confirm(self, imsi: str = "") -> None:
        """Another SIM than the configured one gets no PIN and sends nothing. Raises `Unavailable`."""
        self._shared.confirm(self._config, Identity(self._startup.imei, self._iccid, imsi))

    async def _attend(self) -> None:
        """Return when the modem has to be started anew."""
        now = asyncio.get_running_loop().time
        due = now() + HEARTBEAT
        while True:
            # Errands may wait for the network for long, and call when they are over.
            await self._pause(HEARTBEAT if self._errands else max(0.0, due - now()))
            await self._incoming.hand_over()
            if self._errands:
                continue
            async with self._turn:
                if self._reset or not self._at.in_step:  # what did not answer may have restarted silently
                    self._transmitter = None
                    log.warning("modem %s is started anew", self._config.id)
                    return
                if now() >= due:
                    due = now() + HEARTBEAT
                    await self._startup.read_signal()
                    await self._startup.read_registration()
                await self._incoming.step()
                self._settle()

    async def _pause(self, seconds: float) -> bool:
        """Whether something called for attention within the time. Raises `LinkLost`."""
        try:
            async with asyncio.timeout(seconds):
                await self._attention.wait()
            called = True
        except TimeoutError:
            called = False
        self._attention.clear()
        if self._at.lost:
            raise LinkLost("the port hung up")
        return called

    @property
    def _engaged(self) -> bool:
        """Whether a message or an errand has the modem: its state is theirs until they end."""
        return self._board.status.state in {ModemState.SENDING, ModemState.BUSY}

    def _settle(self, result: SendResult | None = None) -> None:
        """The state as it follows from the facts, together with what a result counts."""
        changes = self._counted(result)
        if self._transmitter is None:
            self._board.update(**changes)
            return
        if self._reset or not self._at.in_step:
            self._attention.set()
            changes |= {"state": ModemState.RECOVERING, "detail": "did not answer as it should; being brought back"}
        elif self._registration.registered:
            state = ModemState.BUSY if self._errands else ModemState.READY
            changes |= {"state": state, "detail": self._detail}
        else:
            word = self._registration.word
            changes |= {"state": ModemState.STARTING, "detail": _UNREGISTERED.get(word, "searching for a network")}
        self._board.update(**changes)

    def _counted(self, result: SendResult | None) -> dict[str, object]:
        status = self._board.status
        match result:
            case Sent():
                return {"sent": status.sent + 1, "last_activity": self._shared.clock()}
            case Unknown():
                return {"unknown": status.unknown + 1, "last_activity": self._shared.clock()}
            case Refused():
                return {"failed": status.failed + 1, "last_activity": self._shared.clock()}
        return {}

    def _heard(self, line: str, pdu: str) -> None:
        """A line that nobody asked for."""
        if self._registration.note(line):
            self._board.update(registration=self._registration.word)
            if not self._engaged:
                self._settle()
            self._attention.set()
        elif self._incoming.heard(line, pdu):
            pass
        elif line.startswith(("+CSQ:", "^RSSI:")):
            self._board.update(signal_dbm=answers.signal_dbm(line))
        elif self._listening and (reference := answers.number((line,), "+CMGS:")) is not None:
            self._late_reference = reference
            self._tell_late()
            self._attention.set()
        elif line.startswith("+CUSD:"):
            self._heard_ussd(line)
        elif line.startswith("+CPIN:"):
            self._call_for_start(needed=not line.endswith(": READY"))
        elif line.startswith(self._startup.dialect.restarted):
            self._call_for_start(needed=True)
        else:
            code, colon, _ = line.partition(":")
            log.debug("modem %s: %s", self._config.id, code[:16] if colon else f"{len(line)} characters")

    def _tell_late(self) -> None:
        """Who answered must be known first: another modem may have taken the port while no process listened."""
        if self._identified and self._late_reference is not None:
            self._late.arrived(self._config.id, self._late_reference, self._startup.imei)
            self._late_reference = None

    def _call_for_start(self, *, needed: bool) -> None:
        if needed and self._transmitter is not None:
            self._reset = True
            if not self._engaged:
                self._settle()
        self._attention.set()


def _not_ready(modem_id: str) -> Unavailable:
    return Unavailable("modem-not-ready", f"modem {modem_id} is not ready", field="modem_id")
