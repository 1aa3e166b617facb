"""The REST application on a real listener, before a core that says what a test tells it to say."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import httpx2

from otpbroker.clock import Clock
from otpbroker.config.model import ApiSection, ApiUser, Config, DeviceSection, Listener, SmsSection
from otpbroker.errors import OtpBrokerError, Rejected
from otpbroker.events import (
    Fault,
    FeederState,
    Incident,
    ModemHealth,
    ModemState,
    ModemStatus,
    RecoveryStep,
    StepTaken,
)
from otpbroker.feeder.feeders import Act, FeederStatus
from otpbroker.messaging.command import (
    Block,
    Command,
    Echo,
    EndUssd,
    ListModems,
    Origin,
    ReplyUssd,
    RequestOtp,
    RunUssd,
    SendSms,
    Unblock,
    VerifyOtp,
)
from otpbroker.messaging.msisdn import normalise
from otpbroker.messaging.outcome import (
    Blocklisted,
    Echoed,
    ModemList,
    OtpRequested,
    OtpVerified,
    Outcome,
    Result,
    State,
    UssdEnded,
    UssdReplied,
    Verdict,
)
from otpbroker.messaging.received import Received
from otpbroker.modem.history import Sample
from otpbroker.passwords import hash_password
from otpbroker.web.access import Access
from otpbroker.web.api import create_api_app
from otpbroker.web.hashing import HashingThread
from otpbroker.web.server import Bound, Server
from otpbroker.web.tls import TlsFiles

USER, PASSWORD = "shop", "correct:horse:battery"
_HASH = hash_password(PASSWORD)
SENT = Outcome(
    id="q1",
    state=State.SENT,
    receiver="62812XXXX66",
    source="rest",
    accepted_at=1795360371.0,
    expires_at=1795360671.0,
    changed_at=1795360372.5,
    parts=1,
    length=20,
    encoding="gsm7",
    modem_id="m1",
    references=(17,),
)
WAITING = replace(SENT, state=State.QUEUED, references=(), modem_id=None)
USSD = UssdReplied("m1", "1. Pulsa", '+CUSD: 1,"1. Pulsa",15', 1795360705.0)
SAMPLES = (
    Sample(1795360371.0),
    Sample(1795360372.0, -71, "home", "TELKOMSEL"),
    Sample(1795360432.0, -73, "roaming", "XL"),
)
MODEMS = (
    ModemStatus(id="m1", name="One", state=ModemState.READY, signal_dbm=-71, default=True, imei="490154203237518"),
    ModemStatus(
        id="m2",
        name="Two",
        state=ModemState.RECOVERING,
        send_from_api=False,
        imsi="510101234567890",
        iccid="8962100000000000017",
        msisdn="+628111111111",
        notes=("brownout",),
        health=ModemHealth(
            step=RecoveryStep.REOPEN,
            since=1795360371.0,
            tries=2,
            faults=2,
            brownouts=3,
            resets=1,
            incidents=(
                Incident(1795360360.5, Fault.SILENT, (StepTaken(RecoveryStep.RESYNC, 8.00049),)),
                Incident(1795360000.0, Fault.DEAF, (), RecoveryStep.USB_RESET, 21.5),
            ),
        ),
    ),
)


class Blocklist:
    """Kept in memory."""

    def __init__(self) -> None:
        self.numbers: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self.numbers)

    def blocked(self, receiver: str) -> bool:
        return receiver in self.numbers

    def entries(self, offset: int = 0, limit: int = 100) -> list[str]:
        return list(self.numbers)[offset : offset + limit]


BANK = Received(
    id="019ab3f2c4d0a1b2c",
    modem_id="m1",
    sender="BANK",
    sender_is_number=False,
    text="Saldo Anda Rp 5.000 …",
    sent_at=None,
    received_at=1795360300.0,
    parts=1,
    total=2,
)
SITI = Received(
    id="019ab3f2c5d0a1b2c",
    modem_id="m1",
    sender="+6281200001111",
    sender_is_number=True,
    text="Halo",
    sent_at=1795360370.0,
    received_at=1795360371.0,
    parts=1,
    total=1,
)


class ScriptedInbox:
    """In memory."""

    def __init__(self) -> None:
        self.messages = {received.id: received for received in (BANK, SITI)}

    async def page(self, *, modem_id: str | None = None, after: str = "", limit: int = 100) -> list[Received]:
        found = (each for each in self.messages.values() if modem_id in {None, each.modem_id} and each.id > after)
        return list(found)[:limit]

    async def get(self, message_id: str) -> Received | None:
        return self.messages.get(message_id)

    async def delete(self, message_id: str) -> bool:
        return self.messages.pop(message_id, None) is not None


@dataclass
class ScriptedCore:
    """Answers as the dispatcher does when all is well, or with `result`; remembers what it was asked."""

    result: Outcome | OtpBrokerError | Exception = SENT
    verdict: Verdict = Verdict.VALID
    ussd: UssdReplied | OtpBrokerError = USSD
    asked: list[tuple[Command, Origin, float | None]] = field(default_factory=list)
    known: dict[tuple[str, str], Outcome] = field(default_factory=dict)
    blocklist: Blocklist = field(default_factory=Blocklist)
    inbox: ScriptedInbox = field(default_factory=ScriptedInbox)
    hold: asyncio.Event | None = None  # messages wait for it
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    waited: float = 0.0

    async def submit(self, command: Command, origin: Origin, *, wait: float | None = None) -> Result:
        self.asked.append((command, origin, wait))
        self.arrived.set()
        match command:
            case ListModems():
                return ModemList(MODEMS)
            case Echo(request):
                return Echoed(request)
            case Block(receiver) | Unblock(receiver):
                number = normalise(receiver, "62")
                if isinstance(command, Block):
                    self.blocklist.numbers[number] = None
                else:
                    self.blocklist.numbers.pop(number, None)
                return Blocklisted(number, isinstance(command, Block))
            case RunUssd() | ReplyUssd() | EndUssd():
                return self._ussd(command)
            case VerifyOtp():
                return OtpVerified(command.reference, command.receiver, self.verdict, 4)
        if self.hold is not None:
            await self.hold.wait()
        if isinstance(self.result, Exception):
            raise self.result
        self.known[origin.caller, self.result.id] = self.result
        if isinstance(command, RequestOtp):
            return OtpRequested(command.reference, command.receiver, 1795360671.0, self.result)
        return self.result

    def _ussd(self, command: RunUssd | ReplyUssd | EndUssd) -> Result:
        if all(modem.id != command.modem_id for modem in MODEMS):
            raise Rejected("modem-unknown", "no", field="modem_id")
        if isinstance(command, EndUssd):
            return UssdEnded(command.modem_id)
        if isinstance(self.ussd, OtpBrokerError):
            raise self.ussd
        return replace(self.ussd, modem_id=command.modem_id)

    async def outcome(self, message_id: str, *, caller: str | None, wait: float = 0.0) -> Outcome | None:
        self.waited = wait
        return self.known.get((caller or "", message_id))

    def of(self, modem_id: str, seconds: float) -> tuple[Sample, ...]:
        self.waited = seconds
        return SAMPLES if modem_id == "m1" else ()

    @property
    def command(self) -> Command:
        """The last one."""
        return self.asked[-1][0]

    @property
    def messages(self) -> list[SendSms]:
        return [command for command, _, _ in self.asked if isinstance(command, SendSms)]


def configuration(**api: str) -> Config:
    users = tuple(
        ApiUser(username=name, password=_HASH, rights=rights)
        for name, rights in ((USER, ("feeders", "inbox", "ussd")), ("other", ()))
    )
    return Config(
        device=DeviceSection(country_code="62"),
        sms=SmsSection(wait=30),
        api=ApiSection(users=users, **api),
    )


@dataclass
class ScriptedFeeders:
    """One feeder that does what it is told."""

    state: FeederState = FeederState.CONNECTED
    done: list[tuple[str, str]] = field(default_factory=list)

    @property
    def statuses(self) -> tuple[FeederStatus, ...]:
        return (FeederStatus("rabbit", "rabbitmq", self.state, "", 1795360371.0, done=3, refused=1),)

    async def act(self, feeder_id: str, what: Act) -> FeederStatus | None:
        if feeder_id != "rabbit":
            return None
        self.done.append((feeder_id, what))
        self.state = FeederState.STOPPED if what == "stop" else FeederState.CONNECTING
        return self.statuses[0]


@asynccontextmanager
async def serving(
    core: ScriptedCore,
    config: Callable[[], Config] | Config | None = None,
    *,
    tls: TlsFiles | None = None,
    access: Access | None = None,
    feeders: ScriptedFeeders | None = None,
) -> AsyncIterator[Bound]:
    """A listener on loopback that answers until the block ends."""
    settings = config if callable(config) else lambda: config_or_default
    config_or_default = config if isinstance(config, Config) else configuration()
    app = create_api_app(
        config=settings,
        core=core,
        control=feeders or ScriptedFeeders(),
        inbox=core.inbox,
        past=core,
        access=access or Access(lambda: settings().api.users, HashingThread()),
        clock=Clock(),
    )
    server = Server(app, Listener(port=0), field="api.http", tls=tls, grace=1.0)
    bound = server.bind()
    closing = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve(closing))
        try:
            yield bound
        finally:
            closing.set()


@asynccontextmanager
async def client(core: ScriptedCore, **options: object) -> AsyncIterator[httpx2.AsyncClient]:
    """An HTTP client of such a listener, with the right credentials."""
    async with (
        serving(core, **options) as bound,  # type: ignore[arg-type] # passes on what it gets
        httpx2.AsyncClient(base_url=bound.url, auth=(USER, PASSWORD), timeout=10) as http,
    ):
        yield http


def authorization(username: str = USER, password: str = PASSWORD) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connection(bound: Bound, source: str | None = None) -> AsyncIterator[Connection]:
    """A TCP connection, from the address `source` if given, closed at the end however the server left it."""
    local = None if source is None else (source, 0)
    reader, writer = await asyncio.open_connection(bound.host, bound.port, local_addr=local)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def exchange(bound: Bound, octets: bytes) -> bytes:
    """Send raw octets, then read one response or until the server closes."""
    received = b""
    async with connection(bound) as (reader, writer):
        writer.write(octets)
        with contextlib.suppress(ConnectionError):  # what came before it counts
            async with asyncio.timeout(5):
                while not _complete(received) and (chunk := await reader.read(65536)):
                    received += chunk
    return received


def _complete(received: bytes) -> bool:
    head, end, body = received.rpartition(b"\r\n\r\n") if b"\r\n\r\n" in received else (b"", b"", b"")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(end and lengths) and len(body) >= int(lengths[-1].partition(b":")[2])
