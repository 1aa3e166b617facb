"""Who is logged in: sessions in memory only, so that a restart or a changed account ends them."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from otpbroker.clock import Clock
from otpbroker.config.model import Administrator, AdminSection

# More open log-ins of one person than this end the oldest.
PER_ADMINISTRATOR = 16


@dataclass(slots=True)
class _Session:
    username: str
    password: str  # the hash at log-in: another one now means that the password was changed
    opened_at: float
    used_at: float


class Sessions:
    """Random 256-bit tokens for administrators; only the token's hash is kept.

    A session lives no longer than its idle and absolute limits, and only while its administrator is there,
    active, not blocked and has the password that opened it: whoever changes the account revokes its sessions.
    """

    def __init__(self, settings: Callable[[], AdminSection], clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._sessions: dict[bytes, _Session] = {}

    def open(self, administrator: Administrator) -> str:
        """A new session's token; tokens are made here alone, never taken from a client."""
        self._forget_ended()
        mine = [key for key, session in self._sessions.items() if session.username == administrator.username]
        for key in mine[: max(0, len(mine) + 1 - PER_ADMINISTRATOR)]:
            del self._sessions[key]
        token = secrets.token_urlsafe(32)
        now = self._clock.monotonic()
        self._sessions[_key(token)] = _Session(administrator.username, administrator.password, now, now)
        return token

    def find(self, token: str, *, use: bool = True) -> Administrator | None:
        """Whose session this is, as configured now; `use` starts its idle time anew."""
        session = self._sessions.get(_key(token))
        if session is None:
            return None
        administrator = self._owner(session)
        if administrator is None:
            self.close(token)
        elif use:
            session.used_at = self._clock.monotonic()
        return administrator

    def close(self, token: str) -> None:
        """Log out; a token that is not known is no error."""
        self._sessions.pop(_key(token), None)

    def revoke(self, username: str, *, keep: str = "") -> None:
        """End every session of an administrator but the one with the token `keep`."""
        kept = _key(keep)
        for key in [key for key, session in self._sessions.items() if session.username == username]:
            if key != kept:
                del self._sessions[key]

    def _owner(self, session: _Session) -> Administrator | None:
        settings = self._settings()
        now = self._clock.monotonic()
        if now - session.used_at >= settings.session_idle or now - session.opened_at >= settings.session_life:
            return None
        for administrator in settings.administrators:
            if administrator.username == session.username:
                same = administrator.password == session.password
                return administrator if same and administrator.active and not administrator.blocked else None
        return None

    def _forget_ended(self) -> None:
        for key in [key for key, session in self._sessions.items() if self._owner(session) is None]:
            del self._sessions[key]


def _key(token: str) -> bytes:
    return sha256(token.encode()).digest()
