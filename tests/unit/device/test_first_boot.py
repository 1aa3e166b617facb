"""The first boot of a card without a provisioning file: the unit makes itself, and what a power cut may leave."""

from pathlib import Path

import pytest
from cards import ADMINISTRATOR, SEALER, Card, document
from units import SSID

from core import full_disks
from otpbroker.codes import canonical
from otpbroker.config.store import Store
from otpbroker.errors import Misconfigured, Unavailable
from otpbroker.passwords import verify_password


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
