"""Fakes of the core's own protocols: senders whose answers a test decides, and a clock that it moves."""

import asyncio
from collections import deque
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field

from otpbroker.clock import Clock
from otpbroker.config.limits import LimitsSection
from otpbroker.config.model import ModemSection
from otpbroker.config.tariff import TariffSection
from otpbroker.errors import OtpBrokerError
from otpbroker.events import ModemState, ModemStatus
from otpbroker.messaging.meter import Usage
from otpbroker.messaging.sender import Sender
from otpbroker.messaging.tally import Span
from otpbroker.sms.submission import SendResult, Sent, Sms
from otpbroker.sms.submit import decode_submit
from otpbroker.sms.ussd import UssdAnswer

IMEI = "490154203237518"


@dataclass(slots=True)
class FakeClock:
    """Both clocks, moved by the test alone."""

    unix: float = 1_800_000_000.0
    boot: float = 1000.0

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: self.unix, monotonic=lambda: self.boot)

    def advance(self, seconds: float) -> None:
        self.unix += seconds
        self.boot += seconds


@dataclass(frozen=True, slots=True)
class Given:
    """What a sender was given, and when on the monotonic clock."""

    sms: Sms
    more: bool
    at: float

    @property
    def receiver(self) -> str:
        return decode_submit(self.sms.pdus[0]).receiver.value

    @property
    def text(self) -> str:
        return "".join(decode_submit(pdu).text for pdu in self.sms.pdus)


@dataclass(slots=True, eq=False)
class FakeUssd:
    """A network that answers as scripted, each after `delay` seconds."""

    script: deque[UssdAnswer | OtpBrokerError] = field(default_factory=deque)
    delay: float = 1.0
    open: bool = False
    waits: bool = False
    asked: list[str] = field(default_factory=list)
    ended: int = 0

    def answer(self, *results: UssdAnswer | OtpBrokerError) -> None:
        self.script.extend(results)

    async def run(self, code: str) -> UssdAnswer:
        return await self.reply(code)

    async def reply(self, text: str) -> UssdAnswer:
        self.asked.append(text)
        self.open, self.waits = True, False
        await asyncio.sleep(self.delay)
        result = self.script.popleft()
        if isinstance(result, OtpBrokerError):
            self.open = False
            raise result
        self.open = self.waits = result.replyable
        return result

    async def end(self) -> None:
        self.ended += self.open
        self.open = self.waits = False


@dataclass(slots=True, eq=False)
class FakeSender:
    """A transmitter with one SIM: answers as scripted, else with references counted from 0.

    The first `prompt_time` seconds of a message can be cancelled; after it the call ends with the answer.
    """

    config: ModemSection
    ready: bool = True
    recovering: bool = False
    prompt_time: float = 0.0
    air_time: float = 1.0
    script: deque[SendResult | Exception] = field(default_factory=deque)
    given: list[Given] = field(default_factory=list)
    overlapped: bool = False  # was asked to send while it sent
    ussd: FakeUssd = field(default_factory=FakeUssd)
    imsi: str = "510101234567890"
    balances: list[tuple[str, float | None, bool]] = field(default_factory=list)  # told, when, low
    _held: asyncio.Event | None = None
    _busy: bool = False
    _reference: int = 0

    @property
    def id(self) -> str:
        return self.config.id

    @property
    def texts(self) -> list[str]:
        return [given.text for given in self.given]

    @property
    def status(self) -> ModemStatus:
        state = ModemState.SENDING if self._busy else ModemState.READY if self.ready else ModemState.RECOVERING
        return ModemStatus(
            self.config.id, self.config.label, state, imei=IMEI, imsi=self.imsi, prefixes=self.config.prefixes
        )

    def tell_balance(self, balance: str, at: float | None, *, low: bool) -> None:
        self.balances.append((balance, at, low))

    def answer(self, *results: SendResult | Exception) -> None:
        """Decide what becomes of the next messages; an exception is a defect of ours."""
        self.script.extend(results)

    def hang(self) -> None:
        """Do not answer until `wake`."""
        self._held = asyncio.Event()

    def wake(self) -> None:
        if self._held is not None:
            self._held.set()
            self._held = None

    async def send(self, sms: Sms, *, more: bool) -> SendResult:
        self.overlapped |= self._busy
        self._busy = True
        try:
            await asyncio.sleep(self.prompt_time)
            self.given.append(Given(sms, more, asyncio.get_running_loop().time()))
            return await _uncancelled(self._transmit(sms))
        finally:
            self._busy = False

    async def _transmit(self, sms: Sms) -> SendResult:
        if self._held is not None:
            await self._held.wait()
        await asyncio.sleep(self.air_time)
        if self.script:
            result = self.script.popleft()
            if isinstance(result, Exception):
                raise result
            return result
        references = tuple((self._reference + part) % 256 for part in range(len(sms.pdus)))
        self._reference = (self._reference + len(sms.pdus)) % 256
        return Sent(references)


@dataclass(slots=True)
class FakeFleet:
    """The senders that a test plugs in and out; it must tell the dispatcher itself."""

    senders: tuple[Sender, ...] = ()


class NoLedger:
    """Remembers no counts."""

    def load(self) -> dict[str, Usage]:
        return {}

    def add(self, modem_id: str, parts: int, span: Span) -> None:
        pass

    def replace(self, modem_id: str, spans: Iterable[Span]) -> None:
        pass


def modem(  # what a modem entry may say of routing
    modem_id: str,
    *prefixes: str,
    default: bool = False,
    send_from_api: bool = True,
    active: bool = True,
    tariff: TariffSection | None = None,
    **limits: float,
) -> ModemSection:
    """A modem entry with what routing asks for; `per_minute` and so on are its limits."""
    return ModemSection(
        id=modem_id,
        port=f"/dev/{modem_id}",
        prefixes=prefixes,
        default=default,
        send_from_api=send_from_api,
        active=active,
        tariff=tariff,
        limits=LimitsSection.model_validate(limits),
    )


def senders(*sections: ModemSection) -> tuple[FakeSender, ...]:
    return tuple(map(FakeSender, sections))


def texts(fakes: Iterable[FakeSender]) -> list[str]:
    """Every text that left, in no order."""
    return [text for fake in fakes for text in fake.texts]


async def _uncancelled(answer: Coroutine[object, object, SendResult]) -> SendResult:
    """The answer, however often the caller is cancelled while it is under way."""
    task = asyncio.ensure_future(answer)
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            continue
        except Exception:  # noqa: BLE001 # `result` raises it
            break
    return task.result()
