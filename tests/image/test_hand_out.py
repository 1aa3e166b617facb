"""The files that are handed out, by the tools that their receivers use, and the image that goes onto a card."""

import json
import lzma
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from image.bmap import free_in_ext4, free_in_fat, make_map
from image.commands import Commands
from image.disks import target_at
from image.errors import Failed
from image.flash import put_unit, refuse_unfit, source_of, write
from image.layout import card_of
from image.outputs import write_outputs
from image.parts import boot_files, copy_out, put_on_boot
from image.private import Marks
from image.verify import verify

REPO = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def commands(in_ram: Path) -> Commands:
    return Commands(in_ram / "log")


@pytest.fixture(scope="session")
def outputs(image: Path, in_ram: Path, commands: Commands) -> Path:
    """Packed as quickly as can be: how hard it is packed changes nothing else."""
    folder = in_ram / "outputs"
    folder.mkdir()
    facts = {"version": "0.0.0", "arch": "amd64"}
    write_outputs(image, card_of(image), xz_preset=0, sbom="{}\n", manifest=facts, folder=folder, commands=commands)
    return folder


def test_the_sums_hold(outputs: Path) -> None:
    (sums,) = outputs.glob("*.SHA256SUMS")
    subprocess.run(["sha256sum", "--check", "--strict", sums.name], cwd=outputs, check=True)
    assert len(sums.read_text().splitlines()) == 4


def test_what_is_handed_out_has_the_name_of_its_image(outputs: Path, image: Path) -> None:
    """So that the files of two images can lie in one folder."""
    kinds = ("SHA256SUMS", "img.bmap", "img.xz", "manifest.json", "sbom.cdx.json")
    assert sorted(path.name for path in outputs.iterdir()) == [f"{image.stem}.{kind}" for kind in kinds]


def manifest(outputs: Path) -> dict[str, Any]:
    (found,) = outputs.glob("*.manifest.json")
    facts: dict[str, Any] = json.loads(found.read_text())
    return facts


def test_the_packed_image_is_the_image(outputs: Path, image: Path) -> None:
    packed = next(outputs.glob("*.img.xz"))
    facts = manifest(outputs)["image"]
    with lzma.open(packed) as stream, image.open("rb") as plain:
        while chunk := plain.read(1 << 24):
            assert stream.read(len(chunk)) == chunk
    assert facts["bytes"] == image.stat().st_size


def test_bmaptool_writes_a_card_by_our_map(outputs: Path, in_ram: Path) -> None:
    """Their tool checks the map's checksums against the data by itself."""
    target = in_ram / "by-bmaptool"
    target.touch()
    packed = next(outputs.glob("*.img.xz"))
    subprocess.run(["bmaptool", "copy", "--bmap", next(outputs.glob("*.bmap")), packed, target], check=True)
    for folder in ("boot", "root"):
        part = in_ram / "part"
        copy_out(target, getattr(card_of(target), folder), part)
        check = ["fsck.fat", "-n"] if folder == "boot" else ["e2fsck", "-f", "-n"]
        subprocess.run([*check, part], check=True)
        part.unlink()
    target.unlink()


