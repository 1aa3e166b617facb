"""Authenticated encryption of what must be readable by this device alone (AES-256-GCM, NIST SP 800-38D)."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from otpbroker.errors import Misconfigured
from otpbroker.files import replace_file

_NONCE_OCTETS = 12
_KEY_OCTETS = 32


class Sealer:
    """Seals with one key; `context` is authenticated, so a sealed value can't be moved to another place."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, plain: bytes, context: str) -> bytes:
        nonce = os.urandom(_NONCE_OCTETS)
        return nonce + self._cipher.encrypt(nonce, plain, context.encode())

    def open(self, sealed: bytes, context: str) -> bytes:
        """Raises `Misconfigured` when the key or the context is another one, or the octets were changed."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_OCTETS], sealed[_NONCE_OCTETS:], context.encode())
        except (InvalidTag, ValueError):  # ValueError: too short to be one
            raise Misconfigured("seal-broken", f"{context} was sealed with another key") from None


def key_file(path: Path) -> bytes:
    """The key in a file that only its owner reads; made, whole or not at all, at the first call."""
    if not path.exists():
        _make_key(path)
    key = path.read_bytes()
    if len(key) != _KEY_OCTETS:
        raise Misconfigured("key-damaged", f"{path} does not hold a key", remedy="remove it")
    return key


def _make_key(path: Path) -> None:
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    replace_file(fresh, os.urandom(_KEY_OCTETS))
    try:
        with suppress(FileExistsError):  # another process was first: its key counts
            path.hardlink_to(fresh)
    finally:
        fresh.unlink(missing_ok=True)
