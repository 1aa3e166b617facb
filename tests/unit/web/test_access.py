"""HTTP Basic for API users: only the real password, cheap when known, slow to guess, nobody locked out."""

import asyncio
import base64
from collections.abc import Callable

import pytest

from otpbroker.config.model import ApiUser
from otpbroker.errors import OtpBrokerError, Unavailable
from otpbroker.passwords import hash_password
from otpbroker.rate import TooManyAttempts
from otpbroker.web.access import Access, Unauthenticated
from otpbroker.web.hashing import WAITING, HashingThread

PASSWORD = "correct:horse:battery"
HASH = hash_password(PASSWORD)
HOME, ELSEWHERE = "192.0.2.1", "198.51.100.9"


class Users:
    """The configured users, replaceable as the store replaces them."""

    def __init__(self, *users: ApiUser) -> None:
        self.now = users

    def __call__(self) -> tuple[ApiUser, ...]:
        return self.now


class CountingThread(HashingThread):
    """Counts what is really computed."""

    def __init__(self) -> None:
        super().__init__()
        self.checks = 0

    async def run(self, function, *args, **kwargs):  # type: ignore[no-untyped-def] # passes on what it gets
        self.checks += 1
        return await super().run(function, *args, **kwargs)


class Time:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def users() -> Users:
    return Users(ApiUser(username="shop", password=HASH))


@pytest.fixture
def hashing() -> CountingThread:
    return CountingThread()


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def access(users: Users, hashing: CountingThread, clock: Time) -> Access:
    return Access(users, hashing, clock)


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


RIGHT = basic("shop", PASSWORD)


async def outcome(access: Access, header: str | None, address: str = HOME) -> str | type[OtpBrokerError]:
    try:
        return await access.authenticate(header, address)
    except OtpBrokerError as error:
        return type(error)


async def test_the_right_password_proves_the_user_colons_and_all(access: Access) -> None:
    """The older products cut a password at its second colon."""
    assert await outcome(access, RIGHT) == "shop"
    assert await outcome(access, basic("shop", "correct")) is Unauthenticated


async def test_the_hash_is_not_the_password(access: Access) -> None:
    """Weakness 1: with the older product the stored hash itself logged in."""
    assert await outcome(access, basic("shop", HASH)) is Unauthenticated
    assert await outcome(access, basic("shop", HASH.rpartition("$")[2])) is Unauthenticated


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic",
        "Basic ",
        "Basic !!!!",
        "Basic c2hvcA==",  # no colon
        basic("", PASSWORD),
        "Bearer " + RIGHT.partition(" ")[2],
        RIGHT.partition(" ")[2],
        "Basic " + base64.b64encode(b"shop:\xff").decode(),
        RIGHT + "x",
    ],
)
async def test_malformed_credentials_prove_nothing_and_cost_nothing(
    access: Access, hashing: CountingThread, header: str | None
) -> None:
    assert await outcome(access, header) is Unauthenticated
    assert hashing.checks == 0


async def test_the_scheme_is_case_insensitive(access: Access) -> None:
    assert await outcome(access, RIGHT.replace("Basic", "bAsIc")) == "shop"


async def test_known_credentials_are_not_computed_again(access: Access, hashing: CountingThread) -> None:
    for _ in range(100):
        await access.authenticate(RIGHT, HOME)
    assert hashing.checks == 1


async def test_requests_that_come_together_share_one_computation(access: Access, hashing: CountingThread) -> None:
    found = await asyncio.gather(*(outcome(access, RIGHT) for _ in range(200)))
    assert set(found) == {"shop"}
    assert hashing.checks == 1


async def test_a_first_request_that_goes_away_does_not_harm_the_others(access: Access) -> None:
    first = asyncio.create_task(access.authenticate(RIGHT, HOME))
    await asyncio.sleep(0)
    second = asyncio.create_task(access.authenticate(RIGHT, HOME))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == "shop"


@pytest.mark.parametrize(
    "change",
    [
        lambda user: user.model_copy(update={"active": False}),
        lambda user: user.model_copy(update={"blocked": True}),
        lambda user: user.model_copy(update={"password": hash_password("another long password")}),
        lambda user: user.model_copy(update={"username": "other"}),
    ],
)
async def test_a_changed_user_has_to_prove_itself_again(
    access: Access, users: Users, change: Callable[[ApiUser], ApiUser]
) -> None:
    await access.authenticate(RIGHT, HOME)
    users.now = tuple(change(user) for user in users.now)
    assert await outcome(access, RIGHT) is Unauthenticated


