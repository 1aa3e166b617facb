"""The device's keys: made once, sealed at rest, replaced without loss."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from joserfc.jwk import ECKey

from otpbroker.errors import Misconfigured
from otpbroker.feeder.key_ring import DAY, MOST_OLD, KeyRing
from otpbroker.sealing import Sealer

SECRET = bytes(range(32))
NOON = 1_800_000_000.0


class Clock:
    now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def ring(folder: Path, clock: Clock, secret: bytes = SECRET) -> KeyRing:
    return KeyRing(folder / "feeder-keys", Sealer(secret), clock)


def test_the_first_key_is_made_when_it_is_asked_for_and_stays(tmp_path: Path, clock: Clock) -> None:
    kept = ring(tmp_path, clock)
    assert kept.usable() == ()
    first = kept.ensure()
    assert kept.ensure().kid == first.kid
    assert ring(tmp_path, clock).ensure().kid == first.kid, "for another process too"
    assert [path.name for path in tmp_path.iterdir()] == ["feeder-keys"]


def test_what_is_given_out_is_public_and_its_name_is_its_thumbprint(tmp_path: Path, clock: Clock) -> None:
    key = ring(tmp_path, clock).ensure()
    assert set(key.public) == {"kty", "crv", "x", "y", "use", "alg", "kid"}
    assert key.public["crv"] == "P-256"
    assert key.kid == ECKey.import_key({name: key.public[name] for name in ("kty", "crv", "x", "y")}).thumbprint()
    assert "d" not in key.public
    assert repr(key).count(key.public["x"]) == 0


def test_the_file_is_the_owners_and_holds_nothing_in_clear(tmp_path: Path, clock: Clock) -> None:
    key = ring(tmp_path, clock).ensure()
    path = tmp_path / "feeder-keys"
    private = key.pair.as_dict(private=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for value in (private["d"], private["x"]):
        assert str(value).encode() not in path.read_bytes()


def test_a_replaced_key_opens_messages_for_its_time_and_no_longer(tmp_path: Path, clock: Clock) -> None:
    kept = ring(tmp_path, clock)
    first = kept.ensure()
    second = kept.rotate(keep=2 * DAY)
    assert [key.kid for key in kept.usable()] == [second.kid, first.kid]
    clock.now += DAY
    third = kept.rotate(keep=30 * DAY)
    assert [key.kid for key in kept.usable()] == [third.kid, second.kid, first.kid]
    clock.now += DAY + 1
    assert [key.kid for key in kept.usable()] == [third.kid, second.kid], (
        "a later rotation does not lengthen its time"
    )
    kept.rotate(keep=0)
    assert len(kept.usable()) == 1, "at once, when a key got lost"


def test_old_keys_are_bounded(tmp_path: Path, clock: Clock) -> None:
    kept = ring(tmp_path, clock)
    for _ in range(MOST_OLD + 5):
        kept.rotate()
    assert len(kept.usable()) == MOST_OLD + 1


def test_a_change_by_another_process_is_taken_up(tmp_path: Path, clock: Clock) -> None:
    agents, operators = ring(tmp_path, clock), ring(tmp_path, clock)
    first = agents.ensure()
    assert agents.usable()[0].kid == first.kid
    fresh = operators.rotate()
    assert fresh.kid != first.kid
    assert [key.kid for key in agents.usable()] == [fresh.kid, first.kid]


def test_processes_that_begin_at_once_agree(tmp_path: Path, clock: Clock) -> None:
    with ThreadPoolExecutor(6) as threads:
        kids = set(threads.map(lambda _: ring(tmp_path, clock).ensure().kid, range(12)))
    assert len(kids) == 1


@pytest.mark.parametrize("spoil", ["another secret", "changed", "no list"])
def test_a_file_that_can_not_be_opened_is_told_and_not_overwritten(
    tmp_path: Path, clock: Clock, spoil: str
) -> None:
    ring(tmp_path, clock).ensure()
    path = tmp_path / "feeder-keys"
    if spoil == "changed":
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    if spoil == "no list":
        path.write_bytes(Sealer(SECRET).seal(json.dumps([{"key": 1}]).encode(), "feeder-keys"))
    before = path.read_bytes()
    kept = ring(tmp_path, clock, bytes(32) if spoil == "another secret" else SECRET)
    for use in (kept.usable, kept.ensure, kept.rotate):
        with pytest.raises(Misconfigured, match="backup"):
            use()
    assert path.read_bytes() == before
