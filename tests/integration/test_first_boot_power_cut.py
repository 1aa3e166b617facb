"""A power cut before any file operation of the first boot: the next boot makes one whole unit of it."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from otpbroker.codes import canonical
from otpbroker.config.model import Config
from otpbroker.config.store import Store
from otpbroker.passwords import verify_password
from otpbroker.sealing import Sealer

TOOL = Path(__file__).with_name("power_cut.py")
SSID, PASSPHRASE = "OTP-Broker-7KQM", "abcd-2345-efgh-6789"


@dataclass(frozen=True, slots=True)
class Card:
    """A card after a cut and the boot that followed."""

    place: Path
    cut_before: str

    @property
    def config(self) -> Config:
        store = Store(self.place / "state/config.yaml", Sealer((self.place / "state/secret.key").read_bytes()))
        assert store.problems == (), self.cut_before
        return store.config

    @property
    def passphrase(self) -> str:
        passphrase = self.config.access_point.passphrase
        assert passphrase is not None, self.cut_before
        return passphrase.get_secret_value()

    @property
    def on_boot(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in (self.place / "boot/otpbroker").iterdir()}

    @property
    def in_state(self) -> set[str]:
        return {path.name for path in (self.place / "state").iterdir() if not path.name.startswith(".")}


def cards(template: Path, folder: Path) -> Iterator[Card]:
    """A card for every place where the power can be cut, and last one without a cut."""
    command = ["first-boot", "--boot", "{}/boot", "--state", "{}/state", "--country", "ID"]
    done = subprocess.run(
        [sys.executable, str(TOOL), str(template), str(folder), *command],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for number, line in enumerate(done.stdout.splitlines(), 1):
        code, _, cut_before = line.partition(" ")
        assert code == "0", cut_before
        yield Card(folder / str(number), cut_before)


@pytest.fixture
def template(ram_folder: Path) -> Path:
    for folder in ("boot/otpbroker", "state"):
        (ram_folder / "template" / folder).mkdir(parents=True)
    return ram_folder / "template"


def test_a_unit_that_makes_itself_is_one_and_its_brochure_tells_the_truth(template: Path, ram_folder: Path) -> None:
    seen = []
    for card in cards(template, ram_folder):
        brochure = card.on_boot["brochure.txt"]
        code, reset = (brochure.partition(name)[2].split()[0] for name in ("setup code", "reset code"))
        assert card.on_boot.keys() == {"brochure.svg", "brochure.txt"}, card.cut_before
        for told in (card.config.access_point.ssid, card.passphrase, code, reset):
            assert str(told) in brochure, card.cut_before
            assert str(told) in card.on_boot["brochure.svg"], card.cut_before
        assert verify_password((card.place / "state/setup-code").read_text(), canonical(code)), card.cut_before
        assert verify_password(str(card.config.device.reset_code), canonical(reset)), card.cut_before
        assert "first-boot-done" in card.in_state
        seen.append(card.cut_before)
    touched = "\n".join(seen)
    for step in ("secret.key", "brochure.svg", "brochure.txt", "setup-code", "config.yaml", "first-boot-done"):
        assert step in touched
    assert len(seen) > 20


def test_a_provisioning_file_is_taken_once_and_whole_and_nothing_of_it_is_left(
    template: Path, ram_folder: Path
) -> None:
    code = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$" + "A" * 43
    section = {"enabled": True, "ssid": SSID, "passphrase": PASSPHRASE, "country": "ID"}
    document = {"access_point": section, "admin": {"setup_code": code}, "sms": {"life": 60}}
    (template / "boot/otpbroker/config.yaml").write_text(yaml.safe_dump(document))
    seen = []
    for card in cards(template, ram_folder):
        assert card.on_boot == {}, card.cut_before
        assert (card.passphrase, card.config.sms.life) == (PASSPHRASE, 60), card.cut_before
        assert (card.place / "state/setup-code").read_text() == code, card.cut_before
        kept = "".join(path.read_bytes().decode("latin-1") for path in card.place.rglob("*") if path.is_file())
        assert PASSPHRASE not in kept, card.cut_before
        seen.append(card.cut_before)
    assert any("os.remove" in cut and "/boot/otpbroker/.config.yaml" in cut for cut in seen)
    assert len(seen) > 15


def test_a_file_without_a_network_and_the_network_made_for_it_are_one_unit(
    template: Path, ram_folder: Path
) -> None:
    """Also on a card which has had its first boot, and wanted no network then."""
    (template / "state/first-boot-done").touch()
    (template / "boot/otpbroker/config.yaml").write_text("sms: {life: 60}\naccess_point: {channel: 11}\n")
    for card in cards(template, ram_folder):
        assert (card.config.sms.life, card.config.access_point.channel) == (60, 11), card.cut_before
        assert card.passphrase in card.on_boot["brochure.txt"], card.cut_before
        assert card.on_boot.keys() == {"brochure.svg", "brochure.txt"}, card.cut_before


def test_a_file_that_wants_no_network_is_believed_wherever_the_power_went(template: Path, ram_folder: Path) -> None:
    (template / "boot/otpbroker/config.yaml").write_text("sms: {life: 60}\naccess_point: {enabled: false}\n")
    for card in cards(template, ram_folder):
        assert card.config.sms.life == 60, card.cut_before
        assert not card.config.access_point.made, card.cut_before
        assert card.on_boot == {}, card.cut_before
