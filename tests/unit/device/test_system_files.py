"""All files that the system reads of the configuration: what they hold, and how they are put there."""

import stat
from pathlib import Path

import pytest
from units import PASSPHRASE, SSID, access_point

from otpbroker.config.document import parse, validate
from otpbroker.config.firewall import FirewallSection, Opening
from otpbroker.config.model import Administrator, AdminSection, ApiSection, Config, DeviceSection, Listener
from otpbroker.config.ssh import SshSection
from otpbroker.device.firewall import firewall_nft
from otpbroker.device.system_files import system_files, write_system_files
from otpbroker.errors import Misconfigured
from otpbroker.sealing import Sealer

HASH = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$" + "A" * 43
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGFuIGV4YW1wbGU6IG5vYm9keSBoYXMgdGhpcyBrZXku siti@office"
EVERYWHERE = "0.0.0.0"  # noqa: S104
OPEN = Config(
    access_point=access_point(),
    api=ApiSection(http=Listener(address=EVERYWHERE, port=8889), https=Listener(address=EVERYWHERE, port=10443)),
    admin=AdminSection(listen=Listener(address=EVERYWHERE, port=8888)),
)
OWNED = OPEN.model_copy(
    update={
        "admin": OPEN.admin.model_copy(update={"administrators": (Administrator(username="a", password=HASH),)})
    }
)


def _with_site(listen: Listener) -> Config:
    return OPEN.model_copy(update={"admin": OPEN.admin.model_copy(update={"listen": listen})})


class TestFirewall:
    def test_the_access_point_reaches_web_and_rest_and_ethernet_nothing(self) -> None:
        lines = firewall_nft(OPEN).splitlines()
        assert 'add element inet otpbroker access_point_interfaces { "ap0" }' in lines
        assert "add element inet otpbroker access_point_tcp { 8888, 8889, 10443 }" in lines
        assert [line for line in lines if line.startswith("add") and "ethernet" in line] == []

    def test_everything_is_emptied_first_so_that_what_is_closed_closes(self) -> None:
        lines = firewall_nft(Config()).splitlines()
        assert lines == [
            "flush set inet otpbroker access_point_interfaces",
            "flush set inet otpbroker access_point_tcp",
            "flush map inet otpbroker access_point_redirect",
            "flush set inet otpbroker ethernet_tcp",
            "flush set inet otpbroker ethernet_udp",
        ]

    @pytest.mark.parametrize("port", [8888, 9000])
    @pytest.mark.parametrize("address", [EVERYWHERE, OPEN.access_point.ip])
    def test_a_phone_that_looks_for_the_internet_is_led_to_the_admin_site_wherever_it_is(
        self, address: str, port: int
    ) -> None:
        text = firewall_nft(_with_site(Listener(address=address, port=port)))
        assert f"add element inet otpbroker access_point_redirect {{ 80 : {port} }}\n" in text

    @pytest.mark.parametrize(
        "site",
        [
            Listener(address=EVERYWHERE, port=80),
            Listener(address=EVERYWHERE, port=0),
            Listener(address="127.0.0.1", port=8888),
            Listener(address="10.1.2.3", port=8888),
            Listener(enabled=False, address=EVERYWHERE, port=8888),
        ],
    )
    def test_it_is_led_nowhere_where_no_other_port_answers(self, site: Listener) -> None:
        assert "add element inet otpbroker access_point_redirect" not in firewall_nft(_with_site(site))

    def test_a_listener_of_the_unit_itself_or_that_is_off_is_not_opened(self) -> None:
        api = OPEN.api.model_copy(update={"http": Listener(port=8889), "https": Listener(enabled=False, port=1)})
        text = firewall_nft(OPEN.model_copy(update={"api": api}))
        assert "access_point_tcp { 8888 }" in text

    def test_ethernet_gets_what_is_configured_each_once(self) -> None:
        ports = [Opening(port=22), Opening(port=10443), Opening(port=22), Opening(port=161, protocol="udp")]
        text = firewall_nft(Config(firewall=FirewallSection(ethernet=tuple(ports))))
        assert "ethernet_tcp { 22, 10443 }" in text
        assert "ethernet_udp { 161 }" in text


