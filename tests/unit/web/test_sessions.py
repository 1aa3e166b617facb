"""Sessions end: by idleness, by age, by log-out, and with whatever made them valid."""

from dataclasses import dataclass, field

import pytest

from otpbroker.clock import Clock
from otpbroker.config.model import Administrator, AdminSection
from otpbroker.web.sessions import PER_ADMINISTRATOR, Sessions

HASH = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$" + "A" * 43
OTHER_HASH = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$" + "B" * 43
SITI = Administrator(username="siti", password=HASH)
BUDI = Administrator(username="budi", password=HASH)


@dataclass
class Desk:
    """Sessions with a clock and settings that a test turns."""

    now: float = 0.0
    settings: AdminSection = field(
        default_factory=lambda: AdminSection(administrators=(SITI, BUDI), session_idle=1800, session_life=43200)
    )

    def __post_init__(self) -> None:
        self.sessions = Sessions(lambda: self.settings, Clock(monotonic=lambda: self.now))

    def replace(self, **changes: object) -> None:
        changed = SITI.model_copy(update=changes)
        self.settings = self.settings.model_copy(update={"administrators": (changed, BUDI)})


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_token_finds_its_administrator(desk: Desk) -> None:
    token = desk.sessions.open(SITI)
    assert desk.sessions.find(token) == SITI
    assert desk.sessions.find(desk.sessions.open(BUDI)) == BUDI


@pytest.mark.parametrize("token", ["", "siti", "../siti", "\x00", "ü"])
def test_other_tokens_find_nobody(desk: Desk, token: str) -> None:
    desk.sessions.open(SITI)
    assert desk.sessions.find(token) is None


def test_tokens_have_256_bits_and_never_repeat(desk: Desk) -> None:
    tokens = {desk.sessions.open(SITI) for _ in range(100)}
    assert len(tokens) == 100
    assert min(map(len, tokens)) >= 43


def test_the_token_itself_is_not_kept(desk: Desk) -> None:
    token = desk.sessions.open(SITI)
    assert token not in repr(desk.sessions._sessions)


def test_use_keeps_a_session_and_idleness_ends_it(desk: Desk) -> None:
    token = desk.sessions.open(SITI)
    for _ in range(3):
        desk.now += 1799
        assert desk.sessions.find(token) == SITI
    desk.now += 1800
    assert desk.sessions.find(token) is None
    desk.now -= 1800
    assert desk.sessions.find(token) is None


def test_a_look_is_no_use(desk: Desk) -> None:
    token = desk.sessions.open(SITI)
    desk.now += 1000
    assert desk.sessions.find(token, use=False) == SITI
    desk.now += 1000
    assert desk.sessions.find(token, use=False) is None


def test_no_use_makes_a_session_older_than_its_life(desk: Desk) -> None:
    token = desk.sessions.open(SITI)
    while desk.now + 1000 < 43200:
        desk.now += 1000
        assert desk.sessions.find(token) == SITI
    desk.now = 43200
    assert desk.sessions.find(token) is None


def test_log_out_ends_this_session_alone(desk: Desk) -> None:
    token, other = desk.sessions.open(SITI), desk.sessions.open(SITI)
    desk.sessions.close(token)
    desk.sessions.close(token)
    assert desk.sessions.find(token) is None
    assert desk.sessions.find(other) == SITI


def test_revoke_ends_all_of_one_administrator_but_the_kept(desk: Desk) -> None:
    kept, ended, foreign = desk.sessions.open(SITI), desk.sessions.open(SITI), desk.sessions.open(BUDI)
    desk.sessions.revoke("siti", keep=kept)
    assert [desk.sessions.find(token) for token in (kept, ended, foreign)] == [SITI, None, BUDI]


@pytest.mark.parametrize("changes", [{"password": OTHER_HASH}, {"blocked": True}, {"active": False}])
def test_a_changed_account_ends_its_sessions_for_good(desk: Desk, changes: dict[str, object]) -> None:
    token, foreign = desk.sessions.open(SITI), desk.sessions.open(BUDI)
    desk.replace(**changes)
    assert desk.sessions.find(token) is None
    desk.replace()
    assert desk.sessions.find(token) is None
    assert desk.sessions.find(foreign) == BUDI


def test_a_removed_administrator_is_out(desk: Desk) -> None:
    token = desk.sessions.open(SITI)
    desk.settings = desk.settings.model_copy(update={"administrators": (BUDI,)})
    assert desk.sessions.find(token) is None


def test_a_changed_name_or_phone_keeps_the_session(desk: Desk) -> None:
    token = desk.sessions.open(SITI)
    desk.replace(phone="0812")
    found = desk.sessions.find(token)
    assert found is not None
    assert found.phone == "0812"


def test_open_sessions_are_bounded(desk: Desk) -> None:
    tokens = [desk.sessions.open(SITI) for _ in range(PER_ADMINISTRATOR + 3)]
    assert [desk.sessions.find(token) for token in tokens] == [None] * 3 + [SITI] * PER_ADMINISTRATOR


def test_ended_sessions_are_forgotten(desk: Desk) -> None:
    for _ in range(5):
        desk.sessions.open(SITI)
    desk.now += 5000
    desk.sessions.open(BUDI)
    assert len(desk.sessions._sessions) == 1
