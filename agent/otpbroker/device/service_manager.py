"""What systemd wants to hear of a service: ready, alive, ending (sd_notify(3), by a plain datagram)."""

import asyncio
import logging
import os
import socket
from collections.abc import Mapping

_log = logging.getLogger(__name__)


class ServiceManager:
    """Tells the manager that started this process; silent when none did."""

    def __init__(self, environment: Mapping[str, str], pid: int | None = None) -> None:
        """`environment` as the manager set it; the watchdog counts only for the process it was meant for."""
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        meant_for = environment.get("WATCHDOG_PID", "")
        ours = meant_for in {"", str(os.getpid() if pid is None else pid)}
        microseconds = environment.get("WATCHDOG_USEC", "") if ours else ""
        self._interval = int(microseconds) / 2_000_000 if microseconds.isdecimal() else None

    def ready(self) -> None:
        """The listeners are bound: who was ordered after this service may start."""
        self._tell("READY=1")

    async def watch(self, stop: asyncio.Event) -> None:
        """Say twice in each watchdog period that the loop turns, until `stop`; then that the service is ending."""
        while not stop.is_set():
            if self._interval is None:
                await stop.wait()
                break
            self._tell("WATCHDOG=1")
            try:
                await asyncio.wait_for(stop.wait(), self._interval)
            except TimeoutError:
                continue
        self._tell("STOPPING=1")

    def _tell(self, state: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.setblocking(False)
            try:
                out.sendto(state.encode(), self._address)
            except OSError as error:
                _log.warning("the service manager did not hear %s: %s", state, error.strerror)
