"""Reading a PDU octet by octet: whatever it lacks is said once, by one error."""

from typing import Self


class PduError(ValueError):
    """The PDU breaks 3GPP TS 23.040 or uses what is refused; the reason names the field, never its content."""


class Octets:
    """A cursor over the octets of one PDU; `name` says in the error what was looked for."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @classmethod
    def from_hex(cls, pdu: str) -> Self:
        """A PDU as the modem writes it: two hexadecimal digits an octet."""
        try:
            return cls(bytes.fromhex(pdu))
        except ValueError:
            raise PduError("not a whole number of hexadecimal octets") from None

    def octet(self, name: str) -> int:
        return self.take(1, name)[0]

    def take(self, count: int, name: str) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise PduError(f"{name}: {end - len(self._data)} octet(s) missing")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    @property
    def at_end(self) -> bool:
        return self._at == len(self._data)
