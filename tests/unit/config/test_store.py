"""One place reads and writes the configuration: whole or not at all, with revisions and a last good copy."""

import asyncio
import stat
from pathlib import Path

import pytest

from core import full_disks
from otpbroker.config.model import Config, SmsSection
from otpbroker.config.store import REVISIONS, Store
from otpbroker.errors import Misconfigured, Unavailable
from otpbroker.sealing import Sealer

SEALER = Sealer(bytes(32))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def with_life(life: int) -> Config:
    return Config(sms=SmsSection(life=life))


def test_an_absent_file_means_every_default(path: Path) -> None:
    assert Store(path, SEALER).config == Config()
    assert not path.exists()


def test_a_change_is_written_for_the_owner_alone_and_read_by_the_next_process(path: Path) -> None:
    asyncio.run(Store(path, SEALER).update(lambda _: with_life(60), by="test"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Store(path, SEALER).config.sms.life == 60


def test_listeners_hear_of_a_change_once_and_not_of_none(path: Path) -> None:
    store = Store(path, SEALER)
    heard: list[tuple[int, int]] = []
    store.on_change(lambda old, new: heard.append((old.sms.life, new.sms.life)))
    asyncio.run(store.update(lambda _: with_life(60), by="test"))
    asyncio.run(store.update(lambda config: config, by="test"))
    assert heard == [(300, 60)]


def test_a_wrong_change_is_refused_whole(path: Path) -> None:
    store = Store(path, SEALER)
    wrong = SmsSection().model_copy(update={"life": 1})  # copies are not validated by pydantic
    with pytest.raises(Misconfigured, match=r"sms\.life"):
        asyncio.run(store.update(lambda config: config.model_copy(update={"sms": wrong}), by="test"))
    assert store.config == Config()
    assert not path.exists()


def test_earlier_documents_are_kept_as_revisions_up_to_a_bound(path: Path) -> None:
    store = Store(path, SEALER)

    async def change_often() -> None:
        for life in range(60, 60 + REVISIONS + 5):
            await store.update(lambda _, life=life: with_life(life), by="test")  # type: ignore[misc] # bound now

    asyncio.run(change_often())
    kept = sorted((path.parent / "revisions").glob("*.yaml"))
    assert len(kept) == REVISIONS
    assert f"life: {60 + REVISIONS + 3}" in kept[-1].read_text()


def test_changes_at_once_follow_one_another(path: Path) -> None:
    store = Store(path, SEALER)

    def longer(config: Config) -> Config:
        return with_life(config.sms.life + 1)

    async def together() -> None:
        await asyncio.gather(*(store.update(longer, by="test") for _ in range(10)))

    asyncio.run(together())
    assert Store(path, SEALER).config.sms.life == 310


def test_a_file_broken_by_hand_leaves_the_last_good_section_and_a_problem(path: Path) -> None:
    asyncio.run(Store(path, SEALER).update(lambda _: with_life(60), by="test"))
    path.write_text("sms: {life: never}\ndevice: {name: By hand}\n")
    store = Store(path, SEALER)
    assert store.config.sms.life == 60
    assert store.config.device.name == "By hand"
    assert [problem.place for problem in store.problems] == ["sms.life"]


def test_a_file_that_is_no_yaml_leaves_the_last_good_document(path: Path) -> None:
    asyncio.run(Store(path, SEALER).update(lambda _: with_life(60), by="test"))
    path.write_text("sms: [")
    store = Store(path, SEALER)
    assert store.config.sms.life == 60
    assert store.problems


def test_reload_takes_up_what_somebody_else_wrote(path: Path) -> None:
    store = Store(path, SEALER)
    heard: list[int] = []
    store.on_change(lambda _, new: heard.append(new.sms.life))
    path.write_text("sms: {life: 42}\n")
    asyncio.run(store.reload())
    assert (store.config.sms.life, heard) == (42, [42])
    path.write_text("sms: {life: broken}\n")
    asyncio.run(store.reload())
    assert (store.config.sms.life, heard) == (42, [42])
    assert store.problems


def test_a_plain_pin_is_sealed_when_the_document_is_next_written(path: Path) -> None:
    path.write_text("modems: [{id: a, port: /dev/x, pin: '4711'}]\n")
    store = Store(path, SEALER)
    assert "4711" not in path.with_name("config.last-good.yaml").read_text()
    asyncio.run(store.update(lambda config: config.model_copy(update={"sms": SmsSection(life=60)}), by="test"))
    assert "4711" not in path.read_text()
    again = Store(path, SEALER).config.modems[0].pin
    assert again is not None
    assert again.get_secret_value() == "4711"


@pytest.mark.parametrize("by", ["admin owner", "evil\nsms: {life: 10}"])
def test_who_changed_it_stands_in_a_comment_and_can_not_be_more_than_that(path: Path, by: str) -> None:
    asyncio.run(Store(path, SEALER).update(lambda _: with_life(60), by=by))
    assert Store(path, SEALER).config.sms.life == 60


def test_what_the_disk_does_not_take_changes_nothing(path: Path) -> None:
    store = Store(path, SEALER)
    heard: list[Config] = []
    asyncio.run(store.update(lambda _: with_life(60), by="test"))
    before = path.read_bytes()
    store.on_change(lambda _, new: heard.append(new))
    with full_disks(size=20), pytest.raises(Unavailable) as refused:
        asyncio.run(store.update(lambda _: with_life(70), by="test"))
    assert refused.value.code == "not-saved"
    assert (store.config.sms.life, heard) == (60, [])
    assert path.read_bytes() == before
    asyncio.run(store.update(lambda _: with_life(70), by="test"))
    assert Store(path, SEALER).config.sms.life == 70


def test_a_crash_before_the_new_document_took_its_place_leaves_the_old_one(path: Path) -> None:
    asyncio.run(Store(path, SEALER).update(lambda _: with_life(60), by="test"))
    path.with_name(".config.yaml.0a1b2c3d").write_text("sms: {li")
    store = Store(path, SEALER)
    assert (store.config.sms.life, store.problems) == (60, ())


def test_a_crash_after_it_leaves_the_new_one_as_the_last_good(path: Path) -> None:
    asyncio.run(Store(path, SEALER).update(lambda _: with_life(60), by="test"))
    path.write_text("sms: {life: 70}\n")  # the last good copy still says 60
    Store(path, SEALER)
    path.write_text("sms: {life: broken}\n")
    assert Store(path, SEALER).config.sms.life == 70


def test_a_mistake_after_the_start_keeps_what_runs_although_no_good_copy_was_ever_made(path: Path) -> None:
    path.write_text("modems: [{id: wrong id, port: /dev/x}]\nsms: {life: 60}\n")
    store = Store(path, SEALER)
    assert store.config.sms.life == 60
    path.write_text("modems: [{id: wrong id, port: /dev/x}]\nsms: {life: never}\n")
    asyncio.run(store.reload())
    assert store.config.sms.life == 60


def test_a_document_with_mistakes_is_not_written_over(path: Path) -> None:
    text = "modems: [{id: wrong id, port: /dev/x}]\n"
    path.write_text(text)
    with pytest.raises(Misconfigured) as refused:
        asyncio.run(Store(path, SEALER).update(lambda _: with_life(60), by="test"))
    assert refused.value.code == "config-has-mistakes"
    assert path.read_text() == text


def test_a_change_keeps_what_somebody_else_wrote_meanwhile(path: Path) -> None:
    store = Store(path, SEALER)
    path.write_text("device: {name: By hand}\n")
    asyncio.run(store.update(lambda config: config.model_copy(update={"sms": SmsSection(life=60)}), by="test"))
    assert (store.config.device.name, store.config.sms.life) == ("By hand", 60)


def test_a_revision_holds_no_pin_in_clear(path: Path) -> None:
    path.write_text("modems: [{id: a, port: /dev/x, pin: '4711'}]\n")
    store = Store(path, SEALER)
    asyncio.run(store.update(lambda config: config.model_copy(update={"sms": SmsSection(life=60)}), by="test"))
    (revision,) = (path.parent / "revisions").glob("*.yaml")
    assert "4711" not in revision.read_text()


def test_a_document_that_is_gone_leaves_the_last_good_one(path: Path) -> None:
    asyncio.run(Store(path, SEALER).update(lambda _: with_life(60), by="test"))
    path.unlink()
    store = Store(path, SEALER)
    assert store.config.sms.life == 60
    assert store.problems
