"""The sections that reach other programs: every value is one that cannot leave its place in their files."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from otpbroker.config.access_point import AccessPointSection
from otpbroker.config.country import COUNTRIES, highest_channel
from otpbroker.config.document import dump, dump_clear, parse, salvage, validate
from otpbroker.config.model import DeviceSection
from otpbroker.config.ssh import SshSection
from otpbroker.sealing import Sealer

SEALER = Sealer(bytes(32))
GOOD = "enabled: true, ssid: OTP-Broker-7KQM, passphrase: abcd-2345-efgh, country: ID"
ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGFuIGV4YW1wbGU6IG5vYm9keSBoYXMgdGhpcyBrZXku"
TIME_ZONES = Path("/usr/share/zoneinfo/iso3166.tab")

UNPRINTABLE = st.characters(max_codepoint=31) | st.sampled_from("\x7f\x85\u2028\u2029\u200b\ufeff")


def problems(text: str) -> list[tuple[str, str]]:
    _, found = salvage(parse(text), SEALER, None)
    return [(problem.place, problem.detail) for problem in found]


def access_point(**changes: object) -> AccessPointSection:
    given = {"enabled": True, "ssid": "Net", "passphrase": "abcd-2345", "country": "ID"}
    return AccessPointSection.model_validate(given | changes)


def test_by_itself_there_is_none_and_nothing_is_open() -> None:
    config = validate(parse(""), SEALER)
    assert not config.access_point.enabled
    assert not config.access_point.made
    assert config.firewall.ethernet == ()
    assert not config.ssh.enabled


def test_a_good_one_passes() -> None:
    assert validate(parse(f"access_point: {{{GOOD}}}"), SEALER).access_point == access_point(
        ssid="OTP-Broker-7KQM", passphrase="abcd-2345-efgh"
    )


def test_what_an_enabled_one_lacks_is_told_all_at_once_with_the_remedy() -> None:
    found = problems("access_point: {enabled: true}")
    assert [place for place, _ in found] == [f"access_point.{name}" for name in ("ssid", "passphrase", "country")]
    assert all("set enabled: false" in detail for _, detail in found)


@pytest.mark.parametrize(
    ("setting", "place", "words"),
    [
        ("interface: lo", "interface", "such as wlan0"),
        ("interface: 'wlan0 ap0'", "interface", "such as wlan0"),
        ("interface: ../../etc", "interface", "such as wlan0"),
        ("interface: averylonginterface", "interface", "such as wlan0"),
        ("bridge: wlan0", "bridge", "the radio itself"),
        ("ssid: ''", "ssid", "1 to 32 octets"),
        ("ssid: ' Net'", "ssid", "outer spaces"),
        ("ssid: 'ééééééééééééééééé'", "ssid", "1 to 32 octets"),
        ("passphrase: seven77", "passphrase", "8 to 63"),
        ("passphrase: 'kata sandi é'", "passphrase", "ASCII"),
        ("country: UK", "country", "for example ID"),
        ("country: id", "country", "for example ID"),
        ("country: '00'", "country", "for example ID"),
        ("channel: 0", "channel", "greater than or equal to 1"),
        ("channel: 14", "channel", "less than or equal to 13"),
        ("country: US, channel: 12", "channel", "not allowed in US; take 1 to 11"),
        ("security: wep", "security", "wpa2"),
        ("address: 192.168.0.11", "address", "with its prefix length"),
        ("address: 192.168.0.11/30", "address", "leaves no room"),
        ("address: 192.168.0.0/24", "address", "the subnet itself"),
        ("address: 192.168.0.255/24", "address", "broadcast"),
        ("address: 8.8.8.8/24", "address", "private"),
        ("address: 127.0.0.1/8", "address", "private"),
        ("address: 'fe80::1/64'", "address", "IPv4"),
        ("address: here", "address", "192.168.0.11/24"),
        ("dhcp_first: 192.168.1.100", "dhcp_first", "in 192.168.0.0/24"),
        ("dhcp_first: 192.168.0.0", "dhcp_first", "take one from 192.168.0.1 to 192.168.0.254"),
        ("dhcp_last: 192.168.0.255", "dhcp_last", "in 192.168.0.0/24"),
        ("dhcp_first: 192.168.0.11", "dhcp_first", "own address"),
        ("dhcp_last: 192.168.0.99", "dhcp_last", "before dhcp_first"),
        ("dhcp_first: 192.168.0.2", "dhcp_last", "leases 192.168.0.11 too"),
        ("dhcp_last: somewhere", "dhcp_last", "IPv4"),
        ("dhcp_lease: 60", "dhcp_lease", "120"),
    ],
)
def test_a_mistake_is_told_by_its_place_with_what_would_be_right(setting: str, place: str, words: str) -> None:
    ((found, detail),) = problems(f"access_point: {{{setting}}}")
    assert found == f"access_point.{place}"
    assert words in detail


def test_another_subnet_wants_another_range() -> None:
    """The defaults of the range belong to the default address: they are told, not leased."""
    found = problems("access_point: {address: 10.1.2.3/24}")
    assert [place for place, _ in found] == ["access_point.dhcp_first", "access_point.dhcp_last"]
    assert problems("access_point: {address: 10.1.2.3/24, dhcp_first: 10.1.2.9, dhcp_last: 10.1.2.99}") == []


def test_the_channels_of_a_country_are_the_kernels() -> None:
    assert [highest_channel(country) for country in ("ID", "MY", "SG", "US", "CA", "AO")] == [
        13,
        13,
        13,
        11,
        13,
        11,
    ]
    assert access_point(country="ID", channel=13).channel == 13


@pytest.mark.skipif(not TIME_ZONES.exists(), reason="tzdata lists the codes")
def test_the_countries_are_those_of_iso_3166() -> None:
    lines = TIME_ZONES.read_text().splitlines()
    assert {line.split("\t")[0] for line in lines if not line.startswith("#")} == COUNTRIES


@pytest.mark.parametrize("field", ["ssid", "passphrase", "interface", "bridge", "country", "address", "dhcp_first"])
@settings(deadline=None)  # a shared machine may stop for a while
@given(sign=UNPRINTABLE, place=st.integers(0, 10))
def test_no_line_end_or_control_character_passes(field: str, sign: str, place: int) -> None:
    value = {"ssid": "OTP-Broker", "passphrase": "abcd-2345-x", "interface": "wlan0", "bridge": "ap0"}.get(
        field, ""
    )
    value = value or {"country": "ID", "address": "192.168.0.11/24", "dhcp_first": "192.168.0.100"}[field]
    spoilt = value[:place] + sign + value[place:]
    with pytest.raises(ValidationError) as refused:
        access_point(**{field: spoilt})
    assert refused.value.errors()[0]["loc"] == (field,)


@settings(deadline=None)  # a shared machine may stop for a while
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=8, max_size=63))
def test_every_passphrase_of_the_standard_passes_and_reads_back(passphrase: str) -> None:
    config = validate({"access_point": {"passphrase": passphrase}}, SEALER)
    for text in (dump(config, SEALER), dump_clear(config)):
        assert validate(parse(text), SEALER) == config


def test_the_passphrase_is_sealed_on_disk_and_shows_nowhere_else() -> None:
    config = validate(parse(f"access_point: {{{GOOD}}}"), SEALER)
    assert "2345" not in dump(config, SEALER) + repr(config) + config.model_dump_json()
    assert "2345" in dump_clear(config)
    assert validate(parse(dump(config, SEALER)), SEALER).access_point.passphrase == SecretStr("abcd-2345-efgh")


@pytest.mark.parametrize("hostname", ["a.b", "-a", "a-", "", "a" * 64, "a\nb", "ü", "localhost", "a b", "a\n"])
def test_a_hostname_is_one_label(hostname: str) -> None:
    with pytest.raises(ValidationError):
        DeviceSection(hostname=hostname)
    assert DeviceSection(hostname="OTP-7").hostname == "OTP-7"


class TestAuthorizedKeys:
    def test_a_public_key_with_its_comment_passes(self) -> None:
        keys = (ED25519, f"{ED25519} siti@office")
        assert SshSection(authorized_keys=keys).authorized_keys == keys

    @pytest.mark.parametrize(
        "line",
        [
            "",
            "ssh-ed25519",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5",
            f"no-pty {ED25519}",
            f'command="reboot" {ED25519}',
            f"{ED25519}\n{ED25519}",
            f"{ED25519} a\rb",
            f"{ED25519} a\u2028b",
            f" {ED25519}",
            ED25519.replace("ssh-ed25519", "ssh-rsa"),
            ED25519.replace("ssh-ed25519", "ssh-dss"),
            "-----BEGIN OPENSSH PRIVATE KEY-----",
        ],
    )
    def test_anything_else_is_refused(self, line: str) -> None:
        with pytest.raises(ValidationError):
            SshSection(authorized_keys=(line,))


@pytest.mark.parametrize(
    "opening", ["{port: 0}", "{port: 65536}", "{port: 22, protocol: icmp}", "{port: 22, from: 10.0.0.0/8}", "22"]
)
def test_an_opening_is_a_port_and_a_protocol(opening: str) -> None:
    assert len(problems(f"firewall: {{ethernet: [{opening}]}}")) == 1


@pytest.mark.parametrize(
    "place", ["device: {reset_code: 7KQM-7KQM-7KQM-7KQM}", "admin: {setup_code: 7KQM-7KQM-7KQM}"]
)
def test_a_code_in_clear_is_refused_without_repeating_it(place: str) -> None:
    ((_, detail),) = problems(place)
    assert "new-unit" in detail
    assert "7KQM" not in detail
