"""Resetting modems' USB devices: the agent may not, and asks the helper of root behind a socket (`usb_sockets`)."""

import asyncio
import logging
from pathlib import Path

_log = logging.getLogger(__name__)

SOCKET = Path("/run/otpbroker-usb-power.socket")
PATIENCE = 15.0  # seconds; a power cycle takes three, a helper on a busy Raspberry Pi some more to start
_LONGEST_ANSWER = 256


class UsbPowerHelper:
    """Fits `modem.shared.UsbPower`. Where no helper listens, as on a developer's machine, nothing can be reset."""

    def __init__(self, path: Path = SOCKET, patience: float = PATIENCE) -> None:
        self._path = path
        self._patience = patience

    async def reset(self, socket: str) -> bool:
        """Take the device in this USB socket (`1-1.2`) from its drivers and give it back. False: can't here."""
        return await self._ask("reset", socket)

    async def cycle(self, socket: str) -> bool:
        """The power of its hub port off and on, where the hub can. False: can't here."""
        return await self._ask("cycle", socket)

    async def _ask(self, act: str, socket: str) -> bool:
        try:
            async with asyncio.timeout(self._patience):
                answer = await self._exchange(f"{act} {socket}\n")
        except TimeoutError:
            answer = "no answer"
        except OSError as failure:
            _log.info("there is no helper to %s USB devices: %s", act, failure.strerror)
            return False
        if answer != "OK":
            _log.warning("%s of USB socket %s: %s", act, socket, answer)
        return answer == "OK"

    async def _exchange(self, line: str) -> str:
        reader, writer = await asyncio.open_unix_connection(self._path, limit=_LONGEST_ANSWER)
        try:
            writer.write(line.encode("ascii"))
            return (await reader.read(_LONGEST_ANSWER)).decode("ascii", "replace").strip()
        finally:
            writer.close()
