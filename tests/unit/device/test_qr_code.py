"""QR codes: the text that phones understand, drawn without a flaw."""

import re

import pytest
from units import AWKWARD_PASSPHRASE, AWKWARD_SSID

from otpbroker.device.qr_code import QrCode, wifi_text


@pytest.mark.parametrize(
    ("ssid", "passphrase", "text"),
    [
        ("OTP-Broker-7KQM", "abcd-2345", "WIFI:T:WPA;S:OTP-Broker-7KQM;P:abcd-2345;;"),
        ('a;b,c:d"e\\f', "\\;,:\"'", r"""WIFI:T:WPA;S:a\;b\,c\:d\"e\\f;P:\\\;\,\:\"';;"""),
        ("Warung é", "12345678", "WIFI:T:WPA;S:Warung é;P:12345678;;"),
    ],
)
def test_the_text_of_a_network_escapes_what_separates_its_fields(ssid: str, passphrase: str, text: str) -> None:
    assert wifi_text(ssid, passphrase) == text


def _modules_of_path(code: QrCode) -> set[tuple[int, int]]:
    drawn: set[tuple[int, int]] = set()
    for x, y, width in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\d+z", code.path()):
        drawn |= {(int(x) + step, int(y)) for step in range(int(width))}
    return drawn


def _modules_of_blocks(code: QrCode) -> set[tuple[int, int]]:
    """The dark ones, which are what the screen leaves dark."""
    dark: set[tuple[int, int]] = set()
    light = {"█": (True, True), "▀": (True, False), "▄": (False, True), " ": (False, False)}
    for row, line in enumerate(code.blocks().splitlines()):
        for x, sign in enumerate(line):
            dark |= {(x, 2 * row + lower) for lower in (0, 1) if not light[sign][lower]}
    return dark


def test_the_path_and_the_blocks_show_the_same_code_with_its_quiet_zone() -> None:
    code = QrCode(wifi_text(AWKWARD_SSID, AWKWARD_PASSPHRASE))
    path = _modules_of_path(code)
    height = code.side - 2 * code.quiet
    blocks = {(x + 2, y + 2) for x, y in _modules_of_blocks(code) if y < height + 2 * 2}
    assert path == blocks
    assert min(map(min, path)) == code.quiet
    assert max(map(max, path)) == code.side - code.quiet - 1


def test_the_lines_of_blocks_are_equally_long() -> None:
    lines = QrCode("x").blocks().splitlines()
    assert len({len(line) for line in lines}) == 1
    assert 2 * len(lines) >= len(lines[0])
