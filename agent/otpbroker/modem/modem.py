"""One modem: owns its port from opening to closing, sends messages, tells its state."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from otpbroker.config.model import ModemSection
from otpbroker.errors import Misconfigured, OtpBrokerError, Unavailable
from otpbroker.events import ModemState, ModemStatus
from otpbroker.modem.at import AtConversation
from otpbroker.modem.backoff import Backoff
from otpbroker.modem.dialect import Dialect
from otpbroker.modem.results import AtFailure
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
_GOOD_RUN = 30.0  # seconds after which the next trouble is a new one
_RETRY_LEAST, _RETRY_MOST = 0.5, 5.0


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
        self._session: Session | None = None
        self._sends = 0  # under way or waiting for their turn
        self._trouble = ""  # with the port, as it was logged last

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
            return await session.send(prepare(sms), sms.deadline, more=more)
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
        """Open, start and look after the modem, and open it anew whenever it is lost."""
        loop = asyncio.get_running_loop()
        backoff = Backoff(_RETRY_LEAST, _RETRY_MOST)
        self._board.update(state=ModemState.STARTING, detail="")
        while True:
            began = loop.time()
            try:
                await self._live()
            except (Unavailable, Misconfigured) as problem:
                self._tell(problem)
            if loop.time() - began > _GOOD_RUN:
                backoff.reset()
            if await self._ports.pause(self._config, backoff.next()):
                backoff.reset()

    async def _live(self) -> None:
        """From finding the port to losing the modem."""
        place = await self._ports.find(self._config, self._missing)
        port = place.port
        self._board.update(usb=place.usb, notes=self._with_notes(place.notes))
        link = await self._connect(port, self._config)
        session = Session(self._config, link, self._board, port, self._air, self._shared, self._ussd.heard)
        try:
            self._trouble = ""
            self._board.update(port=port)
            self._session = session
            link.start(session.feed, session.hang_up)
            await session.run()
        except AtFailure as failure:
            log.warning("modem %s is lost: %s", self._config.id, failure)
            self._board.update(state=ModemState.RECOVERING, detail=f"{failure}; it is opened anew")
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

    def _missing(self, problem: Unavailable, notes: tuple[str, ...]) -> None:
        self._board.update(port=self._config.port or "", usb="", notes=self._with_notes(notes))
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
