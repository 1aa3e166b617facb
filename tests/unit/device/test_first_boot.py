"""The first boot of a card: a provisioning file is taken whole or its mistakes told, else the unit makes itself."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from units import PASSPHRASE, SSID

from core import full_disks
from otpbroker.codes import canonical
from otpbroker.config.document import dump_clear
from otpbroker.config.model import Config
from otpbroker.config.store import Store
from otpbroker.device.boot_partition import BootPartition
from otpbroker.device.first_boot import FirstBoot
from otpbroker.device.unit import new_unit, unit_config
from otpbroker.errors import Misconfigured, Unavailable
from otpbroker.passwords import hash_password, verify_password
from otpbroker.sealing import Sealer

SEALER = Sealer(bytes(32))
EVERYWHERE = "0.0.0.0"  # noqa: S104
ADMINISTRATOR = {"username": "siti", "password": hash_password("kereta api lewat tengah malam")}


@dataclass(frozen=True, slots=True)
class Card:
    """A card's two partitions as folders."""

    boot: Path
    state: Path

    def start(self, country: str | None = "ID") -> bool:
        store = Store(self.state / "config.yaml", SEALER)
        return FirstBoot(BootPartition(self.boot), self.state, store, SEALER, country).run()

    @property
    def config(self) -> Config:
        store = Store(self.state / "config.yaml", SEALER)
        assert store.problems == ()
        return store.config

    @property
    def provisioning(self) -> Path:
        return self.boot / "otpbroker/config.yaml"

    @property
    def problems(self) -> str:
        path = self.boot / "otpbroker/PROBLEMS.txt"
        return path.read_bytes().decode() if path.exists() else ""

    @property
    def brochure(self) -> str:
        return (self.boot / "otpbroker/brochure.txt").read_text()

    def provide(self, text: str) -> None:
        self.provisioning.parent.mkdir(exist_ok=True)
        self.provisioning.write_text(text)

    def on_boot(self) -> bytes:
        """Everything that any computer reads."""
        return b"".join(path.read_bytes() for path in self.boot.rglob("*") if path.is_file())


@pytest.fixture
def card(tmp_path: Path) -> Card:
    made = Card(tmp_path / "boot", tmp_path / "state")
    made.boot.mkdir()
    made.state.mkdir(mode=0o700)
    return made


def document(**sections: object) -> str:
    section = {"enabled": True, "ssid": SSID, "passphrase": PASSPHRASE, "country": "ID"}
    return yaml.safe_dump({"version": 1, "access_point": section} | sections)


