"""Fakes of what the admin site asks of the agent."""

import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from otpbroker.config.model import Administrator, AdminSection, Config
from otpbroker.errors import OtpBrokerError
from otpbroker.events import FoundModem, ModemState, ModemStatus
from otpbroker.feeder.feeders import Act, FeederStatus
from otpbroker.messaging.balance import Balance
from otpbroker.messaging.command import Command, EndUssd, ListModems, Origin, ReplyUssd, RunUssd, SendSms
from otpbroker.messaging.outcome import ModemList, Outcome, Result, State, UssdEnded, UssdReplied
from otpbroker.messaging.received import Received
from otpbroker.modem.history import Sample
from otpbroker.modem.sim_tools import SimView
from otpbroker.passwords import hash_password
from otpbroker.redact import mask_number

USERNAME = "siti"
PASSWORD = "lima ekor kucing hitam"
ADMINISTRATOR = Administrator(username=USERNAME, password=hash_password(PASSWORD), name="Siti Rahma")

MODEMS = (
    ModemStatus(
        id="m1",
        name="Telkomsel",
        state=ModemState.READY,
        manufacturer="huawei",
        model="E173",
        imei="351234567890123",
        operator="TELKOMSEL",
        registration="home",
        signal_dbm=-71,
        port="/dev/ttyUSB0",
        prefixes=("62811", "62812"),
        default=True,
        sent=128,
        failed=1,
    ),
    ModemStatus(id="m2", name="XL", state=ModemState.READY, operator="XL", registration="home", signal_dbm=-97),
)


class FakeInbox:
    """Messages in memory, oldest first."""

    def __init__(self) -> None:
        self.messages: dict[str, Received] = {}

    def put(self, text: str, sender: str = "+6281200001111", modem_id: str = "m1", parts: int = 1) -> Received:
        received = Received(
            id=f"{len(self.messages):017x}",
            modem_id=modem_id,
            sender=sender,
            sender_is_number=sender.startswith("+"),
            text=text,
            sent_at=None,
            received_at=time.time() - 330,
            parts=parts,
            total=parts if parts == 1 else parts + 1,
        )
        self.messages[received.id] = received
        return received

    async def page(self, *, before: str = "", limit: int = 100, newest_first: bool = False) -> list[Received]:
        assert newest_first
        found = [received for received in self.messages.values() if not before or received.id < before]
        return found[::-1][:limit]

    async def get(self, message_id: str) -> Received | None:
        return self.messages.get(message_id)

    async def delete(self, message_id: str) -> bool:
        return self.messages.pop(message_id, None) is not None


class FakeStore:
    """A config store in memory."""

    def __init__(self, *administrators: Administrator) -> None:
        self.config = Config(admin=AdminSection(administrators=administrators))
        self.changed_by: list[str] = []

    async def update(self, change: Callable[[Config], Config], *, by: str) -> Config:
        self.config = Config.model_validate(change(self.config).model_dump())
        self.changed_by.append(by)
        return self.config

    def change_administrator(self, **changes: object) -> None:
        administrators = tuple(found.model_copy(update=changes) for found in self.config.admin.administrators)
        admin = self.config.admin.model_copy(update={"administrators": administrators})
        self.config = self.config.model_copy(update={"admin": admin})


class FakeFeeders:
    """Feeders that do what they are told."""

    def __init__(self) -> None:
        self.statuses: tuple[FeederStatus, ...] = ()
        self.acts: list[tuple[str, str]] = []

    async def act(self, feeder_id: str, what: Act) -> FeederStatus | None:
        self.acts.append((feeder_id, what))
        return next((status for status in self.statuses if status.id == feeder_id), None)


class FakePlugged:
    """What is plugged in and not configured is a list."""

    def __init__(self) -> None:
        self.found: tuple[FoundModem, ...] = ()
        self.asked_again = 0

    def ask_again(self) -> None:
        self.asked_again += 1


