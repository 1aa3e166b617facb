"""The connections of a listener: bounded in number, and each known, so that one can be ended."""

import asyncio
import contextlib
import logging
import resource
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from otpbroker.rate import network_of

_log = logging.getLogger(__name__)

MOST = 1024  # of one listener: as many calls may wait as messages, and the application servers keep some open
LEAST = 16
_OTHER_FILES = 256  # descriptors for modems, the journal, the report and live pages

Peer = tuple[str, int]  # address and port

REQUEST = "otpbroker.request"  # the key in an ASGI scope


def most_connections(listeners: int) -> int:
    """What each of so many listeners may hold open, so that everything else finds a file descriptor too."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return MOST
    return max(LEAST, min(MOST, (allowed - _OTHER_FILES) // listeners))


class Connections:
    """At most `most` open connections.

    For one more, another is ended: the oldest of the address that holds most, of those without a request whose
    credentials were right. So a flood ends its own, and who waits for an answer is left alone. While all are such,
    a newcomer is turned away.
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

    def request(self, peer: Peer) -> "Request":
        """One begins on the connection from there."""
        return Request(self._open.get(peer), self._active)

    def _active(self, connection: "_Connection") -> None:
        if self._open.pop(connection.peer, None) is connection:
            self._open[connection.peer] = connection

    def end(self) -> None:
        """Hang up on everybody, whether the other side agrees or not."""
        for connection in tuple(self._open.values()):
            connection.hang_up()

    def admit(self, connection: "_Connection") -> bool:
        """Whether there is place for it, or was made."""
        if len(self._open) >= self._most and not self._make_place(connection):
            return False
        self._open[connection.peer] = connection
        return True

    def forget(self, connection: "_Connection") -> None:
        if self._open.get(connection.peer) is connection:
            del self._open[connection.peer]
        if len(self._open) < self._most // 2:
            self._crowded = False

    def _make_place(self, newcomer: "_Connection") -> bool:
        if not self._crowded:  # told once, not for each of a flood
            self._crowded = True
            _log.warning("%d connections are open: each new one ends one without credentials", len(self._open))
        untrusted = [connection for connection in self._open.values() if not connection.trusted]
        if not untrusted:
            return False
        held = Counter(connection.place for connection in untrusted)
        held[newcomer.place] += bool(held[newcomer.place])
        most = max(held.values())
        victim = next(connection for connection in untrusted if held[connection.place] == most)
        victim.hang_up()
        self.forget(victim)
        return True


class Request:
    """A request under way; it may vouch for its connection until it ends."""

    def __init__(self, connection: "_Connection | None", active: "Callable[[_Connection], None]") -> None:
        self._connection = connection
        self._active = active
        self._trusted = False

    def vouch(self) -> None:
        """Its credentials are right."""
        if self._connection is not None and not self._trusted:
            self._trusted = True
            self._connection.trusted += 1

    def ended(self) -> None:
        if self._connection is not None:
            self._connection.trusted -= self._trusted
            self._active(self._connection)


def vouch(scope: Mapping[str, Any]) -> None:
    """Tell the server which has the request of this ASGI scope that its credentials are right."""
    request = scope.get(REQUEST)
    if isinstance(request, Request):
        request.vouch()


class _Connection(socket.socket):
    def __init__(self, accepted: socket.socket, peer: Peer, connections: Connections) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, accepted.detach())
        self.peer = peer
        self.place = network_of(peer[0])
        self.trusted = 0  # requests under way whose credentials are right
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
