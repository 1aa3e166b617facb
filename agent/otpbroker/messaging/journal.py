"""What must survive a crash of the process: accepted messages that are not final, final outcomes, ids, OTPs.

One SQLite file on a RAM file system, so nothing here outlives a power cut or touches a disk. The text is in it
only until the outcome is final, and sealed with a key that lies on the same RAM file system. Writes are a few
microseconds of memory traffic and are made on the loop's thread: what a method wrote is safe when it returns.
"""

import hmac
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from otpbroker.errors import Misconfigured, Unavailable
from otpbroker.messaging import message_rows, otp_rows, usage_rows
from otpbroker.messaging.journal_file import JournalFile
from otpbroker.messaging.message import Message
from otpbroker.messaging.message_rows import Identity, Left
from otpbroker.messaging.otp_rows import OtpRows
from otpbroker.messaging.outcome import Outcome, Receipt, State
from otpbroker.messaging.usage_rows import UsageRows
from otpbroker.sealing import Sealer

# Rows of final outcomes, of about 400 octets each. Beyond it the oldest go, and their ids may be used again: a
# device that sends all day long at full speed then knows ids again for hours instead of the configured window.
MOST_OUTCOMES = 50_000
MOST_REFUSED = 1000  # rows of messages that were refused at once: those may come without number
_BATCH = 200  # rows that go at once; what changes must fit into the reserve
_FEW = 32  # rows that go at once when the reserve is all the room that there is

_OPEN_STATES = (State.ACCEPTED.value, State.QUEUED.value, State.SENDING.value)
_VERSION = 5  # of the schema; a journal never outlives a boot, so there is nothing to migrate


