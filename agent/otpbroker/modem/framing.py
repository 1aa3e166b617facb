"""From the octets of a serial port to lines and the prompt, in whatever pieces they come."""

import re
from collections.abc import Iterator

# The longest answer that matters is an unpacked +CUSD of 182 UCS-2 characters; more without a line end is noise.
LONGEST_LINE = 2048

_END = re.compile(rb"[\r\n]")
_PROMPT = ord(">")
_NOISE = bytes(octet for octet in range(256) if not 0x20 <= octet < 0x7F and octet not in b"\r\n\t")


class Framer:
    """Collects octets; lines come out complete, the prompt of 27.005 section 3.5.1 without waiting for a line end.

    Octets that are no printable ASCII (NUL, line noise, an echoed control-Z) are dropped.
    """

    __slots__ = ("_buffer", "_overlong")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._overlong = False  # in the middle of a line that is thrown away

    def feed(self, data: bytes) -> None:
        self._buffer += data.translate(None, _NOISE)

    def lines(self) -> Iterator[str]:
        """Every complete line that is not blank, without the blanks around it; over-long ones are dropped."""
        while (end := _END.search(self._buffer)) is not None:
            line = bytes(self._buffer[: end.start()])
            del self._buffer[: end.end()]
            overlong, self._overlong = self._overlong or len(line) > LONGEST_LINE, False
            if not overlong and (text := line.decode("ascii").strip()):
                yield text
        if len(self._buffer) > LONGEST_LINE:
            self._buffer.clear()
            self._overlong = True

    def take_prompt(self, echo: str) -> bool:
        """Whether the unfinished line is the prompt, perhaps behind the `echo` of its command; if so, take it."""
        if self._overlong:
            return False
        tail = self._buffer.lstrip().removeprefix(echo.encode("ascii")).lstrip()
        if not tail or tail[0] != _PROMPT:
            return False
        self._buffer = tail[1:]
        return True
