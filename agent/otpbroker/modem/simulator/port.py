"""A serial port that is a pty: the master end on the event loop, the slave end for the client."""

import asyncio
import fcntl
import os
import struct
import tty
from collections.abc import Callable
from pathlib import Path

_READ_SIZE = 65536
_LOCK = 0x40045431  # TIOCSPTLCK, which termios lacks: a locked pty opens with EIO
_OUTPUT_LIMIT = 64 * 1024  # octets that the client has not read yet


class PtyPort:
    """An open port; `path` is what a client opens, `link` a stable name for it.

    The slave end stays open here, so the port survives a client that leaves; `close` hangs up on the client.
    Output is never waited for: what exceeds the bound is dropped.
    """

    def __init__(self, on_input: Callable[[bytes], None], link: Path | None = None) -> None:
        self._on_input = on_input
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        self._output = bytearray()
        self._piece = 0
        self._gap = 0.0
        self._blocked = False
        self._timer: asyncio.TimerHandle | None = None
        if link is not None:
            _point(link, self.path)
        self._loop.add_reader(self._master, self._readable)

    def write(self, octets: bytes, *, piece: int = 0, gap: float = 0.0) -> int:
        """Send in order; `piece` octets at a time with `gap` seconds between, or all at once if 0.

        Returns how many were dropped: all of them or none.
        """
        if len(self._output) + len(octets) > _OUTPUT_LIMIT:
            return len(octets)
        self._output += octets
        self._piece, self._gap = piece, gap
        if self._timer is None and not self._blocked:
            self._flush()
        return 0

    def close(self) -> None:
        """Hang up: the client's reads and writes fail from now on, and the link is gone."""
        self._hang_up()
        if self._link is not None and self._link.is_symlink() and str(self._link.readlink()) == self.path:
            self._link.unlink()

    def fail(self) -> None:
        """Hang up, but stay where it was: whoever opens the link from now on gets EIO."""
        self._hang_up()
        self._master, self._slave = os.openpty()
        fcntl.ioctl(self._master, _LOCK, struct.pack("i", 1))
        self.path = os.ttyname(self._slave)
        if self._link is not None:
            _point(self._link, self.path)

    def _hang_up(self) -> None:
        self._loop.remove_reader(self._master)
        self._loop.remove_writer(self._master)
        if self._timer is not None:
            self._timer.cancel()
        os.close(self._master)
        os.close(self._slave)

    def _readable(self) -> None:
        try:
            octets = os.read(self._master, _READ_SIZE)
        except BlockingIOError:
            return
        self._on_input(octets)

    def _flush(self) -> None:
        self._timer = None
        while self._output:
            size = self._piece or len(self._output)
            try:
                written = os.write(self._master, bytes(self._output[:size]))
            except BlockingIOError:
                self._blocked = True
                self._loop.add_writer(self._master, self._writable)
                return
            del self._output[:written]
            if self._piece and self._output:
                self._timer = self._loop.call_later(self._gap, self._flush)
                return

    def _writable(self) -> None:
        self._blocked = False
        self._loop.remove_writer(self._master)
        self._flush()


def _point(link: Path, target: str) -> None:
    """Make or replace the symbolic link in one step, so that a client never finds it missing."""
    link.parent.mkdir(parents=True, exist_ok=True)
    fresh = link.with_name(f".{link.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)
