"""Sealed messages for a device that may never see one: the library for them is imported when something needs it."""

from pathlib import Path
from typing import TYPE_CHECKING

from otpbroker.clock import Clock
from otpbroker.sealing import Sealer

if TYPE_CHECKING:
    from otpbroker.feeder.key_ring import KeyRing
    from otpbroker.feeder.sealed import Unsealer


class SealedMessages:
    """The device's keys in the file at `path`, sealed with `key`, and what they open."""

    def __init__(self, path: Path, key: bytes, clock: Clock) -> None:
        self._path = path
        self._key = key
        self._clock = clock
        self._ring: KeyRing | None = None
        self._unsealer: Unsealer | None = None

    def ring(self) -> "KeyRing":
        """Imports the library at the first call: call it in a thread."""
        from otpbroker.feeder.key_ring import KeyRing  # noqa: PLC0415

        if self._ring is None:
            self._ring = KeyRing(self._path, Sealer(self._key), self._clock.now)
        return self._ring

    def prepare(self) -> None:
        """Before the first `open`, in a thread."""
        from otpbroker.feeder.sealed import Unsealer  # noqa: PLC0415

        if self._unsealer is None:
            self._unsealer = Unsealer(self.ring().usable)

    def open(self, body: bytes) -> tuple[bytes, bool]:
        """Clear octets, and whether they were sealed; raises `Rejected`."""
        assert self._unsealer is not None, "prepare comes first"
        return self._unsealer(body)
