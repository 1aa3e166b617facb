"""A provisioning file on the boot partition is taken whole, or its mistakes are told and the unit makes itself."""

import os

import pytest
import yaml
from cards import ADMINISTRATOR, Card, document
from units import PASSPHRASE, SSID

from otpbroker.codes import canonical
from otpbroker.config.document import dump_clear
from otpbroker.config.model import Config
from otpbroker.device.unit import new_unit, unit_config
from otpbroker.passwords import hash_password, verify_password

EVERYWHERE = "0.0.0.0"  # noqa: S104


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

    def test_a_file_nested_without_end_is_told(self, card: Card) -> None:
        card.provide("[" * 5000)
        assert not card.start()
        assert "config.yaml: is nested too deeply" in card.problems
        assert card.config.access_point.made

    def test_a_date_that_is_none_is_told(self, card: Card) -> None:
        card.provide("device: {name: 2024-13-45}\n")
        assert not card.start()
        assert "config.yaml: line 1, column 16 is not YAML" in card.problems
        assert card.config.access_point.made

    def test_a_folder_of_its_name_is_told(self, card: Card) -> None:
        card.provisioning.mkdir(parents=True)
        for _ in range(2):
            assert not card.start()
            assert "config.yaml: is a folder" in card.problems
        assert card.config.access_point.made
        assert str(card.config.access_point.ssid) in card.brochure

    def test_a_file_in_place_of_the_folder_makes_way_and_stays_readable(self, card: Card) -> None:
        (card.boot / "otpbroker").write_text(document())
        assert not card.start()
        (aside,) = card.boot.glob("otpbroker-*.txt")
        assert aside.read_text() == document()
        assert f"otpbroker: was a file, which is called {aside.name} now" in card.problems
        assert card.config.access_point.made
        assert card.config.access_point.ssid != SSID
        assert str(card.config.access_point.ssid) in card.brochure

    def test_it_says_so_in_both_languages_with_the_line_ends_of_every_editor(self, card: Card) -> None:
        card.provide("sms: {life: 1}")
        card.start()
        assert "Perbaiki" in card.problems
        assert "then start the device again" in card.problems
        assert card.problems.count("\n") == card.problems.count("\r\n")