class TestOwnSecrets:
    def test_a_card_without_a_file_makes_its_own_and_tells_them_on_the_boot_partition(self, card: Card) -> None:
        assert card.start()
        section = card.config.access_point
        assert section.enabled
        assert section.country == "ID"
        assert section.passphrase is not None
        assert str(section.ssid) in card.brochure
        assert section.passphrase.get_secret_value() in card.brochure
        assert (card.boot / "otpbroker/brochure.svg").read_text().startswith("<?xml")
        assert card.problems == ""

    def test_the_codes_of_the_brochure_are_good_and_only_hashes_stay(self, card: Card) -> None:
        card.start()
        code = card.brochure.partition("setup code")[2].split()[0]
        reset = card.brochure.partition("reset code")[2].split()[0]
        assert verify_password((card.state / "setup-code").read_text(), canonical(code))
        assert verify_password(str(card.config.device.reset_code), canonical(reset))
        assert card.config.admin.setup_code is None
        kept = b"".join(path.read_bytes() for path in card.state.rglob("*") if path.is_file()).decode("latin-1")
        for secret in (code, reset, card.config.access_point.passphrase.get_secret_value()):  # type: ignore[union-attr]
            assert secret not in kept

    def test_two_cards_have_nothing_in_common(self, card: Card, tmp_path: Path) -> None:
        other = Card(tmp_path / "boot-2", tmp_path / "state-2")
        other.boot.mkdir()
        other.state.mkdir()
        card.start()
        other.start()
        assert card.config.access_point.passphrase != other.config.access_point.passphrase
        assert (card.state / "setup-code").read_text() != (other.state / "setup-code").read_text()

    def test_the_next_boots_change_nothing(self, card: Card) -> None:
        card.start()
        before = card.config, card.brochure, (card.state / "setup-code").read_text()
        assert card.start()
        assert card.start(country=None)
        assert (card.config, card.brochure, (card.state / "setup-code").read_text()) == before

    def test_settings_that_were_there_stay(self, card: Card) -> None:
        (card.state / "config.yaml").write_text("sms: {life: 60}\naccess_point: {country: MY, channel: 11}\n")
        card.start()
        assert card.config.sms.life == 60
        assert (card.config.access_point.country, card.config.access_point.channel) == ("ID", 11)

    def test_a_network_that_is_switched_off_is_not_switched_on(self, card: Card) -> None:
        card.start()
        text = (card.state / "config.yaml").read_text().replace("enabled: true", "enabled: false")
        (card.state / "config.yaml").write_text(text)
        card.start()
        assert not card.config.access_point.enabled

    def test_a_unit_without_a_radio_says_so_and_gets_none(self, card: Card) -> None:
        (card.state / "config.yaml").write_text("access_point: {enabled: false}\n")
        for _ in range(2):
            assert card.start()
            assert not card.config.access_point.made
        assert not (card.boot / "otpbroker").exists()

    def test_without_a_country_it_says_what_is_missing_and_tries_again(self, card: Card) -> None:
        with pytest.raises(Misconfigured):
            card.start(country=None)
        assert "access_point.country: the radio has to know its country" in card.problems
        assert not (card.state / "config.yaml").exists()
        assert card.start()
        assert card.problems == ""
        assert card.config.access_point.made

    def test_without_its_boot_partition_there_is_no_unit_that_nobody_could_join(self, card: Card) -> None:
        card.boot.rmdir()
        with pytest.raises(OSError, match="otpbroker"):
            card.start()
        assert not card.config.access_point.made

    def test_a_configuration_with_mistakes_is_not_written_over(self, card: Card) -> None:
        (card.state / "config.yaml").write_text("sms: {life: soon}\n")
        with pytest.raises(Misconfigured):
            card.start()
        assert "sms.life" in card.problems
        assert (card.state / "config.yaml").read_text() == "sms: {life: soon}\n"
        assert not (card.boot / "otpbroker/brochure.svg").exists()

    def test_a_full_disk_leaves_no_brochure_of_a_unit_that_is_not(self, card: Card) -> None:
        (card.state / "config.yaml").write_text(f"api: {{users: [{', '.join(map(_user, range(200)))}]}}\n")
        Store(card.state / "config.yaml", SEALER)  # the last good copy is there already
        with full_disks(size=20_000), pytest.raises(Unavailable):
            card.start()
        assert not (card.boot / "otpbroker/brochure.svg").exists()
        assert not card.config.access_point.made
        assert card.start()
        assert card.config.access_point.made


def _user(number: int) -> str:
    return f"{{username: user-{number}, password: '{ADMINISTRATOR['password']}'}}"


