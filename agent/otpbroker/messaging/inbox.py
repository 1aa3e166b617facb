"""Messages from the network: kept on the disk, each sealed in a file of its own, until deleted or too old.

They may hold what other services send, one-time passwords too: without the device's key none can be read.
One file a message is whole or not there, and is gone when it is deleted. In memory stay only the times and a keyed
hash of each.
"""

import asyncio
import hmac
import json
import logging
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from otpbroker.clock import Clock
from otpbroker.config.model import InboxSection
from otpbroker.errors import Misconfigured, Rejected
from otpbroker.events import Bus, SmsReceived
from otpbroker.files import erase_file, make_folder, replace_file
from otpbroker.redact import mask_number
from otpbroker.sealing import Sealer
from otpbroker.sms.address import TypeOfNumber
from otpbroker.sms.reassemble import Message

_log = logging.getLogger(__name__)

_DAY = 86400.0
_TIME_DIGITS = 11  # hexadecimal, of milliseconds since 1970
_REMEMBERED = 1000  # deleted messages that are known again while the SIM still has them


@dataclass(frozen=True, slots=True)
class Received:
    """A message from the network; times are Unix seconds. With less `parts` than `total` its text has gaps."""

    id: str
    modem_id: str
    sender: str = field(repr=False)  # +62812..., 0812..., 888, or a name
    sender_is_number: bool
    text: str = field(repr=False)
    sent_at: float | None  # by the service centre's clock
    received_at: float
    parts: int
    total: int

    @property
    def complete(self) -> bool:
        return self.parts == self.total

    @property
    def answerable_sender(self) -> str:
        """Where a reply goes. Raises `Rejected`: a name is no address."""
        if not self.sender_is_number:
            raise Rejected("sender-no-number", "the sender is a name: it takes no reply")
        return self.sender