async def test_another_users_change_leaves_known_credentials_alone(
    access: Access, users: Users, hashing: CountingThread
) -> None:
    await access.authenticate(RIGHT, HOME)
    users.now = (*users.now, ApiUser(username="new", password=HASH))
    assert await outcome(access, RIGHT) == "shop"
    assert hashing.checks == 1


async def test_an_unknown_user_costs_the_same_computation(access: Access, hashing: CountingThread) -> None:
    """The time of the answer does not tell which names there are."""
    assert await outcome(access, basic("nobody", PASSWORD)) is Unauthenticated
    assert hashing.checks == 1
    assert await outcome(access, basic("shop", "guess")) is Unauthenticated
    assert hashing.checks == 2


async def test_guessing_from_one_address_is_stopped(access: Access, clock: Time, hashing: CountingThread) -> None:
    found = [await outcome(access, basic("shop", f"guess {n}")) for n in range(15)]
    assert found == [Unauthenticated] * 10 + [TooManyAttempts] * 5
    assert hashing.checks == 10
    clock.now += 10
    assert await outcome(access, basic("shop", "guess")) is Unauthenticated


async def test_the_refusal_says_when_to_come_again(access: Access) -> None:
    for n in range(10):
        await outcome(access, basic("shop", f"guess {n}"))
    with pytest.raises(TooManyAttempts) as refusal:
        await access.authenticate(basic("shop", "guess"), HOME)
    assert 0 < refusal.value.retry_after <= 10


async def test_many_guesses_at_once_pay_before_they_are_looked_at(access: Access, hashing: CountingThread) -> None:
    found = await asyncio.gather(*(outcome(access, basic("shop", f"guess {n}")) for n in range(40)))
    assert found.count(Unauthenticated) == 10
    assert hashing.checks == 10


async def test_guesses_elsewhere_never_lock_a_user_out(access: Access, clock: Time) -> None:
    for attacker in range(5):
        for n in range(12):
            await outcome(access, basic("shop", f"guess {attacker} {n}"), f"203.0.113.{attacker}")
    clock.now += 15  # the attackers' own buckets have a token again, the user's is all but empty
    found = [await outcome(access, basic("shop", f"more {a}"), f"203.0.113.{a}") for a in range(5)]

    assert TooManyAttempts in found  # guessing one user from many addresses is slowed
    assert await outcome(access, RIGHT, ELSEWHERE) == "shop"


async def test_known_credentials_pass_even_from_the_address_that_guesses(access: Access) -> None:
    """Behind one NAT address a neighbour's guesses do not stop a server that works."""
    await access.authenticate(RIGHT, HOME)
    for n in range(15):
        await outcome(access, basic("shop", f"guess {n}"))
    assert await outcome(access, RIGHT) == "shop"


async def test_right_credentials_cost_no_token(access: Access, users: Users) -> None:
    headers = [basic("shop", PASSWORD)]
    users.now = tuple(ApiUser(username=f"shop{n}", password=HASH) for n in range(20))
    headers = [basic(f"shop{n}", PASSWORD) for n in range(20)]
    assert [await outcome(access, header) for header in headers] == [f"shop{n}" for n in range(20)]


async def test_a_flood_is_turned_away_before_it_costs_memory(access: Access) -> None:
    found = await asyncio.gather(
        *(outcome(access, basic(f"user{n}", "guess"), f"10.0.{n}.1") for n in range(WAITING * 2))
    )
    assert found.count(Unavailable) == WAITING
    assert found.count(Unauthenticated) == WAITING


async def test_nothing_that_was_typed_is_in_the_log(access: Access, caplog: pytest.LogCaptureFixture) -> None:
    await outcome(access, basic("my-secret-as-name", "my-secret"))
    assert HOME in caplog.text
    assert "my-secret" not in caplog.text


def test_rights_are_those_of_the_users_entry_now() -> None:
    users = [ApiUser(username="shop", password=HASH, rights=("ussd",))]
    access = Access(lambda: tuple(users), HashingThread())
    assert access.rights("shop") == {"ussd"}
    users[0] = ApiUser(username="shop", password=HASH)
    assert access.rights("shop") == access.rights("nobody") == frozenset()
