"""What a simulated network shows by USSD, and how modems write it and read what is typed (27.007 section 7.15)."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from otpbroker.sms import gsm7
from otpbroker.sms.ussd import Writing, unpack, write

DONE, ASKS, ENDED = range(3)  # <m> of +CUSD


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
        return ASKS if self.replies else DONE


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
