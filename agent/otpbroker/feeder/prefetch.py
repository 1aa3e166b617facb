"""How many messages a device has from its queue: what its modems can carry, and room for what they can't yet."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

from otpbroker.feeder.capacity import Capacity

# One message more than there are modems: it is here when the first of them is free again.
SPARE = 1
MOST_AT_ONCE = 256
MOST_BESIDE = 256


class Prefetch:
    """`configured`: 0 follows the modems. `steady` and `no_modem`: seconds until it follows more, or fewer."""

    def __init__(
        self,
        configured: int,
        capacity: Callable[[], Capacity],
        problem: Callable[[str, str], None],
        *,
        steady: float,
        no_modem: float,
    ) -> None:
        self._configured = configured
        self._capacity = capacity
        self._problem = problem
        self._steady = steady
        self._no_modem = no_modem
        self._changed = asyncio.Event()
        self._held_back = 0
        self.taking = 0

    def look(self) -> None:
        """The modems may be others now."""
        self._changed.set()

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Around the rest of a message that the modems can't take now: it takes no place from the others."""
        self._held_back += 1
        self._changed.set()
        try:
            yield
        finally:
            self._held_back -= 1
            self._changed.set()

    async def follow(self, take: Callable[[int], Awaitable[None]]) -> None:
        """Call `take` for each other number, until cancelled; while no modem is ready, with 0."""
        now = asyncio.get_running_loop().time
        differs_since = now()
        while True:
            self._changed.clear()
            wanted = self._wanted()
            # A modem on an errand, or one that is brought back, is here again in moments.
            patience = 0.0 if self.taking == 0 else self._no_modem if wanted < self.taking else self._steady
            if wanted == self.taking:
                self._tell()
                await self._changed.wait()
                differs_since = now()
            elif now() >= differs_since + patience:
                self.taking = wanted
                self._tell()
                await take(wanted)
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(differs_since + patience):
                        await self._changed.wait()

    def _wanted(self) -> int:
        ready = self._capacity().ready
        if ready == 0:
            return 0
        return (self._configured or min(ready + SPARE, MOST_AT_ONCE)) + self._room

    @property
    def _room(self) -> int:
        """A power of two: another number takes another consumer, and not each message is worth that."""
        return min(1 << (self._held_back - 1).bit_length(), MOST_BESIDE) if self._held_back else 0

    def _tell(self) -> None:
        detail = ""
        if not self.taking:
            capped = self._capacity().capped
            detail = "every modem has reached its limit" if capped else "no modem is ready"
            detail += ", nothing is taken"
        self._problem("modems", detail)
        held_back = ""
        if self.taking and self._held_back:
            held_back = "messages wait that are too long for what the limits leave, or whose modem is not ready"
            if self._room == MOST_BESIDE:
                held_back += "; so many that others may wait too"
        self._problem("held-back", held_back)
