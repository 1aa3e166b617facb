"""The recipe for mmdebstrap, of both profiles, and where its packages come from."""

from pathlib import Path

import pytest

from image.archives import Archives, of_host, pairs
from image.bootstrap import SOURCES, Recipe, emulation
from image.errors import Refused
from image.pipeline import require_boot_files
from image.profile import choose, load_profile

ADDRESSES = {
    "debian": "http://mirror.example/debian",
    "debian-security": "http://mirror.example/security",
    "raspberrypi": "http://pi.example/debian",
}


def recipe(profile_name: str, *, keyrings: dict[str, Path] | None = None) -> Recipe:
    profile, board = choose(profile_name, None, None)
    return Recipe(profile, board, Archives(ADDRESSES, keyrings or {}))


def position(argv: list[str], *words: str) -> int:
    return next(index for index, word in enumerate(argv) if all(part in word for part in words))


def test_the_initramfs_is_made_once_after_everything_that_wants_one() -> None:
    argv = recipe("debian").argv(Path("base.tar"), Path("settings"))
    hold = position(argv, "--essential-hook", "dpkg-divert", "--add")
    make = position(argv, "--customize-hook", "dpkg-divert", "--remove", "update-initramfs -c -k all")
    assert hold < make


def test_the_firmware_reads_its_settings_before_it_is_installed() -> None:
    it = recipe("debian")
    assert 'ROOTPART="LABEL=rootfs"\n' in it.settings()["etc/default/raspi-firmware"]
    assert "gpu_mem=16\n" in it.settings()["etc/default/raspi-firmware-custom"]
    assert position(it.argv(Path("base.tar"), Path("settings")), "--essential-hook", "settings") > 0


def test_the_one_image_boots_on_boards_that_a_size_of_cma_would_stop() -> None:
    """The firmware package writes cma=64M unless it is told not to, and knows a Raspberry Pi 4 only when on one."""
    assert "CMA=0\n" in recipe("debian").settings()["etc/default/raspi-firmware"]


def test_no_update_of_the_kernel_puts_its_console_onto_a_modem() -> None:
    """Left to itself, the firmware package takes every UART of the board it runs on."""
    assert 'CONSOLES="tty0"\n' in recipe("debian").settings()["etc/default/raspi-firmware"]


def test_what_hurries_the_build_is_not_shipped() -> None:
    argv = recipe("debian").argv(Path("base.tar"), Path("settings"))
    assert "--dpkgopt=force-unsafe-io" in argv
    assert position(argv, "--customize-hook", "/force-/d") > 0
    assert position(argv, "--customize-hook", "etc/ssh/ssh_host_*") > 0


def test_raspberry_pi_os_is_debian_and_the_archive_of_its_makers() -> None:
    argv = recipe("raspios", keyrings={"raspberrypi": Path("/keys/pi.pgp")}).argv(
        Path("base.tar"), Path("settings")
    )
    include = argv[position(argv, "--include=")]
    assert "linux-image-rpi-v8" in include
    assert "linux-image-rpi-2712" in include
    assert "linux-image-arm64" not in include
    assert argv[-1] == "deb [signed-by=/keys/pi.pgp] http://pi.example/debian trixie main"
    assert "deb http://mirror.example/debian trixie main non-free-firmware" in argv
    assert position(argv, "/keys/pi.pgp", "/usr/share/keyrings/raspberrypi-archive-keyring.pgp") > 0


def test_raspberry_pi_os_gets_the_boot_files_that_no_package_of_it_writes() -> None:
    settings = recipe("raspios").settings()
    config = settings["boot/firmware/config.txt"].splitlines()
    assert {"arm_64bit=1", "auto_initramfs=1", "gpu_mem=16"} <= set(config)
    (line,) = settings["boot/firmware/cmdline.txt"].splitlines()
    words = line.split()
    assert {"root=PARTUUID=52504931-02", "rootfstype=ext4", "rootwait", "net.ifnames=0"} <= set(words)
    assert [word for word in words if word.startswith("console=")] == ["console=tty1"]
    assert not any(word.startswith("cma=") for word in words)
    assert not any(name.startswith("etc/default/raspi") for name in settings), "only Debian's package reads them"


def test_the_boot_files_of_a_profile_come_after_the_packages(tmp_path: Path) -> None:
    argv = recipe("raspios").argv(Path("base.tar"), Path("settings"))
    assert position(argv, "--customize-hook", 'cp -rT "settings" "$1"') > position(argv, "--include=")
    for name, content in recipe("raspios").settings().items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    wanted = load_profile("raspios").architectures["arm64"]
    for name in wanted.device_trees:
        (tmp_path / "boot/firmware" / name).touch()
    require_boot_files(tmp_path / "boot/firmware", wanted)


def test_the_image_gets_sources_of_its_own_with_the_key_of_each() -> None:
    entries = recipe("raspios").settings()[SOURCES].split("\n\n")
    assert [entry.splitlines()[1] for entry in entries] == [
        "URIs: http://mirror.example/debian",
        "URIs: http://mirror.example/security",
        "URIs: http://pi.example/debian",
    ]
    assert all("Signed-By: /usr/share/keyrings/" in entry for entry in entries)


def test_an_archive_nobody_named_is_asked_for() -> None:
    profile, board = choose("raspios", None, None)
    unknown = Recipe(
        profile, board, Archives({"debian": "http://d.example", "debian-security": "http://s.example"}, {})
    )
    with pytest.raises(Refused, match="--archive raspberrypi=ADDRESS"):
        unknown.settings()


def test_the_addresses_of_debian_are_those_of_the_host(tmp_path: Path) -> None:
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (parts / "debian.sources").write_text(
        "Types: deb\n# a comment\nURIs: http://here.example/debian\nSuites: bookworm bookworm-updates\n"
        "Components: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n"
        "Types: deb\nURIs: http://here.example/debian-security\nSuites: bookworm-security\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
    )
    (parts / "foreign.sources").write_text(
        "Types: deb\nURIs: http://foreign.example\nSuites: stable\nSigned-By: /usr/share/keyrings/foreign.gpg\n"
    )
    assert of_host(tmp_path) == {
        "debian": "http://here.example/debian",
        "debian-security": "http://here.example/debian-security",
    }


def test_older_hosts_have_one_line_for_each_archive(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text(
        "deb [arch=amd64] http://old.example/debian bookworm main\n# deb http://off.example/debian bookworm main\n"
        "deb http://old.example/debian-security bookworm-security main\n"
    )
    assert of_host(tmp_path) == {
        "debian": "http://old.example/debian",
        "debian-security": "http://old.example/debian-security",
    }


def test_an_option_of_pairs_wants_pairs() -> None:
    assert pairs(["debian=http://a.example/x=y"], "--archive") == {"debian": "http://a.example/x=y"}
    with pytest.raises(Refused, match="--archive wants NAME=VALUE"):
        pairs(["debian"], "--archive")


def test_only_foreign_programs_are_emulated() -> None:
    assert emulation("amd64", "x86_64") == []
    assert emulation("arm64", "aarch64") == []
    assert "arch-test arm64" in " ".join(emulation("arm64", "x86_64"))