class Inbox:
    """The files of `folder`. Ids sort in the order of arrival, whatever the clock does."""

    def __init__(
        self, folder: Path, key: bytes, settings: Callable[[], InboxSection], bus: Bus, clock: Clock
    ) -> None:
        self._folder = folder
        self._sealer = Sealer(key)
        self._digest_key = hmac.digest(key, b"inbox", "sha256")
        self._settings = settings
        self._bus = bus
        self._clock = clock
        self._ids: dict[str, bytes | None] = {}  # oldest first, each with what it is known again by
        self._deleted: deque[bytes] = deque(maxlen=_REMEMBERED)
        self._loaded = False
        self._changing = asyncio.Lock()
        self._keeping: set[asyncio.Task[bool]] = set()
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Delete what is too old when its time comes, until cancelled."""
        while True:
            self._news.clear()
            async with self._changing:
                await self._load()
                await self._prune()
            await self._wait(self._due())

    async def received(self, modem_id: str, message: Message) -> bool:
        """Keep a message. True: it is on the disk, or it was, or none are to be kept; it need not come again."""
        if not self._settings().enabled:
            _log.info("inbox: a message to modem %s is not kept: the inbox is switched off", modem_id)
            return True
        # Who gives up waiting for a slow disk and asks again must not get a second copy.
        task = asyncio.create_task(self._keep(modem_id, message))
        self._keeping.add(task)
        task.add_done_callback(self._keeping.discard)
        return await asyncio.shield(task)

    async def page(
        self,
        *,
        modem_id: str | None = None,
        after: str = "",
        before: str = "",
        limit: int = 100,
        newest_first: bool = False,
    ) -> list[Received]:
        """Up to `limit` messages between two ids (""; no limit), in order of arrival or the newest first."""
        async with self._changing:
            await self._load()
            ids = [known for known in self._ids if known > after and (not before or known < before)]
        if newest_first:
            ids.reverse()
        return await asyncio.to_thread(self._read_some, ids, modem_id, limit)

    async def get(self, message_id: str) -> Received | None:
        async with self._changing:
            await self._load()
            if message_id not in self._ids:
                return None
        return await asyncio.to_thread(self._read, message_id)

    async def delete(self, message_id: str) -> bool:
        """Whether it was there; from the return on it is gone, over restarts too."""
        async with self._changing:
            await self._load()
            if message_id not in self._ids:
                return False
            await self._forget([message_id])
            return True

    async def _keep(self, modem_id: str, message: Message) -> bool:
        async with self._changing:
            await self._load()
            digest = self._digest(modem_id, message)
            if digest is not None and (digest in self._deleted or digest in self._ids.values()):
                return True
            kept = self._entry(modem_id, message)
            try:
                await asyncio.to_thread(self._write, kept)
            except OSError as error:
                _log.error("inbox: a message can't be kept, it stays with the modem: %s", error.strerror)
                return False
            self._ids[kept.id] = digest
            await self._prune()
        self._bus.publish(
            SmsReceived(
                id=kept.id,
                modem_id=modem_id,
                sender=mask_number(kept.sender),
                parts=kept.parts,
                total=kept.total,
                at=kept.received_at,
            )
        )
        self._news.set()
        return True

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return

    def _due(self) -> float:
        """Seconds until the oldest message has to go; a day at most, for the clock may be set."""
        if not self._ids:
            return _DAY
        end = _time_of(next(iter(self._ids))) + self._settings().keep_days * _DAY
        return min(max(end - self._clock.now(), 1.0), _DAY)

    async def _prune(self) -> None:
        settings = self._settings()
        before = self._clock.now() - settings.keep_days * _DAY
        surplus = len(self._ids) - settings.max_messages
        await self._forget(
            [known for at, known in enumerate(self._ids) if at < surplus or _time_of(known) < before]
        )

    async def _forget(self, ids: list[str]) -> None:
        if not ids:
            return
        await asyncio.to_thread(self._erase, ids)
        for message_id in ids:
            if (digest := self._ids.pop(message_id)) is not None:
                self._deleted.append(digest)

    async def _load(self) -> None:
        if not self._loaded:
            self._ids = await asyncio.to_thread(self._look)
            self._loaded = True

    def _entry(self, modem_id: str, message: Message) -> Received:
        now = self._clock.now()
        last = next(reversed(self._ids), "0")
        at = max(int(now * 1000), int(last[:_TIME_DIGITS], 16) + 1)
        return Received(
            id=f"{at:0{_TIME_DIGITS}x}{secrets.token_hex(3)}",
            modem_id=modem_id,
            sender=str(message.sender),
            sender_is_number=message.sender.type_of_number is not TypeOfNumber.ALPHANUMERIC,
            text=message.text,
            sent_at=None if message.sent_at is None else message.sent_at.timestamp(),
            received_at=now,
            parts=message.parts,
            total=message.total,
        )

    def _digest(self, modem_id: str, message: Message) -> bytes | None:
        """What a message is known again by that comes twice: the process died before the SIM had let it go.

        Without the service centre's time nothing tells it from a later one with the same text.
        """
        if message.sent_at is None:
            return None
        return self._hash(modem_id, str(message.sender), message.sent_at.timestamp(), message.text)

    def _hash(self, modem_id: str, sender: str, sent_at: float, text: str) -> bytes:
        octets = json.dumps([modem_id, sender, sent_at, text]).encode()
        return hmac.digest(self._digest_key, octets, "sha256")

    def _write(self, received: Received) -> None:
        make_folder(self._folder)
        plain = json.dumps({name: value for name, value in asdict(received).items() if name != "id"})
        replace_file(self._folder / received.id, self._sealer.seal(plain.encode(), f"inbox/{received.id}"))

    def _read(self, message_id: str) -> Received | None:
        try:
            sealed = (self._folder / message_id).read_bytes()
            return Received(id=message_id, **json.loads(self._sealer.open(sealed, f"inbox/{message_id}")))
        except FileNotFoundError:  # deleted meanwhile
            return None
        except (OSError, Misconfigured, ValueError, TypeError) as error:
            _log.warning("inbox: message %s can't be read: %s", message_id, error)
            return None

    def _read_some(self, ids: list[str], modem_id: str | None, limit: int) -> list[Received]:
        found: list[Received] = []
        for message_id in ids:
            if len(found) == limit:
                break
            received = self._read(message_id)
            if received is not None and modem_id in {None, received.modem_id}:
                found.append(received)
        return found

    def _erase(self, ids: list[str]) -> None:
        for message_id in ids:
            erase_file(self._folder / message_id)

    def _look(self) -> dict[str, bytes | None]:
        """Every message there is, also one that this key does not open: it goes when its time comes."""
        found: dict[str, bytes | None] = {}
        if not self._folder.is_dir():
            return found
        for path in sorted(self._folder.iterdir()):
            if path.name.startswith("."):  # what a loss of power left of a write
                path.unlink(missing_ok=True)
            elif _is_id(path.name):
                received = self._read(path.name)
                found[path.name] = (
                    None
                    if received is None or received.sent_at is None
                    else self._hash(received.modem_id, received.sender, received.sent_at, received.text)
                )
        return found


def _is_id(name: str) -> bool:
    return len(name) == _TIME_DIGITS + 6 and set(name) <= set("0123456789abcdef")


def _time_of(message_id: str) -> float:
    return int(message_id[:_TIME_DIGITS], 16) / 1000
