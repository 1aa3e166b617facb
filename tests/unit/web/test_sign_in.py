"""Log-in attempts: what passes, what is refused, and who waits."""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import pytest

from otpbroker.clock import Clock
from otpbroker.config.model import Administrator, AdminSection
from otpbroker.errors import Denied, Unavailable
from otpbroker.passwords import hash_password
from otpbroker.rate import TooManyAttempts
from otpbroker.web.hashing import WAITING, HashingThread
from otpbroker.web.sign_in import SignIn

P = ParamSpec("P")
T = TypeVar("T")

PASSWORD = "lima ekor kucing hitam"
SITI = Administrator(username="siti", password=hash_password(PASSWORD))
SETTINGS = AdminSection(administrators=(SITI,))
HOME = "192.168.1.7"


@dataclass
class Elapsed:
    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def elapsed() -> Elapsed:
    return Elapsed()


@pytest.fixture
async def sign_in(elapsed: Elapsed) -> SignIn:
    return SignIn(lambda: SETTINGS, HashingThread(), Clock(monotonic=elapsed))


async def fail(sign_in: SignIn, address: str, username: str = "siti") -> str:
    with pytest.raises(Denied) as refused:
        await sign_in.check(username, "wrong", address)
    return refused.value.code


async def test_name_and_password_pass(sign_in: SignIn) -> None:
    assert await sign_in.check("siti", PASSWORD, HOME) == SITI


class CountingThread(HashingThread):
    """Tells how often a password was computed."""

    computed = 0

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        self.computed += 1
        return await super().run(function, *args, **kwargs)


async def test_a_name_that_is_not_there_costs_the_same_computation(elapsed: Elapsed) -> None:
    hashing = CountingThread()
    sign_in = SignIn(lambda: SETTINGS, hashing, Clock(monotonic=elapsed))
    for tries, username in enumerate(("siti", "mallory", ""), 1):
        await fail(sign_in, HOME, username)
        assert hashing.computed == tries


@pytest.mark.parametrize(
    ("username", "password"),
    [("siti", "wrong"), ("mallory", PASSWORD), ("", PASSWORD), ("siti", ""), ("SITI", PASSWORD)],
)
async def test_all_else_is_refused_alike(sign_in: SignIn, username: str, password: str) -> None:
    with pytest.raises(Denied) as refused:
        await sign_in.check(username, password, HOME)
    assert (refused.value.code, str(refused.value)) == ("wrong-credentials", "user name or password is wrong")


async def test_without_administrators_nobody_passes() -> None:
    empty = SignIn(AdminSection, HashingThread(), Clock())
    with pytest.raises(Denied):
        await empty.check("siti", PASSWORD, HOME)


async def test_one_address_gets_eight_wrong_tries(sign_in: SignIn, elapsed: Elapsed) -> None:
    assert {await fail(sign_in, HOME) for _ in range(8)} == {"wrong-credentials"}
    with pytest.raises(TooManyAttempts) as refused:
        await sign_in.check("siti", PASSWORD, HOME)
    assert refused.value.retry_after == pytest.approx(15)
    elapsed.seconds += 15
    assert await sign_in.check("siti", PASSWORD, HOME) == SITI


async def test_right_log_ins_are_not_counted(sign_in: SignIn) -> None:
    for _ in range(20):
        assert await sign_in.check("siti", PASSWORD, HOME) == SITI


async def test_one_ipv6_network_counts_as_one_address(sign_in: SignIn) -> None:
    codes = [await fail(sign_in, f"2001:db8:1:2::{n:x}", f"user{n}") for n in range(9)]
    assert codes[-1] == "too-many-attempts"


async def test_many_addresses_cannot_guess_one_name_for_long(sign_in: SignIn) -> None:
    codes = [await fail(sign_in, f"10.0.0.{n}") for n in range(21)]
    assert codes == ["wrong-credentials"] * 20 + ["too-many-attempts"]


async def test_strangers_who_guess_do_not_lock_the_owner_out(sign_in: SignIn) -> None:
    await sign_in.check("siti", PASSWORD, HOME)
    for n in range(30):
        await fail(sign_in, f"10.0.0.{n}")
    assert await sign_in.check("siti", PASSWORD, HOME) == SITI


async def test_hashing_is_done_one_at_a_time_off_the_loop() -> None:
    hashing, running, most = HashingThread(), 0, 0

    def work() -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.01)
        running -= 1
        return threading.current_thread().name

    threads = await asyncio.gather(*(hashing.run(work) for _ in range(4)))
    assert most == 1
    assert threading.current_thread().name not in threads


async def test_a_flood_of_log_ins_is_turned_away() -> None:
    hashing, go = HashingThread(), threading.Event()
    waiting = [asyncio.create_task(hashing.run(go.wait, 5)) for _ in range(WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await hashing.run(go.wait, 5)
    go.set()
    assert all(await asyncio.gather(*waiting))
    assert await hashing.run(go.wait, 5)
