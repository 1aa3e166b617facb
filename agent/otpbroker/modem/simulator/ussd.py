"""The USSD of a simulated modem: what the network shows, and how the modem writes it (27.007 section 7.15)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import ConfigDict, Field

from otpbroker.modem.simulator.timers import Timers
from otpbroker.sms import gsm7
from otpbroker.sms.ussd import Writing, unpack, write

if TYPE_CHECKING:
    from otpbroker.modem.simulator.equipment import Equipment

_DONE, _ASKS, _ENDED = range(3)


class Form(StrEnum):
    """How a modem writes what the network says."""

    CHARSET = "charset"  # plain, or 16-bit units under +CSCS="UCS2"
    PLAIN = "plain"
    PACKED = "packed"
    UCS2 = "ucs2"
    OCTETS = "octets"  # hexadecimal of 8-bit data


_CODINGS = {Form.PLAIN: 15, Form.PACKED: 15, Form.UCS2: 72, Form.OCTETS: 68}


@dataclass(frozen=True, slots=True)
class Screen:
    """What the network says to a code or a reply; with `replies` it asks for one of them."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", hide_input_in_errors=True)

    text: Annotated[str, Field(max_length=182)] = ""
    mode: Annotated[int, Field(ge=0, le=5)] | None = None  # <m>; None: 1 with replies, else 0
    replies: Annotated[dict[str, "str | Screen"], Field(max_length=100)] = field(default_factory=dict)
    delay: Annotated[float, Field(ge=0, le=3600)] | None = None  # None: the modem's `ussd_delay`
    silent: bool = False  # the network never answers

    @property
    def shown_mode(self) -> int:
        if self.mode is not None:
            return self.mode
        return _ASKS if self.replies else _DONE


def take(written: str, takes: Writing, charset: str) -> str:
    """The text that a terminal wrote; raises `ValueError` for what this modem does not read."""
    if takes is Writing.PACKED:
        return gsm7.decode(unpack(bytes.fromhex(written)))
    if charset == "UCS2":
        return bytes.fromhex(written).decode("utf-16-be")
    if takes is Writing.UCS2:
        raise ValueError("this modem wants 16-bit units, under their character set")
    return written


def give(screen: Screen, form: Form, charset: str) -> str:
    """The unsolicited line."""
    if not screen.text:
        return f"+CUSD: {screen.shown_mode}"
    if form is Form.CHARSET:
        form = Form.UCS2 if charset == "UCS2" else Form.PLAIN
    if form is Form.OCTETS:
        string = screen.text.encode("iso-8859-1", "replace").hex().upper()
    else:
        string = write(screen.text, Writing(form))
    return f'+CUSD: {screen.shown_mode},"{string}",{_CODINGS[form]}'


class UssdService:
    """One modem's dialogue with its network; `announce` writes a line for the terminal."""

    def __init__(self, equipment: "Equipment", announce: Callable[[str], None]) -> None:
        self._equipment = equipment
        self._announce = announce
        self._timers = Timers()
        self._open: Screen | None = None  # it waits for a reply to this
        self._pending = False

    @property
    def busy(self) -> bool:
        """A dialogue is going on: nothing else may be sent (27.007 section 7.15 and every vendor's manual)."""
        return self._pending or self._open is not None

    def ask(self, text: str) -> None:
        """A code, or the reply to what is open."""
        behaviour = self._equipment.behaviour
        shown = self._next(text)
        screen = Screen(shown) if isinstance(shown, str) else shown
        self._timers.cancel()
        self._open, self._pending = None, True
        if not screen.silent:
            delay = behaviour.ussd_delay if screen.delay is None else screen.delay
            self._timers.after(delay, lambda: self._show(screen))

    def cancel(self) -> None:
        """AT+CUSD=2."""
        if self.busy:
            self._equipment.counters.ussd_cancelled += 1
        self.clear()

    def clear(self) -> None:
        """The modem starts anew, or is gone."""
        self._timers.cancel()
        self._open, self._pending = None, False

    def _next(self, text: str) -> "str | Screen":
        if self._open is not None and not text.startswith(("*", "#")):
            return self._open.replies.get(text, Screen(mode=_ENDED))
        known = self._equipment.behaviour.ussd
        return known.get(text, f"{self._equipment.identity.operator}: {text}")

    def _show(self, screen: Screen) -> None:
        equipment, self._pending = self._equipment, False
        if screen.shown_mode == _ASKS:
            self._open = screen
            self._timers.after(equipment.behaviour.ussd_patience, self._give_up)
        if equipment.settings.number("+CUSD") == 1:
            self._announce(give(screen, equipment.behaviour.ussd_gives, equipment.settings.charset))

    def _give_up(self) -> None:
        """The network waits no longer."""
        self._open = None
        self._announce(f"+CUSD: {_ENDED}")
