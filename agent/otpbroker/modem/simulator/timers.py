"""Everything a modem will do later, so that pulling the plug stops it at once."""

import asyncio
from collections.abc import Callable


class Timers:
    """Pending calls of one owner on the running loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._pending: set[asyncio.TimerHandle] = set()

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Call `act` after so many seconds; 0: now."""
        if seconds <= 0:
            act()
            return

        def fire() -> None:
            self._pending.discard(handle)
            act()

        handle = self._loop.call_later(seconds, fire)
        self._pending.add(handle)

    def cancel(self) -> None:
        for handle in self._pending:
            handle.cancel()
        self._pending.clear()