class TestProvisioning:
    def test_a_good_file_becomes_the_configuration_and_is_gone(self, card: Card) -> None:
        card.provide(document(sms={"life": 60}))
        assert card.start()
        assert card.config.sms.life == 60
        assert card.config.access_point.ssid == SSID
        assert PASSPHRASE not in (card.state / "config.yaml").read_text()
        assert list((card.boot / "otpbroker").iterdir()) == []

    def test_its_octets_are_written_over(self, card: Card) -> None:
        card.provide(document())
        (card.boot / "witness").hardlink_to(card.provisioning)
        size = card.provisioning.stat().st_size
        card.start()
        assert (card.boot / "witness").read_bytes() == bytes(size)

    def test_what_new_unit_writes_is_taken_with_both_codes(self, card: Card) -> None:
        made = new_unit(Config())
        card.provide(dump_clear(unit_config(Config(), made, "ID")))
        assert card.start()
        assert verify_password((card.state / "setup-code").read_text(), canonical(made.setup_code))
        assert verify_password(str(card.config.device.reset_code), canonical(made.reset_code))
        assert card.config.admin.setup_code is None
        assert card.config.admin.listen.port == 8888

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
    def test_what_root_writes_belongs_to_the_agents_user(self, card: Card) -> None:
        os.chown(card.state, 12345, 12346)
        card.provide(document(admin={"setup_code": hash_password("x")}))
        card.start()
        (card.state / "config.yaml").write_text("# by hand\n" + (card.state / "config.yaml").read_text())
        card.provide(document(sms={"life": 60}))
        card.start()
        assert (card.state / "revisions").is_dir()
        for path in card.state.rglob("*"):
            assert (path.stat().st_uid, path.stat().st_gid) == (12345, 12346), path

    def test_a_file_from_another_computers_editor_is_read(self, card: Card) -> None:
        card.provide("")
        card.provisioning.write_bytes(b"\xef\xbb\xbf" + document().replace("\n", "\r\n").encode())
        assert card.start()
        assert card.config.access_point.ssid == SSID

    def test_a_file_without_a_network_gets_one_made(self, card: Card) -> None:
        card.provide("sms: {life: 60}\naccess_point: {country: MY, channel: 11}\n")
        assert card.start(country=None)
        section = card.config.access_point
        assert (section.enabled, section.country, section.channel) == (True, "MY", 11)
        assert str(section.ssid) in card.brochure
        assert card.config.sms.life == 60
        assert not card.provisioning.exists()

    def test_a_file_that_wants_no_network_is_believed(self, card: Card) -> None:
        card.provide("access_point: {enabled: false}\n")
        for _ in range(2):
            assert card.start()
            assert not card.config.access_point.made

    def test_a_later_file_without_a_network_leaves_the_units_own(self, card: Card) -> None:
        card.start()
        before = card.config.access_point, card.config.device.reset_code, card.brochure
        card.provide("sms: {life: 60}\n")
        assert card.start()
        assert card.config.sms.life == 60
        assert (card.config.access_point, card.config.device.reset_code, card.brochure) == before

    def test_a_later_file_with_a_network_ends_the_brochure_that_tells_of_another(self, card: Card) -> None:
        card.start()
        old = card.config.access_point.passphrase
        assert old is not None
        card.provide(document())
        assert card.start()
        assert card.config.access_point.ssid == SSID
        assert old.get_secret_value().encode() not in card.on_boot()

    @pytest.mark.parametrize("admin", [{}, {"listen": {"port": 9000}}, {"listen": {"address": EVERYWHERE}}])
    def test_the_brochure_names_the_page_that_is_served(self, card: Card, admin: dict[str, object]) -> None:
        card.provide(yaml.safe_dump({"admin": admin}))
        assert card.start()
        listen = card.config.admin.listen
        assert listen.address == EVERYWHERE
        assert f"http://192.168.0.11:{listen.port}/setup" in card.brochure

    def test_it_is_served_still_when_a_later_file_leaves_the_network_as_it_is(self, card: Card) -> None:
        card.start()
        card.provide("sms: {life: 60}\n")
        assert card.start()
        assert card.config.admin.listen.address == EVERYWHERE

    @pytest.mark.parametrize("later", [False, True])
    def test_a_file_by_which_nobody_could_reach_the_page_is_not_taken(self, card: Card, later: bool) -> None:
        if later:
            card.start()
        card.provide("sms: {life: 60}\nadmin: {listen: {enabled: false}}\n")
        assert not card.start()
        assert "admin.listen.enabled" in card.problems
        assert card.provisioning.exists()
        assert card.config.sms.life == 300
        assert card.config.access_point.made

    def test_what_is_for_the_unit_itself_is_not_opened(self, card: Card) -> None:
        card.provide("api: {http: {address: 127.0.0.1}, https: {address: 127.0.0.1, port: 9443}}\n")
        assert card.start()
        for listener, port in ((card.config.api.http, 8889), (card.config.api.https, 9443)):
            assert (listener.address, listener.port) == ("127.0.0.1", port)

    def test_a_unit_with_an_administrator_takes_none(self, card: Card) -> None:
        card.provide(document(admin={"administrators": [ADMINISTRATOR]}))
        assert card.start()
        before = card.config
        card.provide(document(sms={"life": 60}))
        assert not card.start()
        assert card.config == before
        assert "this unit has an administrator" in card.problems
        card.provisioning.unlink()
        assert card.start()
        assert card.problems == ""


