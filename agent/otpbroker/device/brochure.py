"""The sheet that comes with a unit: how to join its network, set it up and reset it, in Indonesian and English."""

import textwrap
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from otpbroker.device.qr_code import QrCode, wifi_text
from otpbroker.device.unit import Unit

_PAGES = Environment(
    loader=PackageLoader("otpbroker.device"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)

_COLUMN = 49.0  # mm
_WIDTH = 0.603  # of a sign, as a share of the height of the type; a little more than any common font's
_LARGEST = 4.2  # mm
_LONGEST = 30  # signs in a line, still 2.7 mm high


@dataclass(frozen=True, slots=True)
class Value:
    """Something to be typed, broken into lines that fit; `size` is the height of the type in mm."""

    lines: tuple[str, ...]
    size: float

    @classmethod
    def fitted(cls, text: str) -> "Value":
        rows = -(-len(text) // _LONGEST)
        signs = -(-len(text) // rows)
        size = min(_LARGEST, _COLUMN / ((signs if rows == 1 else _LONGEST) * _WIDTH))
        return cls(tuple(text[start : start + signs] for start in range(0, len(text), signs)), size)


def brochure_svg(unit: Unit) -> str:
    """A6 portrait, black on white, complete in itself."""
    return _PAGES.get_template("brochure.svg").render(
        wifi=QrCode(wifi_text(unit.ssid, unit.passphrase)),
        setup=QrCode(unit.setup_url),
        ssid=Value.fitted(unit.ssid),
        passphrase=Value.fitted(unit.passphrase),
        page=Value.fitted(f"{unit.admin_url}/setup"),
        setup_code=Value.fitted(unit.setup_code),
        reset_code=Value.fitted(unit.reset_code),
    )


def brochure_txt(unit: Unit) -> str:
    """The same for a console: light letters on a dark screen, as the QR codes need it."""
    wifi = QrCode(wifi_text(unit.ssid, unit.passphrase)).blocks()
    setup = QrCode(unit.setup_url).blocks()
    return (
        "OTP Broker\n\n"
        "1  Sambungkan ke Wi-Fi / Join the Wi-Fi\n\n"
        f"{textwrap.indent(wifi, '   ')}\n"
        f"   Nama / name                    {unit.ssid}\n"
        f"   Kata sandi / password          {unit.passphrase}\n\n"
        "2  Buka halaman penyiapan / Open the setup page\n\n"
        f"{textwrap.indent(setup, '   ')}\n"
        f"   Alamat / address               {unit.admin_url}/setup\n"
        f"   Kode penyiapan / setup code    {unit.setup_code}\n\n"
        "Simpan di tempat aman / Keep in a safe place\n\n"
        f"   Kode reset / reset code        {unit.reset_code}\n"
    )
