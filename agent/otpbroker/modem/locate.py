"""Finding the port of a modem that is configured by its IMEI or USB socket: free ports are asked who is there."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from otpbroker.config.model import ModemSection
from otpbroker.errors import OtpBrokerError, Unavailable
from otpbroker.modem.answers import digits
from otpbroker.modem.at import AtConversation
from otpbroker.modem.link import CandidatePort
from otpbroker.modem.modem import Connect
from otpbroker.modem.results import AtFailure

log = logging.getLogger(__name__)

# A port that speaks AT answers within one to three seconds, also while it boots its radio; others never do.
_PROBE_LIMIT = 3.0


class Locator:
    """`candidates` lists the system's ports (blocking); `taken` those that belong to configured modems."""

    def __init__(
        self,
        connect: Connect,
        candidates: Callable[[], tuple[CandidatePort, ...]],
        taken: Callable[[], frozenset[str]],
    ) -> None:
        self._connect = connect
        self._candidates = candidates
        self._taken = taken
        self._seen: dict[str, str] = {}  # IMEI -> the port it was on
        self._turn = asyncio.Lock()  # two searches would find each other's ports busy

    async def port_of(self, section: ModemSection) -> str:
        """The configured port, or the one whose modem has the configured USB socket, IMEI or both.

        Raises `Unavailable`.
        """
        if section.port is not None:
            return section.port
        wanted = section.imei or ""
        async with self._turn:
            ports = await asyncio.to_thread(_free, self._candidates, self._taken(), section.usb)
            last = self._seen.get(wanted)
            for port in sorted(ports, key=lambda port: port != last):
                imei = await self._imei_at(port, section)
                if imei:
                    self._seen[imei] = port
                if imei and (not wanted or _same(imei, wanted)):
                    return port
        who = f"the modem with IMEI {wanted[:8]}..." if wanted else f"a modem in USB socket {section.usb}"
        raise Unavailable("modem-absent", f"no port has {who}", remedy="plug the modem in")

    async def _imei_at(self, port: str, section: ModemSection) -> str:
        """The IMEI that answers there, or ""."""
        try:
            link = await self._connect(port, section)
        except OtpBrokerError as problem:
            log.debug("%s is not asked: %s", port, problem)
            return ""
        conversation = AtConversation(link, lambda _line, _pdu: None)
        link.start(conversation.feed, conversation.hang_up)
        try:
            async with asyncio.timeout(_PROBE_LIMIT):
                await conversation.resync()
                return digits(await conversation.command("AT+CGSN"), 14)
        except (AtFailure, TimeoutError) as failure:
            log.debug("%s is no AT port: %s", port, failure)
            return ""
        finally:
            await link.close()


def _same(found: str, wanted: str) -> bool:
    """Fourteen digits identify; behind them are a check digit or a software version (23.003 section 6.2)."""
    return bool(found) and found[:14] == wanted[:14]


def _free(
    candidates: Callable[[], tuple[CandidatePort, ...]], taken: frozenset[str], socket: str | None
) -> tuple[str, ...]:
    """The candidates, in the socket if one is given, that are no taken port by whatever link that is named."""
    devices = {Path(port).resolve() for port in taken}
    return tuple(
        port.path
        for port in candidates()
        if Path(port.path).resolve() not in devices and (socket is None or port.socket == socket)
    )
