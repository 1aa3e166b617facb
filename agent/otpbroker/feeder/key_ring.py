"""The device's key pairs for messages that are sealed to it: EC P-256 as JWK (RFC 7517), sealed at rest.

The file holds the current key and those that were replaced not long ago, so that what was sealed to them before
everybody knew the new one still opens.
"""

import fcntl
import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from joserfc.jwk import ECKey

from otpbroker.errors import Misconfigured
from otpbroker.files import replace_file
from otpbroker.sealing import Sealer

_log = logging.getLogger(__name__)

DAY = 86400.0
KEPT = 30 * DAY  # how long a replaced key opens messages, unless told otherwise
MOST_OLD = 8

_CONTEXT = "feeder-keys"


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """One key pair; `until`: Unix seconds, after which it opens nothing any more; None: it is the current one."""

    pair: ECKey = field(repr=False)
    made_at: float
    until: float | None = None

    @property
    def kid(self) -> str:
        """The key's fingerprint: its SHA-256 thumbprint (RFC 7638), 43 characters of base64url."""
        return self.pair.thumbprint()

    @property
    def public(self) -> dict[str, str]:
        """The public half as JWK with what an application server needs to know."""
        numbers = self.pair.as_dict(private=False)
        named = {name: str(numbers[name]) for name in ("kty", "crv", "x", "y")}
        return named | {"use": "enc", "alg": "ECDH-ES", "kid": self.kid}


class KeyRing:
    """The keys in the file at `path`; `now` gives Unix seconds. Methods block: all but `usable` belong in a thread.

    Each raises `Misconfigured` when the file was sealed with another secret key, or damaged.
    """

    def __init__(self, path: Path, sealer: Sealer, now: Callable[[], float]) -> None:
        self._path = path
        self._sealer = sealer
        self._now = now
        self._read_from: tuple[int, ...] = ()
        self._known: tuple[DeviceKey, ...] = ()

    def usable(self) -> tuple[DeviceKey, ...]:
        """The keys that open messages now, the current one first; none before the first `ensure`.

        Costs one `stat` while the file is what it was, so that every message may ask.
        """
        try:
            state = self._path.stat()
        except FileNotFoundError:
            return ()
        version = (state.st_ino, state.st_mtime_ns, state.st_size)
        if version != self._read_from:
            self._known = self._read()
            self._read_from = version
        now = self._now()
        return tuple(key for key in self._known if key.until is None or key.until > now)

    def ensure(self) -> DeviceKey:
        """The current key, made now if there is none."""
        found = self.usable()
        return found[0] if found else self._change(lambda old: old or (self._new(),))

    def rotate(self, keep: float = KEPT) -> DeviceKey:
        """A new current key; the one before it opens messages for `keep` seconds more, 0: from now on nothing."""
        until = self._now() + keep
        return self._change(
            lambda old: (self._new(), *(replace(key, until=min(key.until or until, until)) for key in old))
        )

    def _new(self) -> DeviceKey:
        return DeviceKey(ECKey.generate_key("P-256", auto_kid=False), self._now())

    def _change(self, make: Callable[[tuple[DeviceKey, ...]], tuple[DeviceKey, ...]]) -> DeviceKey:
        with self._alone():
            now = self._now()
            fresh = [key for key in make(self.usable()) if key.until is None or key.until > now]
            self._write(fresh[: MOST_OLD + 1])
        _log.info("messages are sealed to the key %s from now on", fresh[0].kid)
        return fresh[0]

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Agent and command line may both change the keys: one after the other."""
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _read(self) -> tuple[DeviceKey, ...]:
        try:
            entries = json.loads(self._sealer.open(self._path.read_bytes(), _CONTEXT))
            return tuple(
                DeviceKey(ECKey.import_key(entry["key"]), entry["made_at"], entry["until"]) for entry in entries
            )
        except (Misconfigured, ValueError, KeyError, TypeError):
            raise Misconfigured(
                "feeder-keys-damaged",
                "can't be opened: it was sealed with another secret.key, or is damaged",
                field=str(self._path),
                remedy="restore both files from one backup; or remove this one: there will be a new key",
            ) from None

    def _write(self, keys: list[DeviceKey]) -> None:
        entries = [
            {"key": key.pair.as_dict(private=True), "made_at": key.made_at, "until": key.until} for key in keys
        ]
        replace_file(self._path, self._sealer.seal(json.dumps(entries).encode(), _CONTEXT))
