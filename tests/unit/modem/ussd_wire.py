"""A scripted modem whose network talks USSD."""

import asyncio
import re
from collections.abc import Callable

import pytest
from scripted_modem import ScriptedModem

from otpbroker.errors import OtpBrokerError

Answer = Callable[[str], str | None]

CODE = "*888#"
BALANCE = "Sisa pulsa Rp 12.345"
SAID = f'+CUSD: 0,"{BALANCE}",15'
MENU = '+CUSD: 1,"1. Cek pulsa\r\n2. Paket",15'


class UssdWire(ScriptedModem):
    """Takes a code with OK and says `network[string]` after `delay` seconds, whole: `+CUSD: 0,"...",15`.

    `network` goes by the string as it is written; None or a missing one is silence. `refuses` are strings that the
    modem itself does not take, and with which error.
    """

    def __init__(
        self,
        network: dict[str, str | None],
        *,
        delay: float = 2.0,
        refuses: Callable[[str], str | None] = lambda _: None,
        answers: dict[str, str | None] | None = None,
    ) -> None:
        super().__init__(answers)
        self.network = network
        self.delay = delay
        self.refuses = refuses
        self.asked: list[str] = []
        self.released = 0
        self.open = False  # between a code and the end of its session
        self.clashes = 0  # messages in the middle of a session
        self._pending: asyncio.TimerHandle | None = None

    def hang_up(self) -> None:
        """What is unplugged has no session."""
        self._leave()
        super().hang_up()

    def _line(self, line: str) -> None:
        if line.startswith("AT+CMGS") and self.open:
            self.clashes += 1
        if line == "AT+CUSD=2":
            self.released += 1
            self._leave()
        elif found := re.fullmatch(r'AT\+CUSD=1,"(.*)",15', line):
            self.asked.append(found[1])
            if (error := self.refuses(found[1])) is not None:
                self.lines.append(line)
                self.say_soon(f"\r\n{error}\r\n")
                return
            self._leave()
            self.open = True
            if (said := self.network.get(found[1])) is not None:
                self._pending = asyncio.get_running_loop().call_later(self.delay, self.tell, said)
        super()._line(line)

    def tell(self, said: str) -> None:
        self.open = said.startswith("+CUSD: 1")
        self.say(f"\r\n{said}\r\n")

    def _leave(self) -> None:
        self.open = False
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None


async def failure(attempt: "asyncio.Future[object]") -> OtpBrokerError:
    with pytest.raises(OtpBrokerError) as caught:
        await attempt
    return caught.value