class FakeDispatcher:
    """A core whose modems are a list, and whose messages end as `answer` says."""

    def __init__(self) -> None:
        # Between five and six minutes ago for the half minute that a test may take.
        self.modems = [replace(MODEMS[0], last_activity=time.time() - 330), *MODEMS[1:]]
        self.waiting = 0
        self.answer: OtpBrokerError | dict[str, object] = {"state": State.SENT, "references": (17,)}
        self.submitted: list[tuple[Command, Origin]] = []
        self.waited: list[float | None] = []
        self.outcomes: dict[str, Outcome] = {}
        self.ussd: UssdReplied | OtpBrokerError = UssdReplied("m1", "1. Pulsa", "", time.time() + 45)

    async def submit(self, command: Command, origin: Origin, *, wait: float | None = None) -> Result:
        if isinstance(command, ListModems):
            return ModemList(tuple(self.modems))
        if isinstance(command, RunUssd | ReplyUssd | EndUssd):
            return self._ussd(command, origin)
        assert isinstance(command, SendSms)
        self.submitted.append((command, origin))
        self.waited.append(wait)
        if isinstance(self.answer, OtpBrokerError):
            raise self.answer
        now = time.time()
        blank = Outcome(
            id=f"out-{len(self.submitted)}",
            state=State.SENT,
            receiver=mask_number(command.receiver),
            source=origin.source,
            accepted_at=now,
            expires_at=now + 300,
            changed_at=now,
            parts=1,
            length=len(command.text),
            modem_id=command.modem_id,
        )
        outcome = replace(blank, **self.answer)
        self.outcomes[outcome.id] = outcome
        return outcome

    def _ussd(self, command: RunUssd | ReplyUssd | EndUssd, origin: Origin) -> Result:
        self.submitted.append((command, origin))
        if isinstance(command, EndUssd):
            return UssdEnded(command.modem_id)
        if isinstance(self.ussd, OtpBrokerError):
            raise self.ussd
        return self.ussd

    async def outcome(self, message_id: str, *, caller: str | None) -> Outcome | None:
        assert caller is None, "an administrator sees the messages of all callers"
        return self.outcomes.get(message_id)


class FakeSimTools:
    """A SIM that does whatever it is asked, or raises `error`."""

    def __init__(self) -> None:
        self.error: OtpBrokerError | None = None
        self.view: SimView | OtpBrokerError = SimView("READY", pin_required=True, pin_left=3)
        self.done: list[tuple[object, ...]] = []

    async def look(self, _modem_id: str) -> SimView:
        if isinstance(self.view, OtpBrokerError):
            raise self.view
        return self.view

    async def enter_pin(self, modem_id: str, pin: str, *, by: str) -> None:
        self._do("enter", modem_id, pin, by)

    async def require_pin(self, modem_id: str, pin: str, *, on: bool, by: str) -> None:
        self._do("on" if on else "off", modem_id, pin, by)

    async def change_pin(self, modem_id: str, old: str, new: str, *, by: str) -> None:
        self._do("change", modem_id, old, new, by)

    async def unblock(self, modem_id: str, puk: str, new: str, *, by: str) -> None:
        self._do("unblock", modem_id, puk, new, by)

    async def set_service_centre(self, modem_id: str, number: str, *, by: str) -> None:
        self._do("smsc", modem_id, number, by)

    def _do(self, *what: object) -> None:
        self.done.append(what)
        if self.error is not None:
            raise self.error


class FakeBalances:
    """A network that tells a balance, or `error`."""

    def __init__(self) -> None:
        self.error: OtpBrokerError | None = None
        self.asked: list[str] = []

    async def check(self, modem_id: str) -> Balance:
        self.asked.append(modem_id)
        if self.error is not None:
            raise self.error
        return Balance("510101234567890", Decimal(12345), time.time(), low=False)


class FakeHistory:
    """The past as a test writes it."""

    def __init__(self) -> None:
        self.samples: tuple[Sample, ...] = ()

    def of(self, _modem_id: str, _seconds: float) -> tuple[Sample, ...]:
        return self.samples
