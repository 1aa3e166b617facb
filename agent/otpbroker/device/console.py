"""What the unit's own screen shows above the log-in prompt."""

from otpbroker.config.model import Config
from otpbroker.device.qr_code import QrCode, wifi_text


def issue(config: Config) -> str:
    """The text for agetty's /etc/issue.d: how to join while nobody has set the unit up, then the address alone.

    agetty puts the address of the first interface that has one in place of `\\4`.
    """
    access_point = config.access_point
    host = access_point.ip if access_point.enabled else r"\4"
    address = f"http://{host}:{config.admin.listen.port}/"
    name = _literal(config.device.name)
    if config.admin.administrators or not access_point.enabled:
        return f"\n{name}   {address}\n\n"
    assert access_point.ssid is not None
    assert access_point.passphrase is not None
    ssid, passphrase = access_point.ssid, access_point.passphrase.get_secret_value()
    return (
        f"\n{name}\n\n"
        f"{QrCode(wifi_text(ssid, passphrase)).blocks()}\n"
        f"  Wi-Fi                   {_literal(ssid)}\n"
        f"  Kata sandi / password   {_literal(passphrase)}\n"
        f"  Lalu buka / then open   {address}\n"
        "  Kode penyiapan / setup code: lihat brosur / see the brochure\n\n"
    )


def _literal(text: str) -> str:
    """Text in which agetty sees no escape."""
    return text.replace("\\", "\\\\")
