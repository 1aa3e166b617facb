"""The journal's SQLite file: in RAM only, held by one process, readable again whatever became of it.

Nothing in it outlives a power cut. A file that can't be read is given up: the agent must start all the same.
"""

import logging
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from otpbroker.errors import Misconfigured, Unavailable
from otpbroker.sealing import key_file

_log = logging.getLogger(__name__)

_RAM_FILE_SYSTEMS = ("tmpfs", "ramfs")
# Given up when the file system is full, so that outcomes can still be written and old ones deleted.
_RESERVE = 256 * 1024


class JournalFile:
    """`journal.db`, `journal.key` and `journal.reserve` in `folder`."""

    def __init__(self, folder: Path, schema: str, version: int) -> None:
        """Raises `Misconfigured`: the folder is not in RAM, another agent runs on it, it is of another release."""
        _require_ram(folder)
        self._folder = folder
        self._has_reserve = False
        self._reserve.unlink(missing_ok=True)  # opening may need its room
        self.key = self._key()
        try:
            self._open(schema, version)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise self._refusal(error) from error
            _log.error("the journal is damaged (%s): what waited and the ids of a day are lost", error)
            for name in ("journal.db", "journal.db-journal"):
                (folder / name).unlink(missing_ok=True)
            self._open(schema, version)
        self._take_reserve()

    def execute(self, statement: str, values: Sequence[object] | Mapping[str, object] = ()) -> sqlite3.Cursor:
        return self._database.execute(statement, values)

    @contextmanager
    def write(self) -> Iterator[None]:
        """All of it or nothing. Raises `Unavailable` when the RAM file system takes no more."""
        try:
            self._database.execute("BEGIN")
            yield
            self._database.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            if self._database.in_transaction:
                self._database.rollback()
            raise Unavailable("journal-full", "the journal takes nothing now", remedy="try again later") from error

    def shrink(self) -> None:
        """Give the room of deleted rows back to the file system; a few pages at once, for that takes room too."""
        before, left = -1, self._free_pages()
        while left and left != before:
            with self.write():
                self._database.execute("PRAGMA incremental_vacuum(8)").fetchall()
            before, left = left, self._free_pages()

    def has_reserve(self) -> bool:
        """Whether something new may be begun: there will be room to write its end. Takes it again if it can."""
        return self._has_reserve or self._take_reserve()

    def give_reserve_up(self) -> bool:
        """Make room for what must be written; False when it is used up."""
        if not self._has_reserve:
            return False
        self._reserve.unlink(missing_ok=True)
        self._has_reserve = False
        return True

    def close(self) -> None:
        self._database.close()

    def _free_pages(self) -> int:
        return int(self._database.execute("PRAGMA freelist_count").fetchone()[0])

    @property
    def _reserve(self) -> Path:
        return self._folder / "journal.reserve"

    def _take_reserve(self) -> bool:
        try:
            descriptor = os.open(self._reserve, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, _RESERVE)
            finally:
                os.close(descriptor)
        except OSError:
            self._reserve.unlink(missing_ok=True)
            self._has_reserve = False
        else:
            self._has_reserve = True
        return self._has_reserve

    def _key(self) -> bytes:
        try:
            return key_file(self._folder / "journal.key")
        except Misconfigured:
            _log.error("the journal's key is damaged: the texts of what waited are lost")
            (self._folder / "journal.key").unlink()
            return key_file(self._folder / "journal.key")

    def _open(self, schema: str, version: int) -> None:
        path = self._folder / "journal.db"
        self._database = sqlite3.connect(path, isolation_level=None, timeout=0)
        try:
            path.chmod(0o600)
            # TRUNCATE with secure_delete leaves no copy of an erased row; losing power loses the RAM anyway.
            for pragma in (
                "auto_vacuum=INCREMENTAL",
                "temp_store=MEMORY",
                "locking_mode=EXCLUSIVE",
                "journal_mode=TRUNCATE",
                "synchronous=OFF",
                "secure_delete=ON",
            ):
                self._database.execute(f"PRAGMA {pragma}")
            # The first write takes the lock, which is then kept; an existing schema alone would write nothing.
            self._require_version(version)
            self._database.executescript(f"BEGIN EXCLUSIVE; {schema} PRAGMA user_version = {version}; COMMIT;")
            self._require_whole()
        except BaseException:
            self._database.close()
            raise

    def _require_whole(self) -> None:
        (verdict,) = self._database.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)

    def _require_version(self, version: int) -> None:
        (found,) = self._database.execute("PRAGMA user_version").fetchone()
        if found not in {0, version}:
            raise Misconfigured(
                "journal-version",
                f"the journal was written by another release (version {found})",
                remedy="restart the device; what waited is lost then",
            )

    def _refusal(self, error: sqlite3.OperationalError) -> Misconfigured:
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            return Misconfigured(
                "already-running",
                f"another agent uses {self._folder}",
                remedy="stop it, or choose another --runtime folder",
            )
        return Misconfigured(
            "journal-unusable",
            f"the journal in {self._folder} can't be opened: {error}",
            field="--runtime",
            remedy="make room there, or choose another folder in RAM",
        )


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
