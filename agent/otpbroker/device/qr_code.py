"""QR codes of the texts that a phone acts on, as vector path and as blocks for a console."""

from io import StringIO

import segno

_QUIET = 4  # modules of light around the code (ISO/IEC 18004, section 9.1)
_CONSOLE_QUIET = 2  # enough for phones, and two lines are much on a small screen
_SPECIAL = '\\;,":'


class QrCode:
    """One QR code; `side` is its width in modules with the `quiet` zone around it."""

    quiet = _QUIET

    def __init__(self, text: str) -> None:
        self._code = segno.make_qr(text, error="m", encoding="utf-8")
        self.side = self._code.symbol_size(border=_QUIET)[0]

    def path(self) -> str:
        """The dark modules as SVG path data, one unit a module, without gaps between neighbours."""
        runs: list[str] = []
        for y, row in enumerate(self._code.matrix, _QUIET):
            x = 0
            while x < len(row):
                start = x
                while x < len(row) and row[x] == row[start]:
                    x += 1
                if row[start]:
                    runs.append(f"M{start + _QUIET} {y}h{x - start}v1h{start - x}z")
        return "".join(runs)

    def blocks(self) -> str:
        """Lines of half blocks, two modules high, for light letters on a dark screen."""
        lines = StringIO()
        self._code.terminal(lines, border=_CONSOLE_QUIET, compact=True)
        return lines.getvalue()


def wifi_text(ssid: str, passphrase: str) -> str:
    """What makes a phone join the network; WPA stands for WPA2 and WPA3 too, other words are not understood."""
    return f"WIFI:T:WPA;S:{_escaped(ssid)};P:{_escaped(passphrase)};;"


def _escaped(value: str) -> str:
    return "".join(f"\\{sign}" if sign in _SPECIAL else sign for sign in value)