class Journal:
    """The file `journal.db` in `folder`; one process at a time holds it.

    What writes raises `Unavailable` when there is no room: then nothing was written.
    """

    def __init__(self, folder: Path) -> None:
        """Raises `Misconfigured` when the folder is not in RAM or another agent runs on it."""
        self._file = JournalFile(folder, message_rows.SCHEMA + otp_rows.SCHEMA + usage_rows.SCHEMA, _VERSION)
        self.key = self._file.key
        self.usage = UsageRows(self._file)
        self.otps = OtpRows(self._file)
        self._sealer = Sealer(self.key)
        self._finals = self._refused = 0
        self._count()

    @property
    def memory(self) -> str:
        """A name for what this journal knows: the same over crashes, another one after a power cut."""
        return hmac.digest(self.key, b"memory", "sha256").hex()[:16]

    def close(self) -> None:
        self._file.close()

    def accept(self, message: Message, text: str, identity: Identity | None = None) -> None:
        """Write a new message. Raises `Unavailable`: then nothing was accepted."""
        secret = json.dumps(message_rows.secret(message, text))
        sealed = self._sealer.seal(secret.encode(), message.id)
        if self._accepted(message, identity, sealed):
            return
        self._make_room()
        if not self._accepted(message, identity, sealed):
            raise Unavailable("journal-full", "the journal takes nothing now", remedy="try again later")

    def refuse(self, message: Message, *, reported: bool) -> None:
        """Write a message that ended without ever waiting, for a while: it may be asked after, and reported."""
        with self._file.write():
            self._insert(message, reported=reported, refused=True)
            self._refused += 1
            if self._refused > MOST_REFUSED:
                self._refused -= self._file.execute(
                    "DELETE FROM message WHERE rowid IN (SELECT rowid FROM message WHERE refused = 1"
                    " ORDER BY changed_at LIMIT ?)",
                    (_BATCH,),
                ).rowcount

    def holder(self, identity: Identity, since: float) -> tuple[str, bool] | None:
        """The message accepted after a Unix time that holds this identity: its id, and whether its content is the
        same. One with the same content comes first: clients that give all their messages one id exist.
        """
        exact = self._file.execute(
            "SELECT id FROM message WHERE idempotency_key = ? AND fingerprint = ? AND accepted_at > ? LIMIT 1",
            (identity.key, identity.fingerprint, since),
        ).fetchone()
        if exact is not None:
            return exact[0], True
        other = self._file.execute(
            "SELECT id FROM message WHERE idempotency_key = ? AND accepted_at > ? LIMIT 1", (identity.key, since)
        ).fetchone()
        return None if other is None else (other[0], False)

    def sending(self, message: Message) -> None:
        """From now on a crash makes this message `unknown`; if this can't be written, it must not be sent."""
        with self._file.write():
            self._file.execute(
                "UPDATE message SET state = ?, modem_id = ?, imei = ?, changed_at = ?, price = ?, saved = ?"
                " WHERE id = ?",
                (
                    State.SENDING.value,
                    message.modem_id,
                    message.imei,
                    message.changed_at,
                    message_rows.amount(message.price),
                    message_rows.amount(message.saved),
                    message.id,
                ),
            )

    def waiting(self, message: Message) -> None:
        """A modem refused it for certain: after a crash it may be sent."""
        with self._file.write():
            self._file.execute(
                "UPDATE message SET state = ?, changed_at = ? WHERE id = ?",
                (State.QUEUED.value, message.changed_at, message.id),
            )

    def final(
        self, outcome: Outcome, *, keeps_id: bool, reported: bool = True, target: bytes | None = None
    ) -> None:
        """Write the final outcome and erase the text. Without `keeps_id` the caller may use its id again; without
        `reported` the report owes a line for it. By `target` delivery reports find it.
        """

        def write() -> int:
            rows = self._file.execute(
                "UPDATE message SET state = ?, modem_id = ?, refs = ?, error = ?, detail = ?, changed_at = ?,"
                " price = ?, saved = ?, reported = ?, arrivals = ?, target = ?, sealed = NULL,"
                " idempotency_key = CASE ? WHEN 1 THEN idempotency_key END WHERE id = ?",
                (
                    outcome.state.value,
                    outcome.modem_id,
                    " ".join(map(str, outcome.references)),
                    outcome.error,
                    outcome.detail,
                    outcome.changed_at,
                    message_rows.amount(outcome.price),
                    message_rows.amount(outcome.saved),
                    int(reported),
                    " ".join(outcome.receipt.parts) if outcome.receipt else "",
                    target,
                    int(keeps_id),
                    outcome.id,
                ),
            ).rowcount
            if self._finals < MOST_OUTCOMES:
                return rows
            return (
                rows
                - self._file.execute(
                    "DELETE FROM message WHERE rowid IN (SELECT rowid FROM message WHERE state NOT IN (?, ?, ?)"
                    " AND refused = 0 ORDER BY rowid LIMIT ?)",
                    (*_OPEN_STATES, _BATCH),
                ).rowcount
            )

        self._finals += self._write_at_last(write)

    def unreported(self) -> list[Outcome]:
        """The final outcomes that the report owes a line, oldest first."""
        rows = self._file.execute(
            "SELECT id FROM message WHERE reported = 0 AND state NOT IN (?, ?, ?) ORDER BY rowid", _OPEN_STATES
        ).fetchall()
        return [known[0] for (message_id,) in rows if (known := self.outcome(message_id)) is not None]

    def reported(self, ids: Iterable[str]) -> None:
        """The report has its lines for these messages. Raises `Unavailable`."""
        with self._file.write():
            for message_id in ids:
                self._file.execute("UPDATE message SET reported = 1 WHERE id = ?", (message_id,))

    def sent_to(self, target: bytes) -> list[tuple[Outcome, float]]:
        """The messages of this target that asked for delivery reports, newest first, each with its deadline."""
        rows = self._file.execute(
            f"SELECT {message_rows.OUTCOME}, deadline FROM message WHERE target = ? ORDER BY rowid DESC",  # noqa: S608 # ours
            (target,),
        ).fetchall()
        return [(message_rows.outcome(row), row[-1]) for row in rows]

    def arrived(self, message_id: str, receipt: Receipt) -> None:
        """What delivery reports tell of a message by now. Raises `Unavailable`."""
        with self._file.write():
            self._file.execute(
                "UPDATE message SET arrivals = ?, arrivals_at = ? WHERE id = ?",
                (" ".join(receipt.parts), receipt.at, message_id),
            )

    def outcome(self, message_id: str) -> tuple[Outcome, str] | None:
        """What is known of a message, and its caller."""
        row = self._file.execute(
            f"SELECT {message_rows.OUTCOME}, caller FROM message WHERE id = ?",  # noqa: S608 # ours
            (message_id,),
        ).fetchone()
        return None if row is None else (message_rows.outcome(row), row[-1])

    def left(self) -> Iterator[Left]:
        """The messages that are not final, in the order of acceptance, whatever the clock did meanwhile."""
        rows = self._file.execute(
            f"SELECT {message_rows.LEFT}, receiver, sealed FROM message"  # noqa: S608 # ours
            " WHERE state IN (?, ?, ?) ORDER BY rowid",
            _OPEN_STATES,
        ).fetchall()
        for *known, masked, sealed in rows:
            try:
                secret = json.loads(self._sealer.open(sealed, known[0]))
            except Misconfigured:
                secret = message_rows.UNREADABLE | {"receiver": masked}
            yield message_rows.left(known, secret)

    def forget(self, before: float, *, reports_over: float) -> None:
        """Delete final outcomes that changed before a Unix time: their ids may be used again. One that asked for
        delivery reports stays while its deadline, on the monotonic clock, is not before `reports_over`.
        """
        rows = self._file.execute(
            "SELECT rowid FROM message WHERE changed_at < ? AND state NOT IN (?, ?, ?)"
            " AND (target IS NULL OR deadline < ?)",
            (before, *_OPEN_STATES, reports_over),
        ).fetchall()

        def write(batch: list[tuple[int]]) -> int:
            self.otps.forget(before)
            for row in batch:
                self._file.execute("DELETE FROM message WHERE rowid = ?", row)
            return len(batch)

        for first in range(0, len(rows) or 1, _BATCH):
            self._write_at_last(partial(write, rows[first : first + _BATCH]))
        with suppress(Unavailable):
            self._file.shrink()
        self._count()

    def _accepted(self, message: Message, identity: Identity | None, sealed: bytes) -> bool:
        """Whether it could be written, with room left for its end."""
        if not self._file.has_reserve():
            return False
        try:
            with self._file.write():
                self._insert(message, identity=identity, sealed=sealed)
        except Unavailable:
            return False
        return True

    def _insert(
        self,
        message: Message,
        *,
        identity: Identity | None = None,
        sealed: bytes | None = None,
        reported: bool = False,
        refused: bool = False,
    ) -> None:
        row = message_rows.new(message, identity, sealed, reported=reported, refused=refused)
        self._file.execute(message_rows.INSERT, row)

    def _count(self) -> None:
        (self._finals,) = self._file.execute(
            "SELECT count(*) FROM message WHERE state NOT IN (?, ?, ?) AND refused = 0", _OPEN_STATES
        ).fetchone()
        (self._refused,) = self._file.execute("SELECT count(*) FROM message WHERE refused = 1").fetchone()
        self.otps.count()

    def _make_room(self) -> None:
        """The RAM file system is full: the older half of the outcomes goes before its time, for new messages."""
        self._file.give_reserve_up()
        with suppress(Unavailable):
            for _ in range(self._finals // 2 // _FEW):
                with self._file.write():
                    self._file.execute(
                        "DELETE FROM message WHERE rowid IN (SELECT rowid FROM message WHERE state NOT IN (?, ?, ?)"
                        " AND reported = 1 ORDER BY rowid LIMIT ?)",
                        (*_OPEN_STATES, _FEW),
                    )
            self._file.shrink()
        self._count()

    def _write_at_last(self, change: Callable[[], int]) -> int:
        """Write what has happened already: on a full file system the reserve is given up for it."""
        try:
            with self._file.write():
                return change()
        except Unavailable:
            if not self._file.give_reserve_up():
                raise
            with self._file.write():
                done = change()
            self._file.has_reserve()
            return done
