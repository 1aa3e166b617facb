"""Resetting modems' USB devices: the agent may not, and asks the helper of root behind a socket (`usb_sockets`)."""

import asyncio
import logging
from pathlib import Path

from otpbroker.errors import Unavailable

_log = logging.getLogger(__name__)

SOCKET = Path("/run/otpbroker-usb-power.socket")
PATIENCE = 15.0  # seconds; a power cycle takes three, a helper on a busy Raspberry Pi some more to start
_LONGEST_ANSWER = 256
# What another time would not change: a hub that does not switch this port, a helper that does not know the act.
_NEVER = frozenset({"no-port-power", "usb-socket-invalid", "usb-act-unknown"})


class UsbPowerHelper:
    """Fits `modem.shared.UsbPower`. Where no helper listens, as on a developer's machine, nothing can be reset."""

    def __init__(self, path: Path = SOCKET, patience: float = PATIENCE) -> None:
        self._path = path
        self._patience = patience

    async def reset(self, socket: str) -> bool:
        """Take the device in this USB socket (`1-1.2`) from its drivers and give it back.

        False: can't here. Raises `Unavailable` when it can't be done now: the helper's code, or `usb-no-answer`.
        """
        return await self._ask("reset", socket)

    async def cycle(self, socket: str) -> bool:
        """The power of its hub port off and on, where the hub can; else as `reset`."""
        return await self._ask("cycle", socket)

    async def _ask(self, act: str, socket: str) -> bool:
        try:
            async with asyncio.timeout(self._patience):
                answer = await self._exchange(f"{act} {socket}\n")
        except (FileNotFoundError, ConnectionRefusedError, PermissionError) as failure:
            _log.info("there is no helper to %s USB devices: %s", act, failure.strerror)
            return False
        except OSError:  # of which TimeoutError is one
            answer = ""
        if answer == "OK":
            return True
        _log.warning("%s of USB socket %s: %s", act, socket, answer or "no answer")
        no, code, *_ = (*answer.split(" "), "", "")
        if no == "NO" and code in _NEVER:
            return False
        raise Unavailable(
            code if no == "NO" else "usb-no-answer", f"{act} of USB socket {socket}: {answer or 'no answer'}"
        )

    async def _exchange(self, line: str) -> str:
        reader, writer = await asyncio.open_unix_connection(self._path, limit=_LONGEST_ANSWER)
        try:
            writer.write(line.encode("ascii"))
            return (await reader.read(_LONGEST_ANSWER)).decode("ascii", "replace").strip()
        finally:
            writer.close()
