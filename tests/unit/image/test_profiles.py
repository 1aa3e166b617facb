"""Profiles and boards: data that is checked before anything is built from it."""

import pytest

from image.errors import Refused
from image.profile import Board, Profile, choose, load_board, load_profile, names, parse

SMALLEST = """
name: tiny
summary: Smallest
suite: trixie
python: 3.13.5
epoch: 1760000000
sources: [{archive: debian, suites: [trixie], components: [main], keyring: /usr/share/keyrings/debian.gpg}]
packages: [systemd]
architectures: {amd64: {packages: [linux-image-amd64], boot_files: kernel-copy}}
"""


def test_every_profile_and_board_that_is_shipped_is_sound() -> None:
    assert [load_profile(name).name for name in names("profiles")] == ["debian", "raspios"]
    assert [load_board(name).name for name in names("boards")] == ["raspberry-pi", "virtual-pc"]


def test_the_smallest_profile_has_the_layout_of_raspberry_pi_os() -> None:
    layout = parse(Profile, SMALLEST, "tiny").layout
    assert (layout.boot_mib, layout.boot_label, layout.root_label) == (512, "bootfs", "rootfs")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("name: tiny", "name: tiny\nmirror: somewhere"), "mirror: Extra inputs are not permitted"),
        (("packages: [systemd]", "packages: []"), "packages: "),
        (("packages: [systemd]", "packages: ['systemd; reboot']"), "packages.0: "),
        (("epoch: 1760000000", "epoch: 0"), "epoch: "),
        (("epoch: 1760000000", "epoch: '1760000000'"), "epoch: "),
        (("{amd64:", "{i386:"), "architectures.i386"),
        (("boot_files: kernel-copy", "boot_files: grub"), "boot_files"),
        (("boot_files: kernel-copy", "boot_files: profile, config_txt: [a=1]"), "only then"),
        (("boot_files: kernel-copy", "boot_files: kernel-copy, command_line: [quiet]"), "only then"),
        (("boot_files: kernel-copy", "boot_files: kernel-copy, device_trees: [../x.dtb]"), "device_trees.0"),
        (("keyring: /usr", "keyring: ../usr"), "sources.0.keyring"),
        (("suite: trixie", "suite: [trixie"), "is not YAML"),
    ],
)
def test_a_mistake_is_named_with_its_place(change: tuple[str, str], complaint: str) -> None:
    with pytest.raises(Refused) as refused:
        parse(Profile, SMALLEST.replace(*change, 1), "tiny.yaml")
    assert "tiny.yaml" in str(refused.value)
    assert complaint in str(refused.value)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(Refused) as refused:
        parse(Profile, SMALLEST.replace("tiny", "Tiny!").replace("3.13.5", "three"), "tiny.yaml")
    assert "name: " in str(refused.value)
    assert "python: " in str(refused.value)


def test_a_line_for_the_firmware_is_one_line() -> None:
    with pytest.raises(Refused, match=r"config_txt\.0"):
        parse(Board, 'name: pi\nsummary: Pi\narch: arm64\nconfig_txt: ["a=1\\nkernel=evil"]', "pi.yaml")


def test_a_virtual_pc_has_no_firmware_to_configure() -> None:
    with pytest.raises(Refused, match="firmware of a Raspberry Pi"):
        parse(Board, "name: pc\nsummary: PC\narch: amd64\nconfig_txt: [gpu_mem=16]", "pc.yaml")


def test_packages_are_in_one_order_whatever_the_files_say() -> None:
    profile = parse(Profile, SMALLEST.replace("[systemd]", "[udev, systemd, linux-image-amd64]"), "tiny")
    assert profile.all_packages("amd64") == ["linux-image-amd64", "systemd", "udev"]


def test_the_card_of_a_raspberry_pi_is_what_one_gets_without_asking() -> None:
    profile, board = choose("debian", None, None)
    assert (profile.name, board.name, board.arch) == ("debian", "raspberry-pi", "arm64")


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(Refused, match="board virtual-pc is amd64"):
        choose("debian", "arm64", "virtual-pc")
    with pytest.raises(Refused, match="raspios has no amd64"):
        choose("raspios", "amd64", None)
    with pytest.raises(Refused, match=r"one of: debian, raspios"):
        choose("../secrets", None, None)
