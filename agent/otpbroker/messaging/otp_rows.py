"""The live one-time passwords in the journal's file: they survive a crash of the process."""

from dataclasses import dataclass

from otpbroker.messaging.journal_file import JournalFile

MOST_OTPS = 20_000
_BATCH = 200  # rows that go at once

SCHEMA = """
CREATE TABLE IF NOT EXISTS otp (
    reference BLOB PRIMARY KEY,
    code BLOB NOT NULL,
    expires_at REAL NOT NULL,
    tries_left INTEGER NOT NULL,
    replaceable INTEGER NOT NULL
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class OtpRow:
    """A live one-time password: hashes only; `replaceable` when its message may never have been sent."""

    code: bytes
    expires_at: float
    tries_left: int
    replaceable: bool


class OtpRows:
    """Rows by a keyed hash of receiver and reference. What writes raises `Unavailable` without room."""

    def __init__(self, file: JournalFile) -> None:
        self._file = file
        self._count = 0
        self.count()

    def put(self, reference: bytes, row: OtpRow) -> None:
        """Keep a one-time password; when there are too many, those go that expire first."""
        with self._file.write():
            self._file.execute(
                "INSERT OR REPLACE INTO otp VALUES (?, ?, ?, ?, ?)",
                (reference, row.code, row.expires_at, row.tries_left, int(row.replaceable)),
            )
            self._count += 1  # at most: a row that took another's place counts until the next count
            if self._count > MOST_OTPS:
                self._file.execute(
                    "DELETE FROM otp WHERE reference IN (SELECT reference FROM otp ORDER BY expires_at"
                    " LIMIT max(0, (SELECT count(*) FROM otp) - ?))",
                    (MOST_OTPS - _BATCH,),
                )
                self.count()

    def get(self, reference: bytes) -> OtpRow | None:
        """None: there is none of this reference."""
        row = self._file.execute(
            "SELECT code, expires_at, tries_left, replaceable FROM otp WHERE reference = ?", (reference,)
        ).fetchone()
        return None if row is None else OtpRow(row[0], row[1], row[2], bool(row[3]))

    def drop(self, reference: bytes) -> None:
        """Forget one, if it is there."""
        with self._file.write():
            self._file.execute("DELETE FROM otp WHERE reference = ?", (reference,))

    def forget(self, before: float) -> None:
        """Delete those that expired before a Unix time; within a transaction of the caller's."""
        self._file.execute("DELETE FROM otp WHERE expires_at < ?", (before,))

    def count(self) -> None:
        """Count anew how many there are."""
        (self._count,) = self._file.execute("SELECT count(*) FROM otp").fetchone()
