"""`otpbroker system-config`: what it writes is what the programs of the system read."""

import asyncio
import re
import stat
import subprocess
import sys
from pathlib import Path

import yaml
from appliance import alone, command, environment, run

EVERYWHERE = "0.0.0.0"  # noqa: S104
SSID, PASSPHRASE = "OTP-Broker-7KQM", "abcd-2345-efgh-6789"
# Everything that means something to a shell, to YAML, to QR texts or to a line of settings.
AWKWARD_SSID = 'a;b,c:"d\\e &<Toko> é'
AWKWARD_PASSPHRASE = " p;a,s:s\"w\\o'r&d<#> {x} %s $1 # ="

RULESET = Path(__file__).parents[2] / "ansible/roles/firewall/files/nftables.conf"

pytestmark = alone


def system_config(state: Path, out: Path) -> subprocess.CompletedProcess[str]:
    words = ["system-config", "--out", str(out), "--state", str(state)]
    return subprocess.run(
        [sys.executable, "-m", "otpbroker", *words], capture_output=True, text=True, timeout=30, check=False
    )


def document(ssid: str = SSID, passphrase: str = PASSPHRASE, **changes: object) -> dict[str, object]:
    section = {"enabled": True, "ssid": ssid, "passphrase": passphrase, "country": "ID"}
    listeners = {"http": {"address": EVERYWHERE, "port": 8889}, "https": {"address": EVERYWHERE, "port": 10443}}
    return {
        "access_point": section | changes,
        "api": listeners,
        "admin": {"listen": {"address": EVERYWHERE, "port": 8888}},
        "firewall": {"ethernet": [{"port": 10443}, {"port": 22}, {"port": 161, "protocol": "udp"}]},
    }


def written(folder: Path, content: dict[str, object]) -> Path:
    """The folder with the files of this configuration."""
    state, out = folder / "state", folder / "out"
    state.mkdir(exist_ok=True)
    (state / "config.yaml").write_text(yaml.safe_dump(content, allow_unicode=True))
    done = system_config(state, out)
    assert (done.returncode, done.stderr) == (0, "")
    return out


class TestHostapd:
    """hostapd has no dry run; its build-in driver without a radio reads the file and starts all the same."""

    async def started(self, file: Path) -> str:
        """All it says until it is up, or gives up, with keys in clear."""
        text = re.sub(r"^(driver=nl80211|bridge=.*)$", "driver=none", file.read_text("utf-8"), flags=re.MULTILINE)
        text = text.replace("/run/hostapd", str(file.parent / "control"))
        dry = file.with_name("dry.conf")
        dry.write_text(text)
        process = await asyncio.create_subprocess_exec(
            *command("usr/sbin/hostapd", "-dd", "-K", dry),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=environment(),
        )
        assert process.stdout is not None
        said = ""
        try:
            async with asyncio.timeout(20):
                while line := await process.stdout.readline():
                    said += line.decode("utf-8", "replace")
                    if "AP-ENABLED" in said:
                        break
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
        return said

    async def test_it_starts_with_the_very_name_and_passphrase(self, tmp_path: Path) -> None:
        """All at once: without a kernel's answer it waits five seconds for its country's rules."""
        networks = [(SSID, PASSPHRASE), (AWKWARD_SSID, AWKWARD_PASSPHRASE), ("x" * 32, "y" * 63)]
        cases = [(*network, security) for network in networks for security in ("wpa2", "wpa2-wpa3")]
        files = []
        for number, (ssid, passphrase, security) in enumerate(cases):
            (tmp_path / str(number)).mkdir()
            out = written(tmp_path / str(number), document(ssid, passphrase, security=security))
            files.append(out / "hostapd.conf")
        for (ssid, passphrase, _), said in zip(cases, await asyncio.gather(*map(self.started, files)), strict=True):
            assert "AP-ENABLED" in said, said
            assert _hexdump(said, "SSID - hexdump_ascii") == ssid.encode()
            assert _hexdump(said, "PSK (ASCII passphrase) - hexdump_ascii") == passphrase.encode()

    async def test_a_setting_that_it_does_not_know_would_be_noticed(self, tmp_path: Path) -> None:
        file = written(tmp_path, document()) / "hostapd.conf"
        file.write_text(file.read_text() + "sae_require_mpf=1\n")
        assert "unknown configuration item 'sae_require_mpf'" in await self.started(file)


