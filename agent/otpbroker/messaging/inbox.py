"""Messages from the network: kept on the disk, each sealed in a file of its own, until deleted or too old.

They may hold what other services send, one-time passwords too: without the device's key none can be read.
One file a message is whole or not there, and is gone when it is deleted. In memory stay only the times and a keyed
hash of each.
"""

import asyncio
import hmac
import json
import logging
from collections import deque
from collections.abc import Callable
from pathlib import Path

from otpbroker.clock import Clock
from otpbroker.config.model import InboxSection
from otpbroker.errors import Unavailable
from otpbroker.events import Bus, SmsReceived
from otpbroker.messaging.inbox_folder import InboxFolder, Known, new_name, time_of
from otpbroker.messaging.received import Received
from otpbroker.redact import mask_number
from otpbroker.sms.address import TypeOfNumber
from otpbroker.sms.deliver import Deliver
from otpbroker.sms.reassemble import Message

_log = logging.getLogger(__name__)

_DAY = 86400.0
_REMEMBERED = 1000  # deleted messages that are known again while the SIM still has them


class Inbox:
    """The files of `folder`. Ids sort in the order of arrival, whatever the clock does."""

    def __init__(
        self, folder: Path, key: bytes, settings: Callable[[], InboxSection], bus: Bus, clock: Clock
    ) -> None:
        self._disk = InboxFolder(folder, key)
        self._digest_key = hmac.digest(key, b"inbox", "sha256")
        self._settings = settings
        self._bus = bus
        self._clock = clock
        self._ids: dict[str, Known] = {}  # oldest first
        self._deleted: deque[Known] = deque(maxlen=_REMEMBERED)
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

    def holds(self, modem_id: str, part: Deliver) -> bool:
        """Whether a message with this part is kept, or was; False as long as the disk was not read."""
        return self._part(modem_id, part.fingerprint) in self._parts_held

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
        return await asyncio.to_thread(self._disk.read_some, ids, modem_id, limit)

    async def get(self, message_id: str) -> Received | None:
        async with self._changing:
            await self._load()
            if message_id not in self._ids:
                return None
        return await asyncio.to_thread(self._disk.read, message_id)

    async def delete(self, message_id: str) -> bool:
        """Whether it was there; from the return on it is gone, over restarts too. Raises `Unavailable`."""
        async with self._changing:
            await self._load()
            if message_id not in self._ids:
                return False
            try:
                await self._forget([message_id])
            except OSError as error:
                raise Unavailable("not-saved", f"the inbox can't be written: {error.strerror}") from error
            return True

    async def _keep(self, modem_id: str, message: Message) -> bool:
        async with self._changing:
            try:
                await self._load()
                known = self._known(modem_id, message)
                if self._repeats(known):
                    return True
                kept = self._entry(modem_id, message)
                await asyncio.to_thread(self._disk.write, kept, known)
            except OSError as error:
                _log.error("inbox: a message can't be kept, it stays with the modem: %s", error.strerror)
                return False
            self._ids[kept.id] = known
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
        end = time_of(next(iter(self._ids))) + self._settings().keep_days * _DAY
        return min(max(end - self._clock.now(), 1.0), _DAY)

    async def _prune(self) -> None:
        settings = self._settings()
        before = self._clock.now() - settings.keep_days * _DAY
        surplus = len(self._ids) - settings.max_messages
        old = [known for at, known in enumerate(self._ids) if at < surplus or time_of(known) < before]
        try:
            await self._forget(old)
        except OSError as error:
            _log.error("inbox: old messages can't be deleted: %s", error.strerror)

    async def _forget(self, ids: list[str]) -> None:
        for message_id in ids:
            await asyncio.to_thread(self._disk.erase, message_id)
            self._deleted.append(self._ids.pop(message_id))

    async def _load(self) -> None:
        if not self._loaded:
            self._ids = await asyncio.to_thread(self._disk.look)
            self._loaded = True

    def _entry(self, modem_id: str, message: Message) -> Received:
        now = self._clock.now()
        return Received(
            id=new_name(now, next(reversed(self._ids), None)),
            modem_id=modem_id,
            sender=str(message.sender),
            sender_is_number=message.sender.type_of_number is not TypeOfNumber.ALPHANUMERIC,
            text=message.text,
            sent_at=None if message.sent_at is None else message.sent_at.timestamp(),
            received_at=now,
            parts=message.parts,
            total=message.total,
        )

    def _known(self, modem_id: str, message: Message) -> Known:
        """By what a message is known again that comes twice: the process died before the SIM had let it go.

        Without the service centre's time nothing tells it from a later one with the same text.
        """
        digest = None
        if message.sent_at is not None:
            digest = self._hash(modem_id, str(message.sender), message.sent_at.timestamp(), message.text)
        long = message.total > 1
        return Known(digest, frozenset(self._part(modem_id, part) for part in message.fingerprints if long))

    @property
    def _parts_held(self) -> frozenset[bytes]:
        return frozenset().union(*(known.parts for known in (*self._ids.values(), *self._deleted)))

    def _repeats(self, known: Known) -> bool:
        """Whether it is a message that was kept, or what the SIM still has of one."""
        digests = {other.digest for other in (*self._ids.values(), *self._deleted)}
        return (known.digest is not None and known.digest in digests) or (
            bool(known.parts) and known.parts <= self._parts_held
        )

    def _part(self, modem_id: str, fingerprint: bytes) -> bytes:
        return self._hash(modem_id, fingerprint.hex())

    def _hash(self, *values: object) -> bytes:
        return hmac.digest(self._digest_key, json.dumps(values).encode(), "sha256")