def test_a_used_card_becomes_sound_although_free_blocks_are_not_written(
    outputs: Path, in_ram: Path, commands: Commands
) -> None:
    """Everything that was on it before is garbage: no file system may depend on it."""
    target = in_ram / "used-card"
    size = manifest(outputs)["image"]["bytes"]
    with target.open("wb") as file:
        for _ in range(-(-size // (1 << 24))):
            file.write(b"\xa5" * (1 << 24))
    source = source_of(next(outputs.glob("*.img.xz")))
    place = target_at(target)
    refuse_unfit(place, source)
    write(source, place, lambda _: None)
    with target.open("r+b") as file:
        file.truncate(size)
    verify(target, Marks((), ""), in_ram, commands, lambda _: None)
    target.unlink()


def test_the_map_leaves_out_most_of_what_is_free(image: Path, in_ram: Path, commands: Commands) -> None:
    card = card_of(image)
    root = in_ram / "root.ext4"
    copy_out(image, card.root, root)
    dump = commands.read(["dumpe2fs", root])
    root.unlink()
    runs = [*free_in_fat(image, card.boot.offset), *free_in_ext4(dump, card.root.offset)]
    assert make_map(image, runs).mapped_bytes < 0.7 * image.stat().st_size


def test_a_card_becomes_one_units(image: Path, in_ram: Path, commands: Commands) -> None:
    target = in_ram / "units-card.img"
    subprocess.run(["cp", "--sparse=always", image, target], check=True)
    unit = in_ram / "unit-001"
    unit.mkdir()
    (unit / "config.yaml").write_text("version: 1\n")
    for _ in range(2):  # a second time replaces it
        put_unit(target, unit, commands)
    assert "otpbroker/config.yaml" in boot_files(target, card_of(target), commands)
    with pytest.raises(Failed, match=r"otpbroker/config\.yaml: made for one unit"):
        verify(target, Marks((), ""), in_ram, commands, lambda _: None)
    target.unlink()


def test_the_image_is_sound_and_holds_nothing_private(
    image: Path, work: Path, in_ram: Path, commands: Commands
) -> None:
    said: list[str] = []
    marks = Marks((str(REPO), str(work)), os.uname().nodename)
    verify(image, marks, in_ram, commands, said.append)
    assert len(said) == 5


def test_verify_finds_a_key_that_was_left_in(image: Path, in_ram: Path, commands: Commands) -> None:
    copy = in_ram / "with-key.img"
    subprocess.run(["cp", "--sparse=always", image, copy], check=True)
    key = in_ram / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    place = f"{copy}?offset={card_of(copy).root.offset}"
    subprocess.run(["debugfs", "-w", "-R", f"write {key} /etc/ssh/ssh_host_ed25519_key", place], check=True)
    with pytest.raises(Failed) as failed:
        verify(copy, Marks((), ""), in_ram, commands, lambda _: None)
    assert "etc/ssh/ssh_host_ed25519_key: belongs to one unit" in str(failed.value)
    assert "etc/ssh/ssh_host_ed25519_key: a private key" in str(failed.value)
    copy.unlink()


def test_verify_finds_what_somebody_put_on_the_boot_partition(
    image: Path, in_ram: Path, commands: Commands
) -> None:
    """As Raspberry Pi Imager's own customisation does."""
    copy = in_ram / "customised.img"
    subprocess.run(["cp", "--sparse=always", image, copy], check=True)
    custom = in_ram / "custom.toml"
    custom.write_text('[wlan]\nssid = "home"\npassword = "ourownnetwork"\n')
    put_on_boot(copy, card_of(copy), {"custom.toml": custom}, commands)
    with pytest.raises(Failed, match=r"bootfs:custom\.toml: a password"):
        verify(copy, Marks((), ""), in_ram, commands, lambda _: None)
    copy.unlink()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_build_that_is_stopped_leaves_no_mount_and_no_process(how: signal.Signals, tmp_path: Path) -> None:
    words = ["image", "--arch", "amd64", "--until", "base", "--work", tmp_path, "--playbook", __file__]
    # Whoever runs the tests in the background may have had SIGINT ignored.
    python = ["env", "--default-signal=INT", sys.executable]
    with subprocess.Popen([*python, "-m", "image", *words], cwd=REPO, stdout=subprocess.PIPE, text=True) as build:
        assert build.stdout is not None
        while "essential packages" not in (line := build.stdout.readline()):
            assert line, "the build ended by itself"
        assert touching(tmp_path), "it has mounts and processes while it works"
        build.send_signal(how)
        build.wait(120)
        deadline = time.monotonic() + 10
        while (left := touching(tmp_path)) and time.monotonic() < deadline:
            time.sleep(0.1)
    assert left == []
    assert not list(tmp_path.glob("*/base"))


def touching(folder: Path) -> list[str]:
    """Mounts below the folder, in whose name space they may be, and processes that were started for it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            mounts = (process / "mountinfo").read_text()
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it ended meanwhile
            continue
        if process.name != str(os.getpid()) and str(folder) in mounts + words:
            found.append(f"{process.name} {words}")
    return found