def _hexdump(said: str, title: str) -> bytes:
    """The octets of one of hostapd's dumps: indented lines of up to sixteen pairs of digits."""
    _, found, rest = said.partition(title)
    assert found, said
    octets = b""
    for line in rest.splitlines()[1:]:
        pairs = re.match(r" +((?:[0-9a-f]{2} ){1,16})", line)
        if pairs is None:
            break
        octets += bytes.fromhex(pairs[1])
    return octets


class TestDnsmasq:
    def test_it_takes_the_file(self, tmp_path: Path) -> None:
        out = written(tmp_path, document(address="10.1.2.3/22", dhcp_first="10.1.1.1", dhcp_last="10.1.1.250"))
        done = run("usr/sbin/dnsmasq", "--test", f"--conf-file={out / 'dnsmasq.conf'}")
        assert (done.returncode, done.stderr) == (0, "dnsmasq: syntax check OK.\n")

    def test_a_phone_gets_the_units_names_and_the_checks_and_no_other(self, tmp_path: Path) -> None:
        file = written(tmp_path, document()) / "dnsmasq.conf"
        own = ("otpbroker.local", "otpbroker", "captive.apple.com", "connectivitycheck.gstatic.com")
        program = Path(__file__).with_name("phone_asks_dnsmasq.py")
        dnsmasq = command("usr/sbin/dnsmasq")[-1]
        done = run(sys.executable, program, dnsmasq, file, *own, "www.apple.com", "evil.example")
        assert done.stdout.splitlines() == ["0 192.168.0.11"] * len(own) + ["5 -"] * 2, done.stderr  # 5: refused

    def test_a_line_that_it_does_not_know_would_be_noticed(self, tmp_path: Path) -> None:
        file = written(tmp_path, document()) / "dnsmasq.conf"
        file.write_text(file.read_text() + "dhcp-rang=1\n")
        assert run("usr/sbin/dnsmasq", "--test", f"--conf-file={file}").returncode != 0


class TestNetworkManager:
    def read(self, file: Path, *settings: str) -> subprocess.CompletedProcess[str]:
        """The keyfile as nmcli reads it, writes it again, with settings changed."""
        return run("usr/bin/nmcli", "--offline", "connection", "modify", *settings, text=file.read_text())

    def test_it_takes_the_keyfile_and_changes_the_address(self, tmp_path: Path) -> None:
        file = written(tmp_path, document()) / "access-point.nmconnection"
        done = self.read(file, "ipv4.addresses", "192.168.7.1/24")
        assert done.returncode == 0, done.stderr
        assert "address1=192.168.7.1/24" in done.stdout
        for line in ("type=bridge", "interface-name=ap0", "method=manual", "never-default=true", "method=disabled"):
            assert line in done.stdout.splitlines()

    def test_a_file_that_it_does_not_take_would_be_noticed(self, tmp_path: Path) -> None:
        file = written(tmp_path, document()) / "access-point.nmconnection"
        file.write_text(file.read_text().replace("address1=192.168.0.11/24\n", ""))
        assert "ipv4.addresses" in self.read(file, "connection.id", "x").stderr


