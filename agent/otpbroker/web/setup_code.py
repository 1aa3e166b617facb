"""The one-time code that proves who may create the first administrator: who sees what the device prints."""

import secrets
from pathlib import Path

from otpbroker.files import replace_file
from otpbroker.passwords import hash_password, verify_password

# No 0, 1, I, O: 32 signs of 5 bits each, so that twelve of them make 60 bits.
_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_GROUPS, _GROUP = 3, 4


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
            plain = "-".join("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(_GROUPS))
            replace_file(self._path, hash_password(_canonical(plain)))
            self._plain = plain
        return self._plain

    def check(self, code: str) -> bool:
        """Whether it is the code; lower case, spaces and missing hyphens are forgiven."""
        try:
            stored = self._path.read_text("ascii")
        except FileNotFoundError:
            return False
        return verify_password(stored, _canonical(code))

    def spend(self) -> None:
        """End the code: the administrator is there."""
        self._plain = None
        self._path.unlink(missing_ok=True)


def setup_url(admin_url: str, code: str) -> str:
    """The address for the QR code. The code stands in the fragment, which no log and no `Referer` ever holds."""
    return f"{admin_url.rstrip('/')}/setup#{code}"


def _canonical(code: str) -> str:
    return "".join(sign for sign in code[:64].upper() if sign in _ALPHABET)
