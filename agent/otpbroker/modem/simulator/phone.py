"""What the recipients see: messages joined from their parts, in memory only."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from otpbroker.clock import Clock
from otpbroker.sms.user_data import UserData, join_texts

_INCOMPLETE_LIMIT = 256  # long messages of which parts are still missing; the oldest gives way


@dataclass(frozen=True, slots=True)
class Part:
    """One SMS-SUBMIT as the network carries it; `validity` in seconds, None: the network's own."""

    receiver: str
    user_data: UserData
    validity: float | None
    status_report: bool


@dataclass(frozen=True, slots=True)
class PhoneMessage:
    """A message on a recipient's phone; the same text to the same receiver once more counts as a copy.

    `revision` grows with every change of the phone, so what is new since then is easily told.
    """

    revision: int
    receiver: str
    text: str = field(repr=False)
    modem: str
    at: float  # Unix seconds of the last copy's last part
    parts: int
    validity: float | None
    status_report: bool
    copies: int = 1
    sender: str = ""  # the number of the card that was in the modem


class Phone:
    """All recipients' phones in one: keeps the last `limit` messages."""

    def __init__(self, limit: int = 500, clock: Clock | None = None) -> None:
        self._limit = limit
        self._clock = clock or Clock()
        self._messages: OrderedDict[tuple[str, str], PhoneMessage] = OrderedDict()
        self._incomplete: OrderedDict[tuple[str, str, int, int], dict[int, Part]] = OrderedDict()
        self._news = asyncio.Event()
        self.revision = 0
        self.received = 0  # whole messages, copies counted
        self.received_parts = 0

    @property
    def messages(self) -> tuple[PhoneMessage, ...]:
        """Oldest first."""
        return tuple(self._messages.values())

    def since(self, revision: int) -> tuple[PhoneMessage, ...]:
        """What came after a revision, oldest first."""
        found: list[PhoneMessage] = []
        for message in reversed(self._messages.values()):
            if message.revision <= revision:
                break
            found.append(message)
        return tuple(reversed(found))

    def receive(self, modem: str, part: Part, sender: str = "") -> None:
        """A part arrives through a modem; it is shown when the message is whole."""
        self.received_parts += 1
        concatenation = part.user_data.concatenation
        if concatenation is None:
            self._show(modem, sender, [part])
            return
        key = (part.receiver, modem, concatenation.reference, concatenation.total)
        parts = self._incomplete.setdefault(key, {})
        parts[concatenation.index] = part
        if len(parts) == concatenation.total:
            del self._incomplete[key]
            self._show(modem, sender, [parts[index] for index in sorted(parts)])
        elif len(self._incomplete) > _INCOMPLETE_LIMIT:
            self._incomplete.popitem(last=False)

    def clear(self) -> None:
        self._messages.clear()
        self._incomplete.clear()
        self._changed()

    async def changed(self, revision: int) -> None:
        """Wait until the phone is newer than a revision."""
        while self.revision <= revision:
            await self._news.wait()

    async def wait_for(
        self, wanted: Callable[[PhoneMessage], bool], *, within: float, after: int = 0
    ) -> PhoneMessage:
        """The first wanted message newer than the revision `after`; `TimeoutError` after `within` seconds."""
        async with asyncio.timeout(within):
            while True:
                for message in self.since(after):
                    if wanted(message):
                        return message
                after = self.revision
                await self.changed(after)

    def _show(self, modem: str, sender: str, parts: list[Part]) -> None:
        first = parts[0]
        text = join_texts(part.user_data for part in parts)
        self.received += 1
        self._changed()
        message = PhoneMessage(
            revision=self.revision,
            receiver=first.receiver,
            text=text,
            modem=modem,
            sender=sender,
            at=self._clock.now(),
            parts=len(parts),
            validity=first.validity,
            status_report=any(part.status_report for part in parts),
        )
        earlier = self._messages.pop((message.receiver, text), None)
        if earlier is not None:
            message = replace(message, copies=earlier.copies + 1)
        self._messages[message.receiver, text] = message
        if len(self._messages) > self._limit:
            self._messages.popitem(last=False)

    def _changed(self) -> None:
        self.revision += 1
        self._news.set()
        self._news = asyncio.Event()
