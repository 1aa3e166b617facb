"""Waiting until the SIM can be used: for the modem that reads it, or for hands that mend it."""

import logging
from collections.abc import Awaitable, Callable

from otpbroker.errors import Misconfigured
from otpbroker.events import ModemState
from otpbroker.modem.sim import SimLock, unusable
from otpbroker.modem.startup import Startup
from otpbroker.modem.status import StatusBoard

log = logging.getLogger(__name__)

_BUSY = 1.0  # seconds between looks at a SIM that is being read
_BLOCKED = 60.0  # between looks at a SIM that needs hands: only a question, never a try


class Unlocking:
    """`pause` waits so many seconds, less when something happens; `wake` looks after the radio, without which some
    modems don't read the SIM.
    """

    def __init__(
        self,
        lock: SimLock,
        startup: Startup,
        board: StatusBoard,
        pause: Callable[[float], Awaitable[bool]],
        wake: Callable[[], Awaitable[None]],
    ) -> None:
        self._lock = lock
        self._startup = startup
        self._board = board
        self._pause = pause
        self._wake = wake

    async def run(self, confirm: Callable[[str], None], on_blocked: Callable[[], None]) -> None:
        """Return when the SIM is usable, for as long as that takes.

        `confirm` is told the ICCID before a PIN is given, and may raise; `on_blocked` that the SIM needs hands.
        """
        while True:
            await self._wake()
            iccid = await self._startup.read_iccid()
            confirm(iccid)
            state = await self._lock.state()
            if state == "READY":
                await self._lock.opened(iccid, self._startup.imei)
                self._board.update(state=ModemState.STARTING, detail="")
                return
            if state == "SIM busy":
                self._board.update(detail="the SIM is not ready yet")
                await self._pause(_BUSY)
                continue
            try:
                if state != "SIM PIN":
                    raise unusable(state)
                if not await self._lock.enter_pin(iccid, self._startup.imei):
                    await self._pause(_BUSY)
            except Misconfigured as problem:
                on_blocked()
                if self._board.status.state is not ModemState.BLOCKED:
                    log.warning("modem %s is blocked: %s", self._board.status.id, problem)
                self._board.update(state=ModemState.BLOCKED, detail=str(problem))
                await self._pause(_BLOCKED)
