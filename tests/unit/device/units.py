"""Units and sections that several tests use."""

from otpbroker.config.access_point import AccessPointSection
from otpbroker.device.unit import Unit

SSID = "OTP-Broker-7KQM"
PASSPHRASE = "abcd-2345-efgh-6789"

# Everything that means something to one of the files: QR text, XML, agetty, YAML, hostapd.
AWKWARD_SSID = 'a;b,c:"d\\e &<Toko>'
AWKWARD_PASSPHRASE = "p;a,s:s\"w\\o'r&d<#> {x} %s $1"


def access_point(**changes: object) -> AccessPointSection:
    """An enabled one."""
    given = {"enabled": True, "ssid": SSID, "passphrase": PASSPHRASE, "country": "ID"}
    return AccessPointSection.model_validate(given | changes)


def unit(ssid: str = SSID, passphrase: str = PASSPHRASE) -> Unit:
    return Unit(ssid, passphrase, "ABCD-EFGH-JKLM", "2222-3333-4444-5555", "http://192.168.0.11:8888")
