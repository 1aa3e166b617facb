"""Ports that stay a server's own while it is down, so that it can be killed and listen on the same one again.

The kernel hands its ephemeral ports to whoever asks next, to another test as well: none of them is used here.
"""

import random
import socket
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST = 10_000
_BLOCK = 50


def free_port() -> int:
    """One on loopback that nobody listens on, and that is given out once among all processes of this machine."""
    return next(_free)


def _ports() -> Generator[int]:
    """Block after block; a process that has taken one keeps it to its end by a socket that only names it."""
    lowest_ephemeral = int(_EPHEMERAL.read_text().split()[0])
    blocks = list(range(_LOWEST, lowest_ephemeral - _BLOCK, _BLOCK))
    random.shuffle(blocks)
    with ExitStack() as claims:
        for block in blocks:
            claim = claims.enter_context(socket.socket(socket.AF_UNIX))
            try:
                claim.bind(f"\0otpbroker-ports-{block}")
            except OSError:
                claim.close()
                continue
            yield from filter(_is_free, range(block, block + _BLOCK))
    raise RuntimeError(f"all ports from {_LOWEST} to {lowest_ephemeral} are taken: see {_EPHEMERAL}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


_free = _ports()
