"""Lines as a modem writes them."""

from collections.abc import Iterable


def block(lines: Iterable[str]) -> bytes:
    """`<CR><LF>` before the first line and after each one (V.250 section 5.7.1)."""
    return "\r\n{}\r\n".format("\r\n".join(lines)).encode("ascii", "replace")
