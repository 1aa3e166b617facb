"""Password hashing off the event loop."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from otpbroker.errors import Unavailable

P = ParamSpec("P")
T = TypeVar("T")

# Enough for every administrator to log in at once; a flood is turned away before it costs memory.
WAITING = 16


class HashingThread:
    """Runs what computes argon2 in a thread, one at a time: each takes 19 MiB and a core for its time."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result; raises `Unavailable` when too many wait already."""
        if self._waiting >= WAITING:
            raise Unavailable("too-many-logins", "too many log-ins at once", remedy="try again in a few seconds")
        self._waiting += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(function, *args, **kwargs)
        finally:
            self._waiting -= 1
