"""What the pages of the admin site are given, and what the site asks of the agent."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from quart import Blueprint, g

from otpbroker.clock import Clock
from otpbroker.config.model import Administrator, Config
from otpbroker.events import FoundModem, ModemStatus
from otpbroker.feeder.feeders import Act, FeederStatus
from otpbroker.messaging.balance import Balance
from otpbroker.messaging.command import Command, ListModems, Origin
from otpbroker.messaging.outcome import ModemList, Outcome, Result
from otpbroker.messaging.received import Received
from otpbroker.modem.history import Sample
from otpbroker.modem.sim_tools import SimView
from otpbroker.web.hashing import HashingThread
from otpbroker.web.live import Monitor
from otpbroker.web.sessions import Sessions
from otpbroker.web.setup_code import SetupCode
from otpbroker.web.sign_in import SignIn


class Store(Protocol):
    """The one document that describes the device."""

    @property
    def config(self) -> Config: ...

    async def update(self, change: Callable[[Config], Config], /, *, by: str) -> Config:
        """Validate and write the changed document, or raise and keep the old one."""
        ...


class Dispatcher(Protocol):
    """The one way of a command into the core."""

    @property
    def waiting(self) -> int: ...

    async def submit(self, command: Command, origin: Origin, /, *, wait: float | None) -> Result: ...

    async def outcome(self, message_id: str, /, *, caller: str | None) -> Outcome | None: ...


class Feeders(Protocol):
    """The feeders of the configuration."""

    @property
    def statuses(self) -> tuple[FeederStatus, ...]: ...

    async def act(self, feeder_id: str, what: Act, /) -> FeederStatus | None: ...


class FeederKey(Protocol):
    """A key that messages are sealed to; it opens them `until` then (Unix seconds), the current one has no end."""

    @property
    def kid(self) -> str: ...

    @property
    def public(self) -> dict[str, str]: ...

    @property
    def made_at(self) -> float: ...

    @property
    def until(self) -> float | None: ...


class FeederKeys(Protocol):
    """The keys that messages are sealed to, the current one first. Methods block."""

    def usable(self) -> Sequence[FeederKey]: ...

    def ensure(self) -> FeederKey: ...

    def rotate(self) -> FeederKey: ...


class Inbox(Protocol):
    """What came in by SMS, see `messaging.inbox.Inbox`."""

    async def page(self, *, before: str = "", limit: int = 100, newest_first: bool = False) -> list[Received]: ...

    async def get(self, message_id: str, /) -> Received | None: ...

    async def delete(self, message_id: str, /) -> bool: ...


class Plugged(Protocol):
    """What is plugged in and is none of the configured modems."""

    @property
    def found(self) -> tuple[FoundModem, ...]: ...

    def ask_again(self) -> None:
        """Ask all of it anew who it is."""
        ...


class SimTools(Protocol):
    """What a person does to a SIM by hand; see `modem.sim_tools.SimTools` for what each one raises."""

    async def look(self, modem_id: str, /) -> SimView: ...

    async def enter_pin(self, modem_id: str, pin: str, /, *, by: str) -> None: ...

    async def require_pin(self, modem_id: str, pin: str, /, *, on: bool, by: str) -> None: ...

    async def change_pin(self, modem_id: str, old: str, new: str, /, *, by: str) -> None: ...

    async def unblock(self, modem_id: str, puk: str, new: str, /, *, by: str) -> None: ...

    async def set_service_centre(self, modem_id: str, number: str, /, *, by: str) -> None: ...


class Balances(Protocol):
    """The credit of the SIMs."""

    async def check(self, modem_id: str, /) -> Balance:
        """Ask the network now."""
        ...


class History(Protocol):
    """How signal and registration of the modems went."""

    def of(self, modem_id: str, seconds: float, /) -> Sequence[Sample]: ...


@dataclass(frozen=True, slots=True)
class Site:
    """The parts that a page may use; `api_urls` are the addresses that REST answers on now.

    `feeder_keys` blocks, as its methods do.
    """

    store: Store
    dispatcher: Dispatcher
    feeders: Feeders
    feeder_keys: Callable[[], FeederKeys]
    inbox: Inbox
    plugged: Plugged
    monitor: Monitor
    sessions: Sessions
    sign_in: SignIn
    setup_code: SetupCode
    sim_tools: SimTools
    balances: Balances
    history: History
    hashing: HashingThread
    api_urls: Callable[[], Sequence[str]]
    clock: Clock
    closing: asyncio.Event

    async def modems(self) -> tuple[ModemStatus, ...]:
        """Every modem as it is now."""
        match await self.dispatcher.submit(ListModems(), Origin("admin", ""), wait=None):
            case ModemList(modems):
                return modems
            case other:
                raise TypeError(f"a list of modems was expected, not {type(other).__name__}")


@dataclass(frozen=True, slots=True)
class Navigation:
    """A page's place in the menu: `title` is a message id, `endpoint` its view, lower `position` comes first."""

    title: str
    endpoint: str
    position: int


class Page(Protocol):
    """A module of `pages/`: it is on the site by being there."""

    NAVIGATION: Navigation | None

    def create(self, site: Site) -> Blueprint: ...


def administrator() -> Administrator:
    """Who is logged in; only for views that need a log-in."""
    found = g.administrator
    if not isinstance(found, Administrator):
        raise TypeError("no administrator is logged in")
    return found
