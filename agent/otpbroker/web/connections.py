"""The connections of a listener: bounded in number, and each known, so that one can be ended."""

import asyncio
import contextlib
import logging
import resource
import socket
from typing import Any

_log = logging.getLogger(__name__)

MOST = 512  # of one listener: far more than the application servers of a small company keep open
LEAST = 16
_OTHER_FILES = 256  # descriptors for modems, the journal, the report and live pages

Peer = tuple[str, int]  # address and port


def most_connections(listeners: int) -> int:
    """What each of so many listeners may hold open, so that everything else finds a file descriptor too."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return MOST
    return max(LEAST, min(MOST, (allowed - _OTHER_FILES) // listeners))


class Connections:
    """At most `most` open connections.

    For one more, the one that has been without a request for longest is ended: its client keeps it for later, or
    never sends a whole request. While all have a request under way, a newcomer is turned away.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: dict[Peer, _Connection] = {}  # in the order of their last activity
        self._crowded = False
        self.port_given_back = asyncio.Event()

    def __len__(self) -> int:
        return len(self._open)

    def listening_socket(self, family: socket.AddressFamily) -> socket.socket:
        """A TCP socket, to be bound and listened on, whose connections are kept here."""
        self.port_given_back.clear()
        return _ListeningSocket(family, self)

    def request_began(self, peer: Peer) -> None:
        if connection := self._open.get(peer):
            connection.requests += 1

    def request_ended(self, peer: Peer) -> None:
        if connection := self._open.pop(peer, None):
            connection.requests -= 1
            self._open[peer] = connection

    def end(self) -> None:
        """Hang up on everybody, whether the other side agrees or not."""
        for connection in tuple(self._open.values()):
            connection.hang_up()

    def admit(self, connection: "_Connection") -> bool:
        """Whether there is place for it, or was made."""
        if len(self._open) >= self._most and not self._make_place():
            return False
        self._open[connection.peer] = connection
        return True

    def forget(self, connection: "_Connection") -> None:
        if self._open.get(connection.peer) is connection:
            del self._open[connection.peer]
        if len(self._open) < self._most // 2:
            self._crowded = False

    def _make_place(self) -> bool:
        if not self._crowded:  # told once, not for each of a flood
            self._crowded = True
            _log.warning("%d connections are open: the longest without a request are ended", len(self._open))
        idle = next((connection for connection in self._open.values() if not connection.requests), None)
        if idle is None:
            return False
        idle.hang_up()
        self.forget(idle)
        return True


class _Connection(socket.socket):
    def __init__(self, accepted: socket.socket, peer: Peer, connections: Connections) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, accepted.detach())
        self.peer = peer
        self.requests = 0
        self._connections = connections

    def hang_up(self) -> None:
        """Both sides read the end; the transport that owns the socket then closes it."""
        with contextlib.suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        super().close()
        self._connections.forget(self)


class _ListeningSocket(socket.socket):
    def __init__(self, family: socket.AddressFamily, connections: Connections) -> None:
        super().__init__(family, socket.SOCK_STREAM)
        self._connections = connections

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection that there is place for; raises `BlockingIOError` when none waits."""
        while True:
            accepted, address = super().accept()
            connection = _Connection(accepted, (address[0], address[1]), self._connections)
            if self._connections.admit(connection):
                return connection, address
            connection.close()

    def close(self) -> None:
        super().close()
        self._connections.port_given_back.set()
