"""What hostapd, dnsmasq and NetworkManager are told; their own parsers read it in the integration tests."""

from pathlib import Path

import pytest
from units import AWKWARD_PASSPHRASE, AWKWARD_SSID, access_point

from otpbroker.config.access_point import AccessPointSection
from otpbroker.device.access_point import (
    choose_security,
    connection_file,
    dnsmasq_conf,
    hostapd_conf,
    radio_driver,
)

# What a section would be if the configuration had not been validated.
EVIL = "x\nssid=evil\r\naddress=/#/6.6.6.6"


def settings(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


class TestSecurity:
    @pytest.mark.parametrize(
        ("configured", "driver", "chosen"),
        [
            ("auto", "brcmfmac", "wpa2"),
            ("auto", None, "wpa2"),
            ("auto", "mt76x2u", "wpa2-wpa3"),
            ("auto", "mac80211_hwsim", "wpa2-wpa3"),
            ("wpa2", "mt76x2u", "wpa2"),
            ("wpa2-wpa3", "brcmfmac", "wpa2-wpa3"),
        ],
    )
    def test_it_is_as_configured_or_as_the_driver_can(
        self, configured: str, driver: str | None, chosen: str
    ) -> None:
        assert choose_security(access_point(security=configured), driver) == chosen

    def test_the_driver_is_the_kernels(self, tmp_path: Path) -> None:
        (tmp_path / "drivers/brcmfmac").mkdir(parents=True)
        (tmp_path / "net/wlan0/device").mkdir(parents=True)
        (tmp_path / "net/wlan0/device/driver").symlink_to(tmp_path / "drivers/brcmfmac")
        assert radio_driver("wlan0", tmp_path / "net") == "brcmfmac"
        assert radio_driver("wlan1", tmp_path / "net") is None


class TestHostapd:
    def test_wpa3_is_offered_beside_wpa2_and_wants_protected_frames(self) -> None:
        found = settings(hostapd_conf(access_point(), "wpa2-wpa3"))
        assert found["wpa_key_mgmt"] == "WPA-PSK SAE"
        assert (found["ieee80211w"], found["sae_require_mfp"]) == ("1", "1")

    def test_a_radio_without_sae_is_told_nothing_of_it(self) -> None:
        text = hostapd_conf(access_point(), "wpa2")
        assert settings(text)["wpa_key_mgmt"] == "WPA-PSK"
        assert "sae" not in text.lower()
        assert "80211w" not in text

    def test_only_wpa2_with_ccmp_no_wps_and_phones_are_apart(self) -> None:
        found = settings(hostapd_conf(access_point(), "wpa2"))
        assert (found["wpa"], found["rsn_pairwise"], found["ap_isolate"]) == ("2", "CCMP", "1")
        assert not {"wps_state", "wpa_pairwise", "wep_default_key"} & found.keys()

    def test_the_regulator_and_the_bridge_are_known(self) -> None:
        found = settings(hostapd_conf(access_point(country="MY", channel=11, interface="wlan1"), "wpa2"))
        assert (found["country_code"], found["ieee80211d"], found["hw_mode"]) == ("MY", "1", "g")
        assert (found["channel"], found["interface"], found["bridge"]) == ("11", "wlan1", "ap0")

    def test_names_and_passphrases_of_any_signs_arrive_as_they_are(self) -> None:
        text = hostapd_conf(access_point(ssid=AWKWARD_SSID, passphrase=AWKWARD_PASSPHRASE), "wpa2")
        found = settings(text)
        assert bytes.fromhex(found["ssid2"]).decode() == AWKWARD_SSID
        assert found["wpa_passphrase"] == AWKWARD_PASSPHRASE
        assert len(text.splitlines()) == len(hostapd_conf(access_point(), "wpa2").splitlines())

    @pytest.mark.parametrize("field", ["ssid", "passphrase", "interface", "bridge", "country"])
    def test_nothing_with_a_line_end_gets_so_far(self, field: str) -> None:
        with pytest.raises(ValueError, match=field):
            hostapd_conf(access_point(**{field: EVIL}), "wpa2")


class TestDnsmasq:
    def test_it_leases_the_range_on_the_bridge_alone(self) -> None:
        lines = dnsmasq_conf(access_point(), "otpbroker").splitlines()
        assert "interface=ap0" in lines
        assert "dhcp-range=192.168.0.100,192.168.0.200,255.255.255.0,43200" in lines
        assert "no-resolv" in lines
        assert not any(line.startswith("server=") for line in lines)

    def test_the_units_names_and_the_checks_of_phones_lead_to_it(self) -> None:
        lines = dnsmasq_conf(access_point(address="192.168.0.12/24"), "Gateway-7").splitlines()
        names = ("gateway-7", "gateway-7.local", "otpbroker.local", "captive.apple.com", "www.msftconnecttest.com")
        for name in names:
            assert f"address=/{name}/192.168.0.12" in lines

    def test_no_other_name_does(self) -> None:
        assert "address=/#/" not in dnsmasq_conf(access_point(), "otpbroker")

    @pytest.mark.parametrize("field", ["bridge", "address", "dhcp_first", "dhcp_last"])
    def test_nothing_with_a_line_end_gets_so_far(self, field: str) -> None:
        with pytest.raises(ValueError, match=field):
            dnsmasq_conf(access_point(**{field: EVIL}), "otpbroker")


class TestConnection:
    def test_the_address_is_on_the_bridge_and_no_way_out(self) -> None:
        text = connection_file(access_point())
        assert "[ipv4]\nmethod=manual\naddress1=192.168.0.11/24\nnever-default=true\n" in text
        assert "interface-name=ap0\n" in text

    def test_it_is_the_same_connection_whatever_its_address(self) -> None:
        other = AccessPointSection(address="10.0.0.1/24", dhcp_first="10.0.0.2", dhcp_last="10.0.0.9")
        uuids = {settings(connection_file(section))["uuid"] for section in (access_point(), other)}
        assert len(uuids) == 1

    @pytest.mark.parametrize("field", ["bridge", "address"])
    def test_nothing_with_a_line_end_gets_so_far(self, field: str) -> None:
        with pytest.raises(ValueError, match=field):
            connection_file(access_point(**{field: EVIL}))
