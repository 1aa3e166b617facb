"""The life of one open port: start-up, sending, looking after the modem, until the link or the modem is lost."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from otpbroker.config.model import ModemSection
from otpbroker.errors import Unavailable
from otpbroker.events import Fault, ModemState, RecoveryStep
from otpbroker.modem import answers
from otpbroker.modem.at import AtConversation, Writer
from otpbroker.modem.causes import Trouble
from otpbroker.modem.dialect import GENERIC, Dialect
from otpbroker.modem.health import WORDS, Health
from otpbroker.modem.identity import Identity
from otpbroker.modem.incoming import Incoming
from otpbroker.modem.ladder import fault_of
from otpbroker.modem.predecessor import Predecessor
from otpbroker.modem.registration import Registration
from otpbroker.modem.results import AtFailure, AtTimeout, LinkLost
from otpbroker.modem.shared import Shared
from otpbroker.modem.sim import SimLock
from otpbroker.modem.start_signs import StartSigns
from otpbroker.modem.startup import Startup
from otpbroker.modem.status import StatusBoard
from otpbroker.modem.timeouts import QUIET
from otpbroker.modem.transmit import AirTimes, Part, Transmitter
from otpbroker.modem.unlocking import Unlocking
from otpbroker.sms.submission import Refused, Retry, SendResult, Sent, Unknown

log = logging.getLogger(__name__)

Result = TypeVar("Result")

HEARTBEAT = 60.0  # seconds between proofs of life
_RECHECK = 15.0  # between looks at a registration that should have told of itself
STORE_FULL_NOTE = "store-full"


class Session:
    """Used once. `run` ends by cancellation, `LinkLost`, or with the step for which the port has to be closed."""

    def __init__(
        self,
        config: ModemSection,
        writer: Writer,
        board: StatusBoard,
        port: str,
        air: AirTimes,
        shared: Shared,
        heard_ussd: Callable[[str], None],
        health: Health,
    ) -> None:
        self._port = port
        self._config = config
        self._board = board
        self._air = air
        self._shared = shared
        self._heard_ussd = heard_ussd
        self._health = health
        self._owed = shared.owed
        self._attention = asyncio.Event()  # something happened that `run` has to look at
        self._at = AtConversation(writer, self._heard, GENERIC.known_codes)
        self._registration = Registration()
        self._startup = Startup(self._at, config, self._registration, board.update)
        self._incoming = Incoming(config.id, self._at, board, shared, self._attention.set)
        self._transmitter: Transmitter | None = None
        self._turn = asyncio.Lock()  # a message, an errand, or a look after the modem
        self._errands = 0  # under way or waiting for their turn: no further message is taken then
        self._predecessor = Predecessor(shared.late, config.id)
        self._iccid = ""
        self._reset = False  # the modem or its SIM has to be started anew, for which nobody is to blame
        self._fault: Fault | None = None  # what it has to be brought back for
        self._why = ""  # for the log
        self._restarted = False  # that was the fault which is being mended
        self._resting = False
        self._start_signs = StartSigns(asyncio.get_running_loop().time)
        self.was_ready = False  # took messages at some time
        self.lost_in_air = False  # the link was, while a message was in the air
        self._detail = ""

    def feed(self, data: bytes) -> None:
        self._at.feed(data)

    def hang_up(self, reason: str) -> None:
        """The link is gone or closed: whatever waits for an answer ends."""
        self._at.hang_up(reason)
        self._attention.set()

    async def run(self) -> RecoveryStep:
        step = RecoveryStep.RESYNC
        try:
            if self._predecessor.awaited:  # its answer may still be on its way: say nothing that could spoil it
                await self._pause(self._shared.late_window)
            self._start_signs.expect()
            while step in {RecoveryStep.RESYNC, RecoveryStep.RADIO}:
                if not self._health.troubled:
                    self._board.update(state=ModemState.STARTING, detail="")
                try:
                    await self._start(step)
                    fault = await self._attend()
                except LinkLost:
                    raise
                except AtFailure as failure:
                    fault, self._why = self._fault or fault_of(failure), str(failure)
                self._transmitter = None
                step = RecoveryStep.RESYNC if fault is None else await self._mend(fault)
        except LinkLost:  # unplugged: it comes back without a memory
            self._owed.settled(self._port)
            raise
        finally:
            self._transmitter = None
        return step

    async def send(self, message_id: str, parts: tuple[Part, ...], deadline: float, *, more: bool) -> SendResult:
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
            self._draw_conclusions(message_id, result, transmitter.trouble)
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
        """Everything that messages need is there, or it rests from them alone."""
        if self._resting:
            return self._at.in_step
        return (
            self._transmitter is not None
            and not (self._reset or self._fault)
            and self._at.in_step
            and self._registration.registered
        )

    async def idle(self) -> None:
        """Return when no message is in the air."""
        async with self._turn:
            return

    async def _mend(self, fault: Fault) -> RecoveryStep:
        """The step that is next on the ladder; a rest that needs no closed port is taken here."""
        step = self._health.failed(fault, self._why)
        self._restarted, self._fault, self._why = fault is Fault.RESTARTED, None, ""
        self._board.update(state=ModemState.RECOVERING, detail=self._health.words)
        if step is RecoveryStep.QUARANTINE and fault is Fault.REFUSING:
            await self._rest()
            step = RecoveryStep.RESYNC
        return step

    async def _rest(self) -> None:
        """Send nothing for a while; messages may come in and errands be run. A network that is back ends it."""
        self._resting = True
        self._settle()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._health.rest()):
                came_back = False
                while self._at.in_step and not self._fault and not came_back:
                    was_registered = self._registration.registered
                    await self._pause(HEARTBEAT)
                    came_back = self._registration.registered and not was_registered
        async with self._turn:
            self._resting = False
        self._board.update(state=ModemState.RECOVERING, detail=self._health.words)

    async def _clear_air(self, step: RecoveryStep) -> None:
        """Nothing is in the air any more when a step of the ladder, or an answer that is owed, asks for that."""
        owed = self._owed.seconds(self._port)
        if owed and self._restarted and await self._startup.lost_settings():
            self._owed.settled(self._port)
            owed = 0.0
        if not owed and step is not RecoveryStep.RADIO:
            return
        if owed:
            self._health.reached(RecoveryStep.RADIO)
            self._board.update(
                state=ModemState.RECOVERING, detail="did not answer to a message, whose answer may still come"
            )
        await self._startup.clear_air(owed)
        self._owed.settled(self._port)
        self._start_signs.expect()

    async def _start(self, step: RecoveryStep) -> None:
        self._restarted |= self._fault is Fault.RESTARTED
        self._fault, self._reset = None, False
        startup = self._startup
        await self._at.resync(QUIET if self._predecessor.awaited else 0.0)
        await self._clear_air(step)
        await startup.identify()
        self._predecessor.identified(startup.imei)
        lock = SimLock(self._at, startup.dialect, self._config, self._shared.pins)
        unlocking = Unlocking(lock, startup, self._board, self._pause, self._wake_radio)
        await unlocking.run(self._confirm, self._health.cured)
        await startup.read_sim()
        self._confirm(self._iccid, self._board.status.imsi)
        await startup.watch_registration()
        while not self._registration.registered:
            self._health.cured()  # it answers; what it waits for is a network
            self._board.update(state=ModemState.STARTING, detail=self._registration.worry, operator="")
            if not await self._pause(_RECHECK):
                await self._wake_radio()
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
        self._predecessor.over()
        self._restarted = False
        self._settle()

    async def _wake_radio(self) -> None:
        """A modem in flight mode can't be asked to look for a network by anything else."""
        if await self._startup.asleep():
            self._start_signs.expect(reads_sim=True)
            await self._startup.wake_radio()

    def _confirm(self, iccid: str, imsi: str = "") -> None:
        """Another SIM than the configured one gets no PIN and sends nothing. Raises `Unavailable`."""
        self._iccid = iccid
        self._shared.confirm(self._config, Identity(self._startup.imei, iccid, imsi))

    async def _attend(self) -> Fault | None:
        """Return when the modem has to be started anew, with what it did wrong."""
        now = asyncio.get_running_loop().time
        due = now() + HEARTBEAT
        while True:
            # Errands may wait for the network for long, and call when they are over.
            await self._pause(HEARTBEAT if self._errands else max(0.0, due - now()))
            await self._incoming.hand_over()
            if self._errands:
                continue
            async with self._turn:
                if self._reset or self._fault:
                    return self._fault
                if not self._at.in_step:  # what did not answer may have restarted silently
                    self._why = self._why or "a command was not answered"
                    return Fault.SILENT
                if now() >= due:
                    due = now() + HEARTBEAT
                    await self._heartbeat()
                if self._at.in_step:
                    await self._incoming.step()
                self._settle()

    async def _heartbeat(self) -> None:
        """A silence shows in the conversation, which is out of step then: no message is to wait for more here."""
        try:
            await self._startup.heartbeat()
            if self._startup.operator_is_due():
                await self._read_operator()
            if not self._registration.registered:
                await self._wake_radio()
        except AtTimeout as silence:
            self._why = str(silence)
        self._health.review()

    async def _read_operator(self) -> None:
        """That may take the radio long: messages go to other modems meanwhile."""
        if self._board.ready:
            self._board.update(state=ModemState.BUSY)
        await self._startup.read_operator()
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
        changes = {} if result is None else self._board.counted(result, self._shared.clock())
        if self._resting:
            changes |= {"state": ModemState.QUARANTINED, "detail": self._health.rests_for}
        elif self._transmitter is None:
            pass
        elif self._reset or self._fault or not self._at.in_step:
            self._attention.set()
            changes |= {"state": ModemState.RECOVERING, "detail": WORDS[self._fault or Fault.SILENT]}
        elif self._registration.registered:
            self._health.cured()
            self.was_ready = True
            state = ModemState.BUSY if self._errands else ModemState.READY
            changes |= {"state": state, "detail": self._detail}
        else:
            changes |= {"state": ModemState.STARTING, "detail": self._registration.worry}
        self._board.update(**changes)

    def _draw_conclusions(self, message_id: str, result: SendResult, trouble: Trouble | None) -> None:
        """What a message's end says of the modem."""
        match result:
            case Sent():
                self._health.sent()
            case Unknown("link-lost"):
                self.lost_in_air = True
        if trouble is None:
            return
        if trouble is Trouble.STORE_FULL:
            self._board.note(STORE_FULL_NOTE, present=True)
        if self._health.refused(message_id, trouble):
            self._fault, self._why = Fault.REFUSING, getattr(result, "cause", "")
        elif trouble in {Trouble.SIM, Trouble.SERVICE_CENTRE}:
            self._reset = True

    def _heard(self, line: str, pdu: str) -> None:
        """A line that nobody asked for."""
        if self._registration.note(line):
            self._registration_heard()
        elif self._incoming.heard(line, pdu):
            pass
        elif line.startswith(("+CSQ:", "^RSSI:")):
            self._board.update(signal_dbm=answers.signal_dbm(line))
        elif self._predecessor.hears(line):
            self._attention.set()
        elif line.startswith("+CMGS:"):
            self._late_answer_heard()
        elif line.startswith("+CUSD:"):
            self._heard_ussd(line)
        elif line.startswith("+CPIN:"):
            self._card_heard(ready=line.endswith(": READY"))
        elif line.startswith(self._startup.dialect.restarted):
            self._restart_heard()
        elif not self._power_heard(line):
            code, colon, _ = line.partition(":")
            log.debug("modem %s: %s", self._config.id, code[:16] if colon else f"{len(line)} characters")

    def _registration_heard(self) -> None:
        self._board.update(registration=self._registration.word)
        if not self._engaged:
            self._settle()
        self._attention.set()

    def _late_answer_heard(self) -> None:
        """To a message that is `unknown` already, and stays that: its end may still be missing."""
        if seconds := self._owed.age(self._port):
            log.info("modem %s answered to a message after %.0f seconds, too late", self._config.id, seconds)
            self._air.late(seconds)

    def _card_heard(self, *, ready: bool) -> None:
        if ready and self._transmitter is not None:
            self._start_signs.sim_came()
        self._call_for_start(needed=not ready)

    def _restart_heard(self) -> None:
        """Its settings are lost. Unless it starts because it was just opened or cycled, so is what it had."""
        if not self._start_signs.heard():
            self._call_for_start(needed=True)
            return
        self._fault = Fault.RESTARTED
        self._health.weak_power()
        self._at.restarted()
        if not self._engaged:
            self._settle()
        self._attention.set()

    def _power_heard(self, line: str) -> bool:
        """Whether the line tells of the modem's power."""
        dialect = self._startup.dialect
        if line.startswith(dialect.weak_power):
            self._health.weak_power()
        elif line.startswith(dialect.boot_number):
            self._health.booted(next(iter(answers.fields(line)), ""))
        else:
            return False
        return True

    def _call_for_start(self, *, needed: bool) -> None:
        if needed and self._transmitter is not None:
            self._reset = True
            if not self._engaged:
                self._settle()
        self._attention.set()


def _not_ready(modem_id: str) -> Unavailable:
    return Unavailable("modem-not-ready", f"modem {modem_id} is not ready", field="modem_id")