class TestConsole:
    def test_it_shows_how_to_join_while_nobody_has_set_the_unit_up(self) -> None:
        issue = system_files(OPEN, None)["issue"]
        for told in (SSID, PASSPHRASE, "http://192.168.0.11:8888/", "█"):
            assert told in issue

    def test_then_only_where_the_site_is(self) -> None:
        issue = system_files(OWNED, None)["issue"]
        assert "http://192.168.0.11:8888/" in issue
        for secret in (SSID, PASSPHRASE, "█"):
            assert secret not in issue

    def test_agetty_sees_no_escape_in_what_others_chose(self) -> None:
        section = access_point(ssid=r"\4\n", passphrase=r"\e[31m\\x")
        config = OPEN.model_copy(update={"access_point": section, "device": DeviceSection(name=r"\l")})
        lines = system_files(config, None)["issue"].splitlines()
        assert r"\\l" in lines
        assert any(line.endswith(r" \\4\\n") for line in lines)
        assert any(line.endswith(r" \\e[31m\\\\x") for line in lines)

    def test_without_an_access_point_agetty_fills_the_address_in(self) -> None:
        assert system_files(Config(), None)["issue"] == "\nOTP Broker   http://\\4:8888/\n\n"


def test_hostname_and_keys_are_one_line_each() -> None:
    config = Config(device=DeviceSection(hostname="Gateway-7"), ssh=SshSection(authorized_keys=(KEY, KEY)))
    files = system_files(config, None)
    assert files["hostname"] == "Gateway-7\n"
    assert files["authorized_keys"] == f"{KEY}\n{KEY}\n"
    assert "ssh-enabled" not in files


def test_ssh_is_on_only_when_it_is_switched_on() -> None:
    assert "ssh-enabled" in system_files(Config(ssh=SshSection(enabled=True)), None)


def test_without_an_access_point_its_programs_get_no_file() -> None:
    assert set(system_files(Config(), None)) == {"firewall.nft", "hostname", "issue", "authorized_keys"}


@pytest.mark.parametrize(
    "text",
    [
        'device: {hostname: "a\\nb"}',
        'device: {name: "a\\nb"}',
        f'ssh: {{authorized_keys: ["{KEY}\\nssh-rsa AAAA"]}}',
        f"ssh: {{authorized_keys: ['command=\"reboot\" {KEY}']}}",
        'access_point: {bridge: "ap0\\" }; flush ruleset #"}',
        "firewall: {ethernet: [{port: '22 }; flush ruleset'}]}",
    ],
)
def test_nothing_that_ends_its_place_gets_into_a_file(text: str) -> None:
    with pytest.raises(Misconfigured):
        validate(parse(text), Sealer(bytes(32)))


class TestWriting:
    def test_the_folder_and_its_files_are_roots_alone(self, tmp_path: Path) -> None:
        folder = tmp_path / "system"
        write_system_files(folder, system_files(OPEN, None))
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}

    def test_a_folder_that_others_could_read_is_closed(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o755)
        write_system_files(tmp_path, {"hostname": "x\n"})
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700

    def test_what_is_switched_off_disappears_and_what_is_not_ours_stays(self, tmp_path: Path) -> None:
        (tmp_path / "other").touch()
        write_system_files(tmp_path, system_files(OPEN, None) | {"ssh-enabled": ""})
        assert (tmp_path / "hostapd.conf").exists()
        write_system_files(tmp_path, system_files(Config(), None))
        left = {path.name for path in tmp_path.iterdir()}
        assert left == {"firewall.nft", "hostname", "issue", "authorized_keys", "other"}
