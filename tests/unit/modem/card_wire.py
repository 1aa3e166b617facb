"""A scripted modem with a real card in it: the simulator's, with PIN, PUK and their tries."""

import re
from collections.abc import Callable

from scripted_modem import ScriptedModem

from otpbroker.modem.simulator.replies import AtError
from otpbroker.modem.simulator.sim_card import SimCard


class CardWire(ScriptedModem):
    """`given` are the lines that cost a try; those that begin with `lost` are carried out, and never answered.

    `on_line` hears of each line when it is carried out.
    """

    def __init__(
        self,
        card: SimCard,
        *,
        hides_tries: bool = False,
        answers: dict[str, str | None] | None = None,
        on_line: Callable[[str], object] = lambda _: None,
    ) -> None:
        super().__init__(answers)
        self.card = card
        self.hides_tries = hides_tries
        self.given: list[str] = []
        self.lost = ""
        self.on_line = on_line
        card.power_up()

    def _line(self, line: str) -> None:
        answer = self._card_answer(line)
        if answer is None:
            super()._line(line)
        else:
            self.lines.append(line)
            if not (self.lost and line.startswith(self.lost)):
                self.say_soon(f"\r\n{answer}\r\n")
        self.on_line(line)

    def _card_answer(self, line: str) -> str | None:
        card = self.card
        try:
            if line == "AT+CPIN?":
                return f"+CPIN: {card.state}\r\nOK"
            if line.startswith("AT+CPINR"):
                kind, left = ("PUK", card.puk_left) if "PUK" in line else ("PIN", card.pin_left)
                return "ERROR" if self.hides_tries else f"+CPINR: SIM {kind},{left},10\r\nOK"
            if line == 'AT+CLCK="SC",2':
                return f"+CLCK: {int(card.locked)}\r\nOK"
            if line == "AT+CIMI" and not card.ready:
                return "+CME ERROR: 11"
            if re.match(r'AT\+C(PIN|LCK|PWD)="', line):
                self.given.append(line)
                self._give(*re.findall(r'"(\d+)"', line), mode=re.search(r'SC",([01])', line))
                return "OK"
        except AtError as error:
            return error.line(1)
        return None

    def _give(self, first: str, second: str = "", *, mode: re.Match[str] | None) -> None:
        if mode is not None:
            self.card.require_pin(mode[1] == "1", first)
        elif self.given[-1].startswith("AT+CPWD"):
            self.card.change_pin(first, second)
        elif second:
            self.card.unblock(first, second)
        else:
            self.card.verify(first)
