"""From octets to command lines and from lines to commands: V.250 section 5, as far as a modem needs it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

_PREFIX = re.compile(r"AT", re.IGNORECASE)
_EXTENDED = re.compile(
    r"\s*([+^*#$%][A-Z][A-Z0-9%\-./:_!]*)\s*(?:(=\?)|(\?)|=((?:\"[^\"]*\"|[^;\"])*))?\s*(?:;|$)",
    re.IGNORECASE,
)
_REGISTER = re.compile(r"\s*(S[0-9]+)\s*(?:(\?)|=\s*([0-9]*))?", re.IGNORECASE)
_BASIC = re.compile(r"\s*(&?[A-Z])\s*([0-9]*)\s*;?", re.IGNORECASE)
_VALUE = re.compile(r'\s*(?:"([^"]*)"|([^,]*?))\s*(,|$)')

CARRIAGE_RETURN = b"\r"
END_OF_TEXT = b"\x1a\x1b"  # control-Z sends, ESC gives up (3GPP TS 27.005 section 3.5.1)

_LIMIT = 64 * 1024  # octets waiting for the modem; a UART would have overrun long before


class Kind(Enum):
    """What is asked of a command."""

    EXECUTE = auto()  # AT+CSQ, ATE0
    READ = auto()  # AT+CSQ?
    SET = auto()  # AT+CSQ=...
    TEST = auto()  # AT+CSQ=?


@dataclass(frozen=True, slots=True)
class AtCommand:
    """One command of a line: `name` in upper case with its prefix (`+CMGS`, `&F`, `E`)."""

    name: str
    kind: Kind
    argument: str = ""  # behind the `=` as written; the number of a basic command

    def __repr__(self) -> str:
        return f"AtCommand({self.name} {self.kind.name})"

    @property
    def values(self) -> tuple[str, ...]:
        """The argument cut at its commas, quotes taken off; an omitted value is empty."""
        if not self.argument.strip():
            return ()
        values = []
        for found in _VALUE.finditer(self.argument):
            quoted, bare, comma = found.groups()
            values.append(bare if quoted is None else quoted)
            if not comma:
                break
        return tuple(values)


class MalformedLine(ValueError):
    """What follows in the line is no command."""


def body_of(line: bytes) -> str | None:
    """What stands behind the `AT` of a line; None: the line is no command line and is to be ignored."""
    text = line.decode("ascii", "replace").strip("\r\n")
    while (at := re.search(r"[\x08\x7f]", text)) is not None:
        text = text[: max(at.start() - 1, 0)] + text[at.end() :]
    prefix = _PREFIX.search(text)
    return None if prefix is None else text[prefix.end() :].strip()


def commands_of(body: str) -> Iterator[AtCommand]:
    """The commands of a line in turn, so that those before a malformed one are carried out."""
    at = 0
    while at < len(body):
        if found := _EXTENDED.match(body, at):
            name, test, read, argument = found.groups()
            kind = Kind.TEST if test else Kind.READ if read else Kind.EXECUTE if argument is None else Kind.SET
            yield AtCommand(name.upper(), kind, argument or "")
        elif found := _REGISTER.match(body, at):
            name, read, argument = found.groups()
            kind = Kind.READ if read else Kind.EXECUTE if argument is None else Kind.SET
            yield AtCommand(name.upper(), kind, argument or "")
        elif found := _BASIC.match(body, at):
            yield AtCommand(found.group(1).upper(), Kind.EXECUTE, found.group(2))
        else:
            raise MalformedLine
        at = found.end()


class Entry:
    """What the terminal has typed and the modem has not taken yet; bounded."""

    def __init__(self) -> None:
        self._octets = bytearray()
        self._shown = 0  # octets already given out for the echo

    def type(self, octets: bytes) -> None:
        """Add what arrived; if it does not fit all is lost, as in an overrun UART, and typing begins anew."""
        if len(self._octets) + len(octets) > _LIMIT:
            self.clear()
            return
        self._octets += octets

    def advance(self, ends: bytes) -> tuple[bytes, bytes | None]:
        """The octets not yet echoed, and the first unit with its terminator, one of `ends`, if it is complete."""
        found = [at for end in ends if (at := self._octets.find(end)) >= 0]
        stop = min(found) + 1 if found else len(self._octets)
        fresh = bytes(self._octets[self._shown : stop])
        if not found:
            self._shown = stop
            return fresh, None
        unit = bytes(self._octets[:stop])
        del self._octets[:stop]
        self._shown = 0
        return fresh, unit

    def clear(self) -> None:
        self._octets.clear()
        self._shown = 0

    def __len__(self) -> int:
        return len(self._octets)
