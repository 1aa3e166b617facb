"""One modem: owns its port from opening to closing, sends messages, tells its state."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from otpbroker.config.model import ModemSection
from otpbroker.errors import Misconfigured, OtpBrokerError, Unavailable
from otpbroker.events import Fault, ModemState, ModemStatus, RecoveryStep
from otpbroker.modem.at import AtConversation
from otpbroker.modem.backoff import Backoff
from otpbroker.modem.dialect import Dialect
from otpbroker.modem.health import Health
from otpbroker.modem.ladder import SECONDS
from otpbroker.modem.results import LinkLost
from otpbroker.modem.session import Result, Session
from otpbroker.modem.shared import Shared
from otpbroker.modem.status import StatusBoard
from otpbroker.modem.transmit import AirTimes, prepare
from otpbroker.modem.ussd import Ussd
from otpbroker.sms.submission import Refused, Retry, SendResult, Sms

log = logging.getLogger(__name__)

STOP_LIMIT = 12.0  # for the message in the air when the modem is stopped
WAITING_LIMIT = 8  # messages; the core hands out one at a time
_LOW_BALANCE = "low-balance"
_ABSENT_LEAST, _ABSENT_MOST = 0.5, 5.0  # seconds between looks for a port that is not there
_PULLED_LEAST, _PULLED_MOST = 0.1, 2.0  # after a hang-up
_GOOD_RUN = 10.0  # seconds; a port that hangs up sooner, before the modem was ready, is perhaps not pulled out
HANG_UPS = 5  # of that kind in a row are a fault


class Link(Protocol):
    """An open port, see `link.SerialLink`."""

    def start(self, on_data: Callable[[bytes], None], on_lost: Callable[[str], None]) -> None: ...
    def write(self, data: bytes) -> None: ...
    async def close(self) -> None: ...


Connect = Callable[[str, ModemSection], Awaitable[Link]]
Missing = Callable[[Unavailable, tuple[str, ...]], None]

_PLACE_NOTES = frozenset({"sim-moved", "sim-changed"})


@dataclass(frozen=True, slots=True)
class Place:
    """Where a modem is: its port, its USB socket ("": off the bus), and notes on that for the administrator."""

    port: str
    usb: str = ""
    notes: tuple[str, ...] = ()


class Ports(Protocol):
    """Who knows where the configured modems are, see `roster.Roster`."""

    async def find(self, section: ModemSection, missing: Missing) -> Place:
        """The section's place, for as long as it takes; then nobody else gets it until `pause` or the next `find`.

        `missing` is told why it is not there, and the notes on that, whenever that changes.
        """
        ...

    async def pause(self, section: ModemSection, seconds: float) -> bool:
        """Give the place back and wait; True, and at once, if the modem is not in that place any more."""
        ...


class Modem:
    """Fits `messaging.sender.Sender`. `run` lives until cancelled; `send` works while it is `ready`.

    `connect` opens a port, `ports` tells which; `connect` raises `Unavailable` or `Misconfigured`.
    """

    def __init__(
        self,
        config: ModemSection,
        *,
        connect: Connect,
        ports: Ports,
        shared: Shared,
    ) -> None:
        self._config = config
        self._connect = connect
        self._ports = ports
        self._shared = shared
        self._board = StatusBoard(_snapshot(config), shared.bus, shared.on_change)
        self._air = AirTimes()
        self._ussd = Ussd(config.id, self.errand)
        loop = asyncio.get_running_loop()
        self._health = Health(config.id, self._board, loop.time, shared.clock)
        self._session: Session | None = None
        self._sends = 0  # under way or waiting for their turn
        self._trouble = ""  # with the port, as it was logged last
        self._place = Place("")  # where it was last
        self._absences = Backoff(_ABSENT_LEAST, _ABSENT_MOST)
        self._pulls = Backoff(_PULLED_LEAST, _PULLED_MOST)
        self._hang_ups = 0
        self._due_back: float | None = None  # by when a port that was sent away by a step has to be there again

    @property
    def config(self) -> ModemSection:
        return self._config

    @property
    def ready(self) -> bool:
        return self._board.ready

    @property
    def recovering(self) -> bool:
        return self._board.recovering

    @property
    def status(self) -> ModemStatus:
        return self._board.status

    @property
    def ussd(self) -> Ussd:
        return self._ussd

    @property
    def open_port(self) -> str | None:
        """The port that it holds now."""
        return self.status.port if self._session is not None else None

    def adopt(self, config: ModemSection) -> None:
        """Take what needs no new start: name, prefixes and flags."""
        self._config = config
        self._board.update(
            name=config.label,
            prefixes=config.prefixes,
            default=config.default,
            send_from_api=config.send_from_api,
        )

    async def send(self, sms: Sms, *, more: bool) -> SendResult:
        """See `messaging.sender.Sender.send`. A cancellation that came too late is left to `Task.cancelling`."""
        session = self._session
        if session is None or not self.ready:
            return Refused("not-ready", Retry.LATER)
        if self._sends > WAITING_LIMIT:
            return Refused("busy", Retry.LATER)
        self._sends += 1
        try:
            return await session.send(sms.id, prepare(sms), sms.deadline, more=more)
        finally:
            self._sends -= 1

    async def errand(self, work: Callable[[AtConversation, Dialect], Awaitable[Result]]) -> Result:
        """Work that is no message, see `Session.errand`. Raises `Unavailable`."""
        return await self._opened.errand(work)

    async def sim_errand(self, work: Callable[[AtConversation, Dialect], Awaitable[Result]]) -> Result:
        """Work on the SIM, see `Session.sim_errand`. Raises `Unavailable`."""
        return await self._opened.sim_errand(work)

    def tell_balance(self, balance: str, at: float | None, *, low: bool) -> None:
        """See `messaging.sender.Sender.tell_balance`."""
        notes = tuple(note for note in self.status.notes if note != _LOW_BALANCE)
        self._board.update(balance=balance, balance_at=at, notes=(*notes, _LOW_BALANCE) if low else notes)

    @property
    def _opened(self) -> Session:
        if self._session is None:
            raise Unavailable("modem-not-ready", f"modem {self._config.id} is not ready", field="modem_id")
        return self._session

    async def run(self) -> None:
        """Open, start and look after the modem, and bring it back whenever it is lost."""
        self._board.update(state=ModemState.STARTING, detail="")
        step = RecoveryStep.REOPEN
        while True:
            match step:
                case RecoveryStep.QUARANTINE:
                    await self._rest()
                case RecoveryStep.USB_RESET | RecoveryStep.PORT_POWER:
                    if (instead := await self._power(step)) is not None:
                        step = instead
                        continue
            step = await self._live()

    async def _rest(self) -> None:
        self._board.update(state=ModemState.QUARANTINED, detail=self._health.rests_for)
        if self._health.drops_out:  # that its device comes back is no news of it
            await asyncio.sleep(self._health.rest())
        else:
            await self._pause(self._health.rest())
        self._board.update(state=ModemState.RECOVERING, detail=self._health.words)

    async def _power(self, step: RecoveryStep) -> RecoveryStep | None:
        """Its USB device, or the port of its hub, off and on; what is to be done instead where that can't be."""
        usb, socket = self._shared.usb_power, self._place.usb
        if not socket:
            return self._health.impossible(step)
        self._due_back = asyncio.get_running_loop().time() + SECONDS[step]
        try:
            done = await (usb.reset(socket) if step is RecoveryStep.USB_RESET else usb.cycle(socket))
        except Unavailable:
            self._due_back = None
            return self._health.skip(step)
        if not done:
            self._due_back = None
            return self._health.impossible(step)
        self._health.was_reset()
        return None

    async def _live(self) -> RecoveryStep:
        """From finding the port to losing the modem; what is to be done next."""
        try:
            async with asyncio.timeout_at(self._due_back):
                place = await self._ports.find(self._config, self._missing)
            self._arrived(place)
            link = await self._connect(place.port, self._config)
        except TimeoutError:
            return await self._not_there(Unavailable("port-absent", "its device did not come back"))
        except (Unavailable, Misconfigured) as problem:
            return await self._not_there(problem)
        self._due_back = None
        port = place.port
        self._absences.reset()
        another: Unavailable | None = None
        opened_at = asyncio.get_running_loop().time()
        ussd = self._ussd.heard
        session = Session(self._config, link, self._board, port, self._air, self._shared, ussd, self._health)
        try:
            self._trouble = ""
            self._board.update(port=port)
            self._session = session
            link.start(session.feed, session.hang_up)
            return await session.run()
        except LinkLost as failure:
            log.warning("modem %s is lost: %s", self._config.id, failure)
            self._board.update(state=ModemState.RECOVERING, detail="its port hung up, and is opened anew")
        except Unavailable as problem:  # it is not the modem that the section names
            another = problem
        except asyncio.CancelledError:
            self._board.update(state=ModemState.ABSENT, detail="stopped")
            raise
        finally:
            self._session = None
            self._ussd.stop()
            try:
                try:
                    async with asyncio.timeout(STOP_LIMIT):
                        await session.idle()
                except TimeoutError:  # whoever opens the port next has to expect its answer
                    self._shared.owed.expect(port, asyncio.get_running_loop().time())
            finally:
                session.hang_up("closed")
                await link.close()
        if another is not None:
            return await self._not_there(another)
        seconds = asyncio.get_running_loop().time() - opened_at
        return await self._hung_up(good=session.was_ready or seconds > _GOOD_RUN, in_air=session.lost_in_air)

    async def _not_there(self, problem: OtpBrokerError) -> RecoveryStep:
        """Only a port that is there and dead is a fault of the modem."""
        self._tell(problem)
        now = asyncio.get_running_loop().time()
        late = self._due_back is not None and now >= self._due_back
        if late or problem.code == "port-dead" or (problem.code == "port-busy" and self._health.troubled):
            self._due_back = None  # busy: by ourselves, when it did not close in time
            return self._failed(Fault.DEAD_PORT, problem.detail)
        if problem.code != "port-busy":
            self._pulled_out()
        await self._pause(self._absences.next())
        return RecoveryStep.REOPEN

    async def _hung_up(self, *, good: bool, in_air: bool) -> RecoveryStep:
        """Most often it was pulled out, and is plugged in again."""
        if in_air and self._health.dropped():
            return self._failed(Fault.DROPS_OUT)
        self._hang_ups = 0 if good else self._hang_ups + 1
        if good:
            self._pulls.reset()
        if self._hang_ups >= HANG_UPS:
            self._hang_ups = 0
            return self._failed(Fault.HANGS_UP)
        await self._pause(self._pulls.next())
        return RecoveryStep.REOPEN

    def _failed(self, fault: Fault, why: str = "") -> RecoveryStep:
        step = self._health.failed(fault, why)
        self._board.update(state=ModemState.RECOVERING, detail=self._health.words)
        return step

    async def _pause(self, seconds: float) -> None:
        """Wait, but no longer than the device is in its place."""
        if await self._ports.pause(self._config, seconds):
            self._absences.reset()
            self._pulls.reset()
            self._pulled_out()

    def _pulled_out(self) -> None:
        """Unless a step of the ladder had sent it away."""
        if self._due_back is None:
            self._health.pulled_out()

    def _arrived(self, place: Place) -> None:
        if self._due_back is not None:  # it was not without power for certain: what it owed is still owed
            self._shared.owed.moved(self._place.port, place.port)
        self._place = place
        self._board.update(usb=place.usb, notes=self._with_notes(place.notes))

    def _missing(self, problem: Unavailable, notes: tuple[str, ...]) -> None:
        self._board.update(port=self._config.port or "", usb="", notes=self._with_notes(notes))
        self._pulled_out()
        self._tell(problem)

    def _with_notes(self, notes: tuple[str, ...]) -> tuple[str, ...]:
        """The board's notes with these in place of the earlier ones on the modem's place."""
        return (*(note for note in self.status.notes if note not in _PLACE_NOTES), *notes)

    def _tell(self, problem: OtpBrokerError) -> None:
        state = ModemState.ABSENT
        if isinstance(problem, Misconfigured):
            state = ModemState.BLOCKED
        elif self.status.state is ModemState.RECOVERING and self.recovering:
            state = ModemState.RECOVERING
        self._board.update(state=state, detail=str(problem))
        if problem.detail != self._trouble:
            self._trouble = problem.detail
            log.warning("modem %s: %s", self._config.id, problem)


def _snapshot(config: ModemSection) -> ModemStatus:
    return ModemStatus(
        id=config.id,
        name=config.label,
        state=ModemState.ABSENT if config.active else ModemState.INACTIVE,
        imei=config.imei or "",
        imsi=config.imsi or "",
        iccid=config.iccid or "",
        port=config.port or "",
        prefixes=config.prefixes,
        default=config.default,
        send_from_api=config.send_from_api,
        active=config.active,
    )
