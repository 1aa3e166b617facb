"""A modem's snapshot, and who is told when it changes."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from otpbroker.events import Bus, ModemChanged, ModemState, ModemStatus

# Start-up takes a SIM some 10 s to read and register; what lasts longer is not "within moments".
MOMENTS = 15.0

_UP = frozenset({ModemState.READY, ModemState.SENDING})
_UNDER_WAY = frozenset({ModemState.STARTING, ModemState.RECOVERING})


class StatusBoard:
    """Publishes the snapshot only when it differs; calls `on_change` when `ready` or `recovering` do."""

    def __init__(self, status: ModemStatus, bus: Bus, on_change: Callable[[], None]) -> None:
        self._status = status
        self._bus = bus
        self._on_change = on_change
        self._hope: asyncio.TimerHandle | None = None

    @property
    def status(self) -> ModemStatus:
        return self._status

    @property
    def ready(self) -> bool:
        return self._status.state in _UP

    @property
    def recovering(self) -> bool:
        """On its way to `ready` since less than `MOMENTS`; trying again and again does not renew the hope.

        So is a modem on an errand, which has an end.
        """
        return self._hope is not None or self._status.state is ModemState.BUSY

    def update(self, **changes: Any) -> None:
        """Replace fields of the snapshot."""
        status = replace(self._status, **changes)
        if status == self._status:
            return
        before, was_state = (self.ready, self.recovering), self._status.state
        self._status = status
        if status.state not in _UNDER_WAY:
            self._drop_hope()
        elif was_state not in _UNDER_WAY:
            self._hope = asyncio.get_running_loop().call_later(MOMENTS, self._despair)
        self._bus.publish(ModemChanged(status))
        if (self.ready, self.recovering) != before:
            self._on_change()

    def _drop_hope(self) -> None:
        if self._hope is not None:
            self._hope.cancel()
            self._hope = None

    def _despair(self) -> None:
        self._drop_hope()
        self._on_change()
