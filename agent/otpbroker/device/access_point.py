"""The unit's own network as hostapd (radio), NetworkManager (address) and dnsmasq (leases, names) read it.

hostapd puts the radio into a bridge, and NetworkManager owns the address on that bridge: neither touches what the
other holds. Every value was validated by the configuration, so none of them can end its line.
"""

from pathlib import Path
from typing import Literal

from otpbroker.config.access_point import AccessPointSection
from otpbroker.device.captive import CHECKED_HOSTS

Security = Literal["wpa2", "wpa2-wpa3"]

# Drivers whose firmware does not do SAE as an access point: with it in hostapd.conf the network would not come up.
_WITHOUT_SAE = frozenset({"brcmfmac"})

_CONNECTION = "6b1ff9bf-6cf4-4b46-a5e1-2f3a1f2c7d11"  # one connection on every unit, so that nmcli finds it


def radio_driver(interface: str, network: Path = Path("/sys/class/net")) -> str | None:
    """The kernel driver of an interface, `None` while it is not there."""
    try:
        return (network / interface / "device" / "driver").resolve(strict=True).name
    except OSError:
        return None


def choose_security(section: AccessPointSection, driver: str | None) -> Security:
    """As configured; `auto` is what the radio does, and for a radio that is not there (yet) what all of them do."""
    match section.security:
        case "auto":
            return "wpa2" if driver is None or driver in _WITHOUT_SAE else "wpa2-wpa3"
        case chosen:
            return chosen


def hostapd_conf(section: AccessPointSection, security: Security) -> str:
    """The file `hostapd.conf` of an enabled access point."""
    assert section.ssid is not None
    assert section.passphrase is not None
    mixed = security == "wpa2-wpa3"
    return _lines(
        f"interface={section.interface}",
        f"bridge={section.bridge}",
        "driver=nl80211",
        "ctrl_interface=/run/hostapd",
        "ctrl_interface_group=0",
        f"country_code={section.country}",
        "ieee80211d=1",
        "hw_mode=g",
        f"channel={section.channel}",
        "ieee80211n=1",
        "wmm_enabled=1",
        f"ssid2={section.ssid.encode().hex()}",  # hexadecimal: no sign of a name means anything there
        "utf8_ssid=1",
        "ap_isolate=1",
        "auth_algs=1",
        "wpa=2",
        f"wpa_key_mgmt={'WPA-PSK SAE' if mixed else 'WPA-PSK'}",
        "rsn_pairwise=CCMP",
        *(("ieee80211w=1", "sae_require_mfp=1", "sae_pwe=2") if mixed else ()),
        f"wpa_passphrase={section.passphrase.get_secret_value()}",
    )


def dnsmasq_conf(section: AccessPointSection, hostname: str) -> str:
    """The file for `dnsmasq --conf-file`: leases on the bridge, and the few names that a phone asks for there."""
    ip, mask = section.ip, section.network.netmask
    names = dict.fromkeys((hostname.lower(), f"{hostname.lower()}.local", "otpbroker.local", *CHECKED_HOSTS))
    return _lines(
        f"interface={section.bridge}",
        "except-interface=lo",
        "bind-dynamic",
        "port=53",
        "no-resolv",
        "no-hosts",
        "no-poll",
        "local-ttl=60",
        *(f"address=/{name}/{ip}" for name in names),
        "dhcp-authoritative",
        f"dhcp-range={section.dhcp_first},{section.dhcp_last},{mask},{section.dhcp_lease}",
        # Without a router Android takes the lease for a failed one; the unit forwards nothing all the same.
        f"dhcp-option=option:router,{ip}",
        f"dhcp-option=option:dns-server,{ip}",
    )


def connection_file(section: AccessPointSection) -> str:
    """NetworkManager's keyfile of the bridge."""
    return _lines(
        "[connection]",
        "id=access-point",
        f"uuid={_CONNECTION}",
        "type=bridge",
        f"interface-name={section.bridge}",
        "autoconnect=true",
        "",
        "[bridge]",
        "stp=false",
        "",
        "[ipv4]",
        "method=manual",
        f"address1={section.address}",
        "never-default=true",
        "",
        "[ipv6]",
        "method=disabled",
    )


def _lines(*lines: str) -> str:
    return "\n".join(lines) + "\n"
