"""The one-time code that proves who may create the first administrator: who sees what the device prints."""

from pathlib import Path

from otpbroker.codes import canonical, new_code, setup_url
from otpbroker.files import replace_file
from otpbroker.passwords import hash_password, verify_password

__all__ = ["SetupCode", "setup_url"]

_GROUPS = 3  # 60 bits


class SetupCode:
    """A random code `XXXX-XXXX-XXXX`; on disk there is only its argon2id hash, in a file for the owner alone.

    Every method blocks (file, argon2): call them in a thread once the event loop runs.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._plain: str | None = None

    def ensure(self) -> str:
        """The code to print: the one that this process made, else a new one, which ends any earlier code."""
        if self._plain is None:
            plain = new_code(_GROUPS)
            replace_file(self._path, hash_password(canonical(plain)))
            self._plain = plain
        return self._plain

    def check(self, code: str) -> bool:
        """Whether it is the code; lower case, spaces and missing hyphens are forgiven."""
        try:
            stored = self._path.read_text("ascii")
        except FileNotFoundError:
            return False
        return verify_password(stored, canonical(code))

    def spend(self) -> None:
        """End the code: the administrator is there."""
        self._plain = None
        self._path.unlink(missing_ok=True)
