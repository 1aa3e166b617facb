"""What must survive a crash of the process: accepted messages that are not final, final outcomes, ids, OTPs.

One SQLite file on a RAM file system, so nothing here outlives a power cut or touches a disk. The text is in it
only until the outcome is final, and sealed with a key that lies on the same RAM file system. Writes are a few
microseconds of memory traffic and are made on the loop's thread: what a method wrote is safe when it returns.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from otpbroker.errors import Misconfigured, Unavailable
from otpbroker.messaging.message import Message
from otpbroker.messaging.outcome import Outcome, State
from otpbroker.sealing import Sealer, key_file

_RAM_FILE_SYSTEMS = ("tmpfs", "ramfs")
_VERSION = 1  # of the schema; a journal never outlives a boot, so there is nothing to migrate
_SCHEMA = """
CREATE TABLE IF NOT EXISTS message (
    id TEXT PRIMARY KEY,
    caller TEXT NOT NULL,
    idempotency_key BLOB UNIQUE,
    fingerprint BLOB,
    state TEXT NOT NULL,
    source TEXT NOT NULL,
    receiver TEXT NOT NULL,
    accepted_at REAL NOT NULL,
    expires_at REAL NOT NULL,
    deadline REAL NOT NULL,
    changed_at REAL NOT NULL,
    parts INTEGER NOT NULL,
    length INTEGER NOT NULL,
    encoding TEXT NOT NULL,
    modem_id TEXT,
    refs TEXT NOT NULL DEFAULT '',
    error TEXT,
    detail TEXT NOT NULL DEFAULT '',
    sealed BLOB
);
CREATE INDEX IF NOT EXISTS message_changed ON message (changed_at);
CREATE TABLE IF NOT EXISTS otp (
    reference BLOB PRIMARY KEY,
    code BLOB NOT NULL,
    expires_at REAL NOT NULL,
    tries_left INTEGER NOT NULL,
    replaceable INTEGER NOT NULL
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Left:
    """A message that a former process accepted and did not finish; `text` is None when it can't be read."""

    id: str
    caller: str
    source: str
    state: State
    receiver: str
    text: str | None = field(repr=False)
    only_modem: str | None
    otp_reference: str | None
    modem_id: str | None
    parts: int
    length: int
    encoding: str
    accepted_at: float
    expires_at: float
    deadline: float


@dataclass(frozen=True, slots=True)
class Identity:
    """How a repeated request is known again, as keyed hashes: caller with id, receiver with text."""

    key: bytes
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class OtpRow:
    """A live one-time password: hashes only; `replaceable` when its message may never have been sent."""

    code: bytes
    expires_at: float
    tries_left: int
    replaceable: bool


class Journal:
    """The file `journal.db` in `folder`; one process at a time holds it.

    What writes raises `Unavailable` when there is no room: then nothing was written.
    """

    def __init__(self, folder: Path) -> None:
        """Raises `Misconfigured` when the folder is not in RAM or another agent runs on it."""
        _require_ram(folder)
        self.key = key_file(folder / "journal.key")
        self._sealer = Sealer(self.key)
        self._database = sqlite3.connect(folder / "journal.db", isolation_level=None, timeout=0)
        (folder / "journal.db").chmod(0o600)
        try:
            # TRUNCATE with secure_delete leaves no copy of an erased row; losing power loses the RAM anyway.
            for pragma in (
                "locking_mode=EXCLUSIVE",
                "journal_mode=TRUNCATE",
                "synchronous=OFF",
                "secure_delete=ON",
            ):
                self._database.execute(f"PRAGMA {pragma}")
            # The first write takes the lock, which is then kept; an existing schema alone would write nothing.
            self._require_version()
            self._database.executescript(f"BEGIN EXCLUSIVE; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
        except sqlite3.OperationalError as error:
            self._database.close()
            raise Misconfigured(
                "already-running",
                f"another agent uses {folder}",
                remedy="stop it, or choose another --runtime folder",
            ) from error

    def _require_version(self) -> None:
        (found,) = self._database.execute("PRAGMA user_version").fetchone()
        if found not in {0, _VERSION}:
            self._database.close()
            raise Misconfigured(
                "journal-version",
                f"the journal was written by another release (version {found})",
                remedy="restart the device; what waited is lost then",
            )

    def close(self) -> None:
        self._database.close()

    def accept(self, message: Message, text: str, identity: Identity | None = None) -> None:
        """Write a new message; an older one with the same key lets go of it.

        Raises `Unavailable`: then nothing was accepted.
        """
        secret = {
            "receiver": message.receiver,
            "text": text,
            "only_modem": message.only_modem,
            "otp_reference": message.otp_reference,
        }
        sealed = self._sealer.seal(json.dumps(secret).encode(), message.id)
        outcome = message.outcome
        with self._write():
            if identity is not None:
                self._database.execute(
                    "UPDATE message SET idempotency_key = NULL WHERE idempotency_key = ?", (identity.key,)
                )
            self._database.execute(
                "INSERT INTO message (id, caller, idempotency_key, fingerprint, state, source, receiver,"
                " accepted_at, expires_at, deadline, changed_at, parts, length, encoding, modem_id, sealed)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    message.id,
                    message.origin.caller,
                    identity and identity.key,
                    identity and identity.fingerprint,
                    message.state.value,
                    outcome.source,
                    outcome.receiver,
                    message.accepted_at,
                    message.expires_at,
                    message.deadline,
                    outcome.changed_at,
                    outcome.parts,
                    outcome.length,
                    outcome.encoding,
                    message.modem_id,
                    sealed,
                ),
            )

    def holder(self, key: bytes, since: float) -> tuple[str, bytes] | None:
        """The message accepted after a Unix time that holds an idempotency key: its id and fingerprint."""
        row = self._database.execute(
            "SELECT id, fingerprint FROM message WHERE idempotency_key = ? AND accepted_at > ?", (key, since)
        ).fetchone()
        return None if row is None else (row[0], row[1])

    def sending(self, message: Message) -> None:
        """From now on a crash makes this message `unknown`; if this can't be written, it must not be sent."""
        with self._write():
            self._database.execute(
                "UPDATE message SET state = ?, modem_id = ?, changed_at = ? WHERE id = ?",
                (State.SENDING.value, message.modem_id, message.changed_at, message.id),
            )

    def waiting(self, message: Message) -> None:
        """A modem refused it for certain: after a crash it may be sent."""
        with self._write():
            self._database.execute(
                "UPDATE message SET state = ?, changed_at = ? WHERE id = ?",
                (State.QUEUED.value, message.changed_at, message.id),
            )

    def final(self, outcome: Outcome, *, keeps_id: bool) -> None:
        """Write the final outcome and erase the text. Without `keeps_id` the caller may use its id again."""
        with self._write():
            self._database.execute(
                "UPDATE message SET state = ?, modem_id = ?, refs = ?, error = ?, detail = ?, changed_at = ?,"
                " sealed = NULL, idempotency_key = CASE ? WHEN 1 THEN idempotency_key END WHERE id = ?",
                (
                    outcome.state.value,
                    outcome.modem_id,
                    " ".join(map(str, outcome.references)),
                    outcome.error,
                    outcome.detail,
                    outcome.changed_at,
                    int(keeps_id),
                    outcome.id,
                ),
            )

    def outcome(self, message_id: str) -> tuple[Outcome, str] | None:
        """What is known of a message, and its caller."""
        row = self._database.execute(
            "SELECT id, state, receiver, source, accepted_at, expires_at, changed_at, parts, length, encoding,"
            " modem_id, refs, error, detail, caller FROM message WHERE id = ?",
            (message_id,),
        ).fetchone()
        if row is None:
            return None
        return Outcome(
            id=row[0],
            state=State(row[1]),
            receiver=row[2],
            source=row[3],
            accepted_at=row[4],
            expires_at=row[5],
            changed_at=row[6],
            parts=row[7],
            length=row[8],
            encoding=row[9],
            modem_id=row[10],
            references=tuple(map(int, row[11].split())),
            error=row[12],
            detail=row[13],
        ), row[14]

    def left(self) -> Iterator[Left]:
        """The messages that are not final, in the order of acceptance, whatever the clock did meanwhile."""
        rows = self._database.execute(
            "SELECT id, caller, source, state, modem_id, parts, length, encoding, accepted_at, expires_at,"
            " deadline, receiver, sealed FROM message WHERE state IN (?, ?, ?) ORDER BY rowid",
            (State.ACCEPTED.value, State.QUEUED.value, State.SENDING.value),
        ).fetchall()
        for row in rows:
            *start, masked, sealed = row
            (
                message_id,
                caller,
                source,
                state,
                modem_id,
                parts,
                length,
                encoding,
                accepted,
                expires,
                deadline,
            ) = start
            try:
                secret = json.loads(self._sealer.open(sealed, message_id))
            except Misconfigured:
                secret = {"receiver": masked, "text": None, "only_modem": None, "otp_reference": None}
            yield Left(
                id=message_id,
                caller=caller,
                source=source,
                state=State(state),
                receiver=secret["receiver"],
                text=secret["text"],
                only_modem=secret["only_modem"],
                otp_reference=secret["otp_reference"],
                modem_id=modem_id,
                parts=parts,
                length=length,
                encoding=encoding,
                accepted_at=accepted,
                expires_at=expires,
                deadline=deadline,
            )

    def forget(self, before: float) -> None:
        """Delete final outcomes that changed before a Unix time: their ids may be used again."""
        with self._write():
            self._database.execute(
                "DELETE FROM message WHERE changed_at < ? AND state NOT IN (?, ?, ?)",
                (before, State.ACCEPTED.value, State.QUEUED.value, State.SENDING.value),
            )
            self._database.execute("DELETE FROM otp WHERE expires_at < ?", (before,))

    def put_otp(self, reference: bytes, row: OtpRow) -> None:
        with self._write():
            self._database.execute(
                "INSERT OR REPLACE INTO otp VALUES (?, ?, ?, ?, ?)",
                (reference, row.code, row.expires_at, row.tries_left, int(row.replaceable)),
            )

    def otp(self, reference: bytes) -> OtpRow | None:
        row = self._database.execute(
            "SELECT code, expires_at, tries_left, replaceable FROM otp WHERE reference = ?", (reference,)
        ).fetchone()
        return None if row is None else OtpRow(row[0], row[1], row[2], bool(row[3]))

    def drop_otp(self, reference: bytes) -> None:
        with self._write():
            self._database.execute("DELETE FROM otp WHERE reference = ?", (reference,))

    @contextmanager
    def _write(self) -> Iterator[None]:
        """All of it or nothing. Raises `Unavailable` when the RAM file system takes no more."""
        try:
            self._database.execute("BEGIN")
            yield
            self._database.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if self._database.in_transaction:
                self._database.rollback()
            raise Unavailable("journal-full", "the journal takes nothing now", remedy="try again later") from error


def _require_ram(folder: Path) -> None:
    """The journal must never be on a disk, not even sealed."""
    place = folder.resolve()
    mounts = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, tail = line.partition(" - ")
        mounts[Path(fields.split()[4])] = tail.split()[0]
    kind = next((mounts[parent] for parent in (place, *place.parents) if parent in mounts), "")
    if kind not in _RAM_FILE_SYSTEMS:
        raise Misconfigured(
            "runtime-on-disk",
            f"the runtime folder {folder} is on {kind or 'an unknown file system'}, not in RAM",
            field="--runtime",
            remedy="choose a folder on a tmpfs, such as one below /run or /dev/shm",
        )
