"""Fakes of what the admin site asks of the agent."""

import time
from collections.abc import Callable
from dataclasses import replace

from otpbroker.config.model import Administrator, AdminSection, Config
from otpbroker.errors import OtpBrokerError
from otpbroker.events import ModemState, ModemStatus
from otpbroker.feeder.feeders import Act, FeederStatus
from otpbroker.messaging.command import Command, ListModems, Origin, SendSms
from otpbroker.messaging.outcome import ModemList, Outcome, Result, State
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

    async def submit(self, command: Command, origin: Origin, *, wait: float | None = None) -> Result:
        if isinstance(command, ListModems):
            return ModemList(tuple(self.modems))
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

    async def outcome(self, message_id: str, *, caller: str | None) -> Outcome | None:
        assert caller is None, "an administrator sees the messages of all callers"
        return self.outcomes.get(message_id)