class TestMistakes:
    def test_every_one_is_told_and_the_unit_makes_itself(self, card: Card) -> None:
        text = document(sms={"life": 1}, frobnicate={}, modems=[{"id": "a b", "port": "/dev/ttyUSB0"}])
        card.provide(text)
        assert not card.start()
        for place in ("sms.life", "frobnicate", "modems.0.id"):
            assert place in card.problems
        assert card.provisioning.read_text() == text
        assert card.config.access_point.made
        assert card.config.access_point.ssid != SSID

    def test_once_they_are_corrected_the_file_is_taken(self, card: Card) -> None:
        card.provide(document(sms={"life": 1}))
        card.start()
        card.provide(document(sms={"life": 60}))
        assert card.start()
        assert card.problems == ""
        assert card.config.access_point.ssid == SSID

    @pytest.mark.parametrize(
        "text",
        [
            "access_point: {passphrase:hunter-2345, country: ID}",
            "access_point:\n  passphrase: !hunter-2345\n",
            "access_point:\n  enabled: true\n  passphrase: &hunter-2345\n",
            "access_point:\n  passphrase: *hunter-2345\n",
            "access_point: {passphrase: hunter-2345é}",
            "access_point: {passphrase: [hunter-2345]}",
            "hunter-2345: 1\nhunter-2345: 2\n",
            "hunter-2345",
            "- hunter-2345",
            "passphrase = 'hunter-2345'\n: }",
            'access_point: {passphrase: "hunter-2345}',
            "modems: [{id: a, port: /dev/x, pin: hunter-2345}]",
            "admin: {setup_code: hunter-2345}",
            "device: {reset_code: hunter-2345}",
        ],
    )
    def test_no_secret_is_repeated_wherever_it_slipped(
        self, card: Card, text: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        card.provide(text)
        assert not card.start()
        assert card.problems
        assert "hunter" not in card.problems + caplog.text

    def test_another_encoding_is_told(self, card: Card) -> None:
        card.provide("")
        card.provisioning.write_bytes(document().encode("utf-16"))
        assert not card.start()
        assert "UTF-8" in card.problems

    def test_a_file_that_is_no_document_by_its_length_is_not_taken_in_part(self, card: Card) -> None:
        card.provide(document(sms={"life": 60}) + "#" * 300_000)
        assert not card.start()
        assert "is too long" in card.problems
        assert card.config.sms.life == 300

    def test_it_says_so_in_both_languages_with_the_line_ends_of_every_editor(self, card: Card) -> None:
        card.provide("sms: {life: 1}")
        card.start()
        assert "Perbaiki" in card.problems
        assert "then start the device again" in card.problems
        assert card.problems.count("\n") == card.problems.count("\r\n")


class TestLeftovers:
    """What a power cut may leave, beside the cuts which the integration tests make."""

    @pytest.mark.parametrize("written_over", [0, 1, 40, 10_000])
    def test_a_taken_file_that_is_half_erased_is_not_read_again(self, card: Card, written_over: int) -> None:
        card.provide(document())
        card.start()
        half = (bytes(written_over) + document().encode()[written_over:])[: len(document())]
        (card.boot / "otpbroker/.config.yaml.0a1b2c3d").write_bytes(half)
        assert card.start()
        assert list((card.boot / "otpbroker").iterdir()) == []

    def test_two_names_of_one_file_are_taken_before_they_are_erased(self, card: Card) -> None:
        """FAT renames by a new name first and the removal of the old one after."""
        card.provide(document())
        (card.boot / "otpbroker/.config.yaml.0a1b2c3d").hardlink_to(card.provisioning)
        assert card.start()
        assert card.config.access_point.ssid == SSID
        assert list((card.boot / "otpbroker").iterdir()) == []

    def test_a_brochure_that_was_being_written_is_erased(self, card: Card) -> None:
        (card.boot / "otpbroker").mkdir()
        (card.boot / "otpbroker/.brochure.svg.0a1b2c3d").write_text("a code that never counted")
        (card.boot / "otpbroker/._brochure.svg").write_text("another system's")
        card.start()
        assert b"never counted" not in card.on_boot()
        assert (card.boot / "otpbroker/._brochure.svg").exists()
