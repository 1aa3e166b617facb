"""`otpbroker new-unit`: what the maker of cards gets, as a phone's camera and a unit read it."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from otpbroker.device.brochure import brochure_svg, brochure_txt
from otpbroker.device.unit import Unit

AWKWARD = Unit(
    ssid='a;b,c:"d\\e &<Toko>',
    passphrase="p;a,s:s\"w\\o'r&d<#> {x}",
    setup_code="ABCD-EFGH-JKLM",
    reset_code="2222-3333-4444-5555",
    admin_url="http://192.168.0.11:8888",
)


def otpbroker(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "otpbroker", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def camera(picture: Path) -> set[str]:
    """The texts of all QR codes in it, by ZBar."""
    done = subprocess.run(
        ["zbarimg", "--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", str(picture)],
        capture_output=True,
        timeout=30,
        check=False,
        env={"PATH": os.environ["PATH"], "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent"},
    )
    return set(done.stdout.decode().splitlines())


def printed(svg: Path, picture: Path, dots_per_inch: int = 300) -> Path:
    dots = str(dots_per_inch)
    subprocess.run(["rsvg-convert", "-d", dots, "-p", dots, "-o", picture, svg], check=True, timeout=30)
    return picture


def on_screen(text: str, picture: Path) -> Path:
    """A console that shows the text: each sign is 4 by 8 pixels, light on dark."""
    halves = {"█": (255, 255), "▀": (255, 0), "▄": (0, 255)}
    lines = text.splitlines()
    width = max(map(len, lines))
    pixels = bytearray()
    for line in lines:
        for half in (0, 1):
            row = bytes(level for sign in line.ljust(width) for level in [halves.get(sign, (0, 0))[half]] * 4)
            pixels += row * 4
    picture.write_bytes(b"P5 %d %d 255\n" % (width * 4, len(lines) * 8) + pixels)
    return picture


def fields(wifi: str) -> dict[str, str]:
    """A Wi-Fi text as a phone takes it apart: a backslash takes the meaning of what follows."""
    found, name, value, signs = {}, "", "", iter(wifi.removeprefix("WIFI:"))
    for sign in signs:
        if sign == "\\":
            value += next(signs)
        elif sign == ":" and not name:
            name, value = value, ""
        elif sign == ";":
            if name:
                found[name] = value
            name, value = "", ""
        else:
            value += sign
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """One unit's folder, and the line for the maker's list."""
    folder = tmp_path_factory.mktemp("units") / "unit-1"
    done = otpbroker("new-unit", "--out", folder, "--country", "ID")
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    return folder, json.loads(line)


class TestBrochure:
    @pytest.mark.parametrize("dots_per_inch", [150, 300])
    def test_both_codes_are_read_from_the_print(
        self, made: tuple[Path, dict[str, str]], dots_per_inch: int, tmp_path: Path
    ) -> None:
        folder, facts = made
        texts = camera(printed(folder / "brochure.svg", tmp_path / "sheet.png", dots_per_inch))
        wifi = f"WIFI:T:WPA;S:{facts['ssid']};P:{facts['passphrase']};;"
        assert texts == {wifi, facts["setup_url"]}

    def test_names_and_passphrases_of_any_signs_arrive_at_the_phone(self, tmp_path: Path) -> None:
        (tmp_path / "brochure.svg").write_text(brochure_svg(AWKWARD))
        texts = camera(printed(tmp_path / "brochure.svg", tmp_path / "sheet.png"))
        (wifi,) = texts - {AWKWARD.setup_url}
        assert fields(wifi) == {"T": "WPA", "S": AWKWARD.ssid, "P": AWKWARD.passphrase}

    @pytest.mark.parametrize("unit", [AWKWARD, None])
    def test_both_codes_are_read_from_a_console(
        self, made: tuple[Path, dict[str, str]], unit: Unit | None, tmp_path: Path
    ) -> None:
        folder, facts = made
        text = brochure_txt(unit) if unit else (folder / "brochure.txt").read_text()
        setup_url = unit.setup_url if unit else facts["setup_url"]
        texts = camera(on_screen(text, tmp_path / "console.pgm"))
        assert setup_url in texts
        (wifi,) = texts - {setup_url}
        assert fields(wifi)["S"] == (unit.ssid if unit else facts["ssid"])

    def test_it_is_a6_on_paper(self, made: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
        picture = printed(made[0] / "brochure.svg", tmp_path / "sheet.png", 254).read_bytes()
        width, height = (int.from_bytes(picture[start : start + 4], "big") for start in (16, 20))
        assert (width, height) == (1050, 1480)


class TestFiles:
    def test_they_are_the_makers_alone(self, made: tuple[Path, dict[str, str]]) -> None:
        folder, _ = made
        assert {path.name for path in folder.iterdir()} == {"config.yaml", "brochure.svg", "brochure.txt"}
        assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    def test_the_list_has_what_the_brochure_has(self, made: tuple[Path, dict[str, str]]) -> None:
        folder, facts = made
        assert facts.keys() == {"ssid", "passphrase", "setup_url", "reset_code", "address"}
        assert facts["setup_url"].startswith("http://192.168.0.11:8888/setup#")
        brochure = (folder / "brochure.txt").read_text()
        for told in (facts["ssid"], facts["passphrase"], facts["setup_url"].partition("#")[2], facts["reset_code"]):
            assert told in brochure

    def test_the_provisioning_file_holds_no_more_than_the_passphrase_in_clear(
        self, made: tuple[Path, dict[str, str]]
    ) -> None:
        folder, facts = made
        text = (folder / "config.yaml").read_text()
        assert yaml.safe_load(text)["access_point"]["passphrase"] == facts["passphrase"]
        assert facts["reset_code"] not in text
        assert facts["setup_url"].partition("#")[2] not in text

    def test_a_unit_takes_it(self, made: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
        folder, facts = made
        (tmp_path / "boot/otpbroker").mkdir(parents=True)
        (tmp_path / "boot/otpbroker/config.yaml").write_bytes((folder / "config.yaml").read_bytes())
        done = otpbroker("first-boot", "--boot", tmp_path / "boot", "--state", tmp_path / "state")
        assert done.returncode == 0, done.stderr
        assert list((tmp_path / "boot/otpbroker").iterdir()) == []
        done = otpbroker("system-config", "--out", tmp_path / "out", "--state", tmp_path / "state")
        assert done.returncode == 0, done.stderr
        assert f"wpa_passphrase={facts['passphrase']}\n" in (tmp_path / "out/hostapd.conf").read_text()
        texts = camera(on_screen((tmp_path / "out/issue").read_text(), tmp_path / "console.pgm"))
        assert texts == {f"WIFI:T:WPA;S:{facts['ssid']};P:{facts['passphrase']};;"}


class TestRefusals:
    def test_a_unit_is_never_written_over(self, made: tuple[Path, dict[str, str]]) -> None:
        folder, _ = made
        before = (folder / "config.yaml").read_bytes()
        done = otpbroker("new-unit", "--out", folder, "--country", "ID")
        assert (done.returncode, done.stdout) == (1, "")
        assert "name another folder" in done.stderr
        assert (folder / "config.yaml").read_bytes() == before

    @pytest.mark.parametrize(
        ("words", "base", "told"),
        [
            ([], "", "access_point.country"),
            (["--country", "UK"], "", "ISO 3166-1"),
            (["--country", "US"], "access_point: {channel: 13}", "not allowed in US"),
            (["--country", "ID"], "access_point: {passphrase: same-for-all}", "every unit gets its own"),
            (["--country", "ID"], "sms: {life: 1}", "sms.life"),
            (["--country", "ID"], "admin: {listen: {enabled: false}}", "admin.listen.enabled"),
            (["--country", "ID"], "modems: [{id: a, port: /dev/x, pin: 'sealed:AAAA'}]", "another key"),
        ],
    )
    def test_nothing_is_written_when_anything_is_wrong(
        self, tmp_path: Path, words: list[str], base: str, told: str
    ) -> None:
        (tmp_path / "base.yaml").write_text(base)
        done = otpbroker("new-unit", "--out", tmp_path / "unit", "--config", tmp_path / "base.yaml", *words)
        assert (done.returncode, done.stdout) == (1, "")
        assert told in done.stderr
        assert "same-for-all" not in done.stderr
        assert not (tmp_path / "unit").exists()
