"""The relay's two files and the command that adds users."""

import io
import os
import stat
from pathlib import Path

import pytest

from otpbroker.cli import main
from otpbroker.errors import Misconfigured
from otpbroker.passwords import verify_password
from otpbroker.relay.settings import RelaySettings, load_settings
from otpbroker.relay.users import RelayUser, Users, read_users, write_user

PHRASE = "lima ekor kucing\n"
EVERYWHERE = "0.0.0.0"  # noqa: S104 # a setting, nothing listens
HASH = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"


def user(**channels: object) -> RelayUser:
    return RelayUser.model_validate({"username": "shop", "password": HASH, **channels})


def test_channels_are_named_whole_or_by_their_beginning() -> None:
    shop = user(publish=["sms", "otp-*"])
    assert shop.may_publish("sms")
    assert shop.may_publish("otp-1")
    assert not shop.may_publish("sms2")
    assert not shop.may_consume("sms")


@pytest.mark.parametrize(("publish", "consume"), [("sms", "sms"), ("s*", "sms"), ("sms", "*"), ("a*", "ab*")])
def test_nobody_consumes_what_it_publishes(publish: str, consume: str) -> None:
    with pytest.raises(ValueError, match="make two users"):
        user(publish=[publish], consume=[consume])
    user(publish=["sms"], consume=["answer-*"])


@pytest.mark.parametrize(
    "text",
    ["users: 5", "users:\n- {username: a}", "users: [", f"users:\n- &a {{username: a, password: '{HASH}'}}\n- *a"],
)
def test_a_broken_users_file_is_told_by_its_place_and_changes_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "users.yaml"
    path.write_text(f"users:\n- {{username: shop, password: '{HASH}', publish: [sms]}}\n")
    users = Users(path)
    path.write_text(text)
    with pytest.raises(Misconfigured, match=r"users\.yaml"):
        users.refresh()
    assert users.named("shop") is not None
    assert not users.refresh(), "told once"
    with pytest.raises(Misconfigured):
        users.refresh(again=True)
    path.chmod(0o640)
    with pytest.raises(Misconfigured):  # it may be another reason now
        users.refresh()
    path.write_text(f"users:\n- {{username: other, password: '{HASH}', publish: [sms]}}\n")
    assert users.refresh()
    assert users.named("other") is not None


def test_a_users_file_that_can_not_be_read_is_told_by_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "users.yaml"
    path.mkdir()
    with pytest.raises(Misconfigured, match="Is a directory"):
        Users(path)


def test_who_could_read_the_users_file_still_can_when_a_user_is_added(tmp_path: Path) -> None:
    path = tmp_path / "users.yaml"
    write_user(path, user(publish=["sms"]))
    path.chmod(0o640)
    if os.geteuid() == 0:  # only root can give files away
        os.chown(path, 12345, 12346)
    before = path.stat()
    write_user(path, user(publish=["other"]))
    after = path.stat()
    assert read_users(path)[0].publish == ("other",)
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize(("folder", "file"), [(0o750, 0o640), (0o700, 0o600), (0o755, 0o640)])
def test_the_first_user_that_root_adds_is_readable_for_the_group_that_reads_the_folder(
    tmp_path: Path, folder: int, file: int
) -> None:
    os.chown(tmp_path, 0, 12346)
    tmp_path.chmod(folder)
    write_user(tmp_path / "users.yaml", user(publish=["sms"]))
    made = (tmp_path / "users.yaml").stat()
    assert (stat.S_IMODE(made.st_mode), made.st_uid, made.st_gid) == (file, 0, 12346)


def test_a_user_is_added_and_replaced_by_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "users.yaml"

    def add(*words: str, password: str = PHRASE) -> int:
        monkeypatch.setattr("sys.stdin", io.StringIO(password))
        return main(["relay", "add-user", *words, "--users", str(path)])

    assert add("shop", "--publish", "sms", "--consume", "answer-*") == 0
    assert add("device", "--consume", "sms") == 0
    assert add("shop", "--publish", "other", password="enam ekor kucing\n") == 0
    shop, device = sorted(read_users(path), key=lambda one: one.username, reverse=True)
    assert verify_password(shop.password, "enam ekor kucing")
    assert (shop.publish, shop.consume, device.consume) == (("other",), (), ("sms",))
    assert path.stat().st_mode & 0o777 == 0o600
    assert add("weak", "--publish", "sms", password="short\n") == 1
    assert add("none") == 1
    assert add("both", "--publish", "sms", "--consume", "sms") == 1
    assert "make two users" in capsys.readouterr().err


def test_the_older_publisher_whose_password_is_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "users.yaml"
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    name = "pub-b3f0a94c1d6e72885a1c"
    words = ["relay", "add-user", "--publish", "sms", "--users", str(path), "--name-is-password"]
    assert main([*words, name]) == 0
    assert verify_password(read_users(path)[0].password, name)
    assert main([*words, "shop"]) == 1
    shown = read_users(path)[0].shown
    assert shown.startswith("user ")
    assert name[:5] not in shown, "the log must not have a password"
    assert shown in capsys.readouterr().out
    assert user().shown == "shop"


def test_an_address_that_is_none_is_told_by_its_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["relay", "--address", "foo"]) == 1
    assert "--address: is no IP address (name one" in capsys.readouterr().err


def test_no_message_may_be_larger_than_a_device_takes(tmp_path: Path) -> None:
    path = tmp_path / "relay.yaml"
    path.write_text("limits: {message: 65537}\n")
    with pytest.raises(Misconfigured, match=r"limits\.message"):
        load_settings(path)


def test_settings_are_found_beside_their_file_and_mistakes_are_named(tmp_path: Path) -> None:
    path = tmp_path / "relay.yaml"
    path.write_text("limits: {life: 60}\n")
    settings = load_settings(path)
    assert settings.users == tmp_path / "users.yaml"
    assert settings.limits.life == 60
    for text, place in (("limits: {life: soon}", "limits.life"), ("porto: 5", "porto"), ("a: [", "line")):
        path.write_text(text)
        with pytest.raises(Misconfigured, match=place):
            load_settings(path)
    with pytest.raises(Misconfigured, match="can't be read"):
        load_settings(tmp_path / "none.yaml")


def test_without_tls_it_listens_on_loopback_unless_it_is_told_otherwise() -> None:
    tls = {"certificate": "/c.pem", "key": "/k.pem"}
    assert RelaySettings().listen_address == "127.0.0.1"
    assert RelaySettings.model_validate({"tls": tls}).listen_address == EVERYWHERE
    assert not RelaySettings.model_validate({"tls": tls}).exposed
    assert RelaySettings.model_validate({"address": EVERYWHERE}).exposed