class TestNftables:
    def load(self, *files: Path) -> str:
        """The table after these files were loaded one after another, the last of them twice."""
        loads = " && ".join(f"nft -f '{file}'" for file in (RULESET, *files, files[-1]))
        done = run("sh", "-c", f"{loads} && nft list table inet otpbroker")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def elements(self, table: str, name: str) -> set[str]:
        body = re.split(rf"(?:set|map) {name} {{", table)[1].partition("\n\t}")[0]
        listed = re.search(r"elements = \{(.*?)\}", body, re.DOTALL)
        return {element.strip() for element in listed[1].split(",")} if listed else set()

    def test_the_sets_hold_what_is_open(self, tmp_path: Path) -> None:
        table = self.load(written(tmp_path, document()) / "firewall.nft")
        assert self.elements(table, "access_point_interfaces") == {'"ap0"'}
        assert self.elements(table, "access_point_tcp") == {"8888", "8889", "10443"}
        assert self.elements(table, "ethernet_tcp") == {"22", "10443"}
        assert self.elements(table, "ethernet_udp") == {"161"}

    def test_a_phone_that_looks_for_the_internet_is_led_to_the_admin_site_of_now(self, tmp_path: Path) -> None:
        (tmp_path / "later").mkdir()
        site = {"admin": {"listen": {"address": EVERYWHERE, "port": 9000}}}
        first = written(tmp_path, document()) / "firewall.nft"
        later = written(tmp_path / "later", document() | site) / "firewall.nft"
        assert self.elements(self.load(first), "access_point_redirect") == {"80 : 8888"}
        assert self.elements(self.load(first, later), "access_point_redirect") == {"80 : 9000"}

    def test_what_is_no_longer_configured_is_closed(self, tmp_path: Path) -> None:
        (tmp_path / "later").mkdir()
        opened = written(tmp_path, document()) / "firewall.nft"
        closed = written(tmp_path / "later", {"firewall": {"ethernet": [{"port": 443}]}}) / "firewall.nft"
        table = self.load(opened, closed)
        assert self.elements(table, "ethernet_tcp") == {"443"}
        for name in ("access_point_interfaces", "access_point_tcp", "access_point_redirect", "ethernet_udp"):
            assert self.elements(table, name) == set()

    def test_a_check_passes_where_the_ruleset_declares_the_sets(self, tmp_path: Path) -> None:
        file = written(tmp_path, document()) / "firewall.nft"
        (tmp_path / "both.nft").write_text(RULESET.read_text() + file.read_text())
        assert run("nft", "-c", "-f", tmp_path / "both.nft").returncode == 0
        assert run("nft", "-c", "-f", file).returncode != 0


def test_the_folder_is_for_root_alone(tmp_path: Path) -> None:
    out = written(tmp_path, document())
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()} == {0o600}


def test_the_sections_of_the_manual_are_good(tmp_path: Path) -> None:
    manual = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    (example,) = re.findall(r"```yml\n(.*?)```", manual, re.DOTALL)
    hashed = "$argon2id$v=19$m=19456,t=2,p=1$" + "A" * 22 + "$" + "B" * 43
    content = yaml.safe_load(re.sub(r"\$argon2id[^\"]*", lambda _: hashed, example))
    assert content.keys() == {"device", "access_point", "firewall", "ssh"}
    assert (written(tmp_path, content) / "ssh-enabled").exists()


def test_a_section_with_mistakes_keeps_its_last_good_value(tmp_path: Path) -> None:
    """A device whose owner made a mistake keeps its network, and with it the way to correct it."""
    good = (written(tmp_path, document()) / "hostapd.conf").read_text()
    (tmp_path / "state/config.yaml").write_text(yaml.safe_dump(document(passphrase="short")))
    done = system_config(tmp_path / "state", tmp_path / "out")
    assert done.returncode == 0
    assert "access_point.passphrase" in done.stderr
    assert "short" not in done.stderr
    assert (tmp_path / "out/hostapd.conf").read_text() == good


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "state").mkdir()
    done = system_config(tmp_path / "state", tmp_path / "file")
    assert done.returncode == 1
    assert "can't be written" in done.stderr
    assert "Traceback" not in done.stderr
