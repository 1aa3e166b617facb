"""One-time passwords: a hash only, few tries, a short life, bound to receiver, reference and parameters."""

import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from core import RECEIVER, Core, StartCore, full_disks
from fakes import FakeClock, FakeSender, modem
from otpbroker.errors import Misconfigured, OtpBrokerError, Rejected, Unavailable
from otpbroker.messaging.command import Block, RequestOtp, Unblock, VerifyOtp
from otpbroker.messaging.journal import Journal
from otpbroker.messaging.otp import DIGITS, TRIES, Otps
from otpbroker.messaging.outcome import OtpRequested, OtpVerified, State, Verdict
from otpbroker.sms.submission import Refused, Retry, Unknown
from virtual_time import NOON

PARAMS = ("transfer", "100000", "", "")
NUMBER = "6281234567890"


@pytest.fixture
def otps(ram_folder: Path, fake_clock: FakeClock) -> Iterator[Otps]:
    journal = Journal(ram_folder)
    yield Otps(journal, fake_clock.clock)
    journal.close()


def issue(
    otps: Otps, clock: FakeClock, reference: str = "login-1", life: float = 300.0, caller: str = "shop"
) -> tuple[str, str]:
    """The code and its ticket."""
    wanted = RequestOtp(RECEIVER, reference, "Kode %s", params=PARAMS)
    return otps.create(wanted, NUMBER, clock.unix + life, caller)


def create(
    otps: Otps, clock: FakeClock, reference: str = "login-1", life: float = 300.0, caller: str = "shop"
) -> str:
    return issue(otps, clock, reference, life, caller)[0]


def verify(
    otps: Otps,
    code: str,
    reference: str = "login-1",
    receiver: str = NUMBER,
    params: tuple[str, str, str, str] = PARAMS,
    caller: str = "shop",
) -> OtpVerified:
    return otps.verify(VerifyOtp(RECEIVER, reference, code, params=params), receiver, caller)


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10**DIGITS:0{DIGITS}}"


def test_the_right_code_is_valid_once(otps: Otps, fake_clock: FakeClock) -> None:
    code = create(otps, fake_clock)
    assert re.fullmatch(r"[0-9]{6}", code)
    assert verify(otps, code).verdict is Verdict.VALID
    assert verify(otps, code).verdict is Verdict.INVALID


def test_codes_are_not_guessed_from_each_other(otps: Otps, fake_clock: FakeClock) -> None:
    codes = [create(otps, fake_clock, f"login-{number}") for number in range(300)]
    assert len(set(codes)) > 290
    assert any(code.startswith("0") for code in codes)


def test_codes_do_not_come_from_a_generator_that_can_be_foreseen(otps: Otps, fake_clock: FakeClock) -> None:
    codes = []
    for number in range(3):
        random.seed(4711)
        codes.append([create(otps, fake_clock, f"login-{number}-{index}") for index in range(4)])
    assert codes[0] != codes[1] != codes[2]


def test_a_wrong_code_costs_a_try_and_the_tries_end(otps: Otps, fake_clock: FakeClock) -> None:
    code = create(otps, fake_clock)
    left = [verify(otps, wrong(code)).tries_left for _ in range(TRIES)]
    assert left == [4, 3, 2, 1, 0]
    assert verify(otps, code) == OtpVerified("login-1", NUMBER, Verdict.INVALID, 0)


def test_the_last_try_may_be_the_right_one(otps: Otps, fake_clock: FakeClock) -> None:
    code = create(otps, fake_clock)
    for _ in range(TRIES - 1):
        verify(otps, wrong(code))
    assert verify(otps, code).verdict is Verdict.VALID


def test_spent_tries_are_not_bought_back_with_the_same_reference(otps: Otps, fake_clock: FakeClock) -> None:
    code = create(otps, fake_clock)
    for _ in range(TRIES):
        verify(otps, wrong(code))
    with pytest.raises(Rejected, match="reference is live"):
        create(otps, fake_clock)


def test_tries_are_counted_over_a_restart(ram_folder: Path, fake_clock: FakeClock) -> None:
    first = Journal(ram_folder)
    code = create(Otps(first, fake_clock.clock), fake_clock)
    for _ in range(TRIES):
        verify(Otps(first, fake_clock.clock), wrong(code))
    first.close()
    second = Journal(ram_folder)
    assert verify(Otps(second, fake_clock.clock), code).verdict is Verdict.INVALID
    second.close()


def test_after_its_expiry_even_the_right_code_is_expired(otps: Otps, fake_clock: FakeClock) -> None:
    code = create(otps, fake_clock, life=300)
    fake_clock.advance(299.9)
    assert verify(otps, wrong(code)).verdict is Verdict.INVALID
    fake_clock.advance(0.1)
    assert verify(otps, code).verdict is Verdict.EXPIRED
    assert verify(otps, wrong(code)).verdict is Verdict.EXPIRED


@pytest.mark.parametrize(
    ("receiver", "reference", "params"),
    [
        ("6281234567891", "login-1", PARAMS),
        (NUMBER, "login-2", PARAMS),
        (NUMBER, "login-1", ("transfer", "999999", "", "")),
        (NUMBER, "login-1", ("transfer100000", "", "", "")),
        (NUMBER, "login-1", ("", "", "", "")),
    ],
    ids=["receiver", "reference", "amount", "run together", "none"],
)
def test_a_code_is_bound_to_what_it_was_made_for(
    otps: Otps, fake_clock: FakeClock, receiver: str, reference: str, params: tuple[str, str, str, str]
) -> None:
    code = create(otps, fake_clock)
    assert verify(otps, code, reference, receiver, params).verdict is Verdict.INVALID
    assert verify(otps, code).verdict is Verdict.VALID


def test_a_live_reference_is_a_duplicate(otps: Otps, fake_clock: FakeClock) -> None:
    code, ticket = issue(otps, fake_clock)
    with pytest.raises(Rejected) as refusal:
        create(otps, fake_clock)
    assert (refusal.value.code, refusal.value.field) == ("otp-duplicate", "reference")
    otps.settle(ticket, State.SENT)
    with pytest.raises(Rejected):
        create(otps, fake_clock)
    assert verify(otps, code).verdict is Verdict.VALID


def test_a_reference_is_free_after_its_code_was_used_or_expired(otps: Otps, fake_clock: FakeClock) -> None:
    verify(otps, create(otps, fake_clock))
    create(otps, fake_clock, life=60)
    fake_clock.advance(60)
    assert verify(otps, create(otps, fake_clock)).verdict is Verdict.VALID


@pytest.mark.parametrize("state", [State.FAILED, State.EXPIRED, State.BLOCKED])
def test_a_reference_whose_message_was_not_sent_is_free(otps: Otps, fake_clock: FakeClock, state: State) -> None:
    first, ticket = issue(otps, fake_clock)
    otps.settle(ticket, state)
    assert verify(otps, first).verdict is Verdict.INVALID
    assert verify(otps, create(otps, fake_clock)).verdict is Verdict.VALID


def test_after_an_unknown_outcome_the_code_counts_until_it_is_replaced(otps: Otps, fake_clock: FakeClock) -> None:
    """It may have arrived: its owner may use it, and may ask for another one."""
    arrived, ticket = issue(otps, fake_clock)
    otps.settle(ticket, State.UNKNOWN)
    assert verify(otps, wrong(arrived)).tries_left == TRIES - 1
    fresh = create(otps, fake_clock)
    if fresh != arrived:
        assert verify(otps, arrived).verdict is Verdict.INVALID
    assert verify(otps, fresh).verdict is Verdict.VALID


def test_after_an_unknown_outcome_the_first_code_still_works(otps: Otps, fake_clock: FakeClock) -> None:
    code, ticket = issue(otps, fake_clock)
    otps.settle(ticket, State.UNKNOWN)
    assert verify(otps, code).verdict is Verdict.VALID


def test_a_reference_is_its_callers_own(otps: Otps, fake_clock: FakeClock) -> None:
    ours, theirs = create(otps, fake_clock), create(otps, fake_clock, caller="bank")
    for _ in range(TRIES + 1):
        assert verify(otps, wrong(ours), caller="stranger").verdict is Verdict.INVALID
    assert verify(otps, ours, caller="stranger").verdict is Verdict.INVALID
    assert verify(otps, ours).verdict is Verdict.VALID
    assert verify(otps, theirs, caller="bank").verdict is Verdict.VALID


@pytest.mark.parametrize("state", [State.FAILED, State.UNKNOWN])
def test_a_message_that_ends_late_settles_its_own_code_alone(
    otps: Otps, fake_clock: FakeClock, state: State
) -> None:
    _, old = issue(otps, fake_clock, life=60)
    fake_clock.advance(60)
    code, _ = issue(otps, fake_clock)
    otps.settle(old, state)
    with pytest.raises(Rejected):
        create(otps, fake_clock)
    assert verify(otps, code).verdict is Verdict.VALID


async def test_a_one_time_password_to_an_address_of_mail_says_that_there_is_no_mail(
    start_core: StartCore,
) -> None:
    core = await start_core(FakeSender(modem("m1")))
    for command in (
        RequestOtp("siti@example.com", "login-1", "Kode %s", params=PARAMS),
        VerifyOtp("siti@example.com", "login-1", "123456", params=PARAMS),
    ):
        with pytest.raises(Misconfigured) as refusal:
            await core.submit(command)
        assert refusal.value.code == "mail-not-configured"


def test_only_hashes_are_kept(ram_folder: Path, fake_clock: FakeClock) -> None:
    journal = Journal(ram_folder)
    otps = Otps(journal, fake_clock.clock)
    codes = [create(otps, fake_clock, f"reference-of-siti-{number}") for number in range(20)]
    journal.close()
    octets = b"".join(file.read_bytes() for file in ram_folder.iterdir())
    assert b"reference-of-siti" not in octets
    assert not [code for code in codes if code.encode() in octets]


def test_nothing_shows_the_code(otps: Otps, fake_clock: FakeClock) -> None:
    code = create(otps, fake_clock)
    shown = repr((VerifyOtp(RECEIVER, "login-1", code, params=PARAMS), RequestOtp(RECEIVER, "r", "Kode %s")))
    assert code not in shown
    assert "Kode" not in shown


def test_a_try_that_cannot_be_counted_is_no_try(otps: Otps, fake_clock: FakeClock) -> None:
    """Else a full file system would mean endless guessing."""
    code = create(otps, fake_clock)
    with full_disks():
        for guess in (wrong(code), code):
            with pytest.raises(Unavailable):
                verify(otps, guess)
    assert verify(otps, code).verdict is Verdict.VALID


# with the message that carries it


@pytest.fixture
def sender() -> FakeSender:
    return FakeSender(modem("m1"))


@pytest.fixture
async def core(start_core: StartCore, sender: FakeSender) -> Core:
    return await start_core(sender)


REQUEST = RequestOtp("0812-3456-7890", "login-1", "Kode %s, jangan 100% percaya", params=PARAMS)


async def request(core: Core, command: RequestOtp = REQUEST) -> OtpRequested:
    result = await core.submit(command)
    assert isinstance(result, OtpRequested)
    return result


async def verdict(core: Core, code: str) -> Verdict:
    result = await core.submit(VerifyOtp("+6281234567890", "login-1", code, params=PARAMS))
    assert isinstance(result, OtpVerified)
    return result.verdict


async def test_the_code_arrives_in_the_template_and_can_be_verified(core: Core, sender: FakeSender) -> None:
    requested = await request(core)
    assert (requested.reference, requested.outcome.state) == ("login-1", State.SENT)
    assert (requested.receiver, requested.expires_at) == ("0812-3456-7890", NOON + 300)
    found = re.fullmatch(r"Kode ([0-9]{6}), jangan 100% percaya", sender.texts[0])
    assert found
    assert found[1] not in repr(requested)
    assert await verdict(core, found[1]) is Verdict.VALID


async def test_a_failed_send_can_be_repeated_with_the_same_reference(core: Core, sender: FakeSender) -> None:
    sender.answer(Refused("cms-28", Retry.NEVER))
    assert (await request(core)).outcome.state is State.FAILED
    assert (await request(core)).outcome.state is State.SENT
    assert await verdict(core, sender.texts[-1][5:11]) is Verdict.VALID


async def test_an_unknown_send_can_be_repeated_and_the_first_code_is_gone(core: Core, sender: FakeSender) -> None:
    sender.answer(Unknown("no-answer"))
    assert (await request(core)).outcome.state is State.UNKNOWN
    assert (await request(core)).outcome.state is State.SENT
    first, second = (text[5:11] for text in sender.texts)
    if first != second:
        assert await verdict(core, first) is Verdict.INVALID
    assert await verdict(core, second) is Verdict.VALID


async def test_while_its_message_is_under_way_a_reference_is_a_duplicate(core: Core, sender: FakeSender) -> None:
    await core.submit(REQUEST, wait=None)
    with pytest.raises(Rejected) as refusal:
        await core.submit(REQUEST)
    assert refusal.value.code == "otp-duplicate"


async def test_a_request_that_was_refused_leaves_the_reference_free(core: Core, sender: FakeSender) -> None:
    too_long = RequestOtp(RECEIVER, "login-1", "%s" + "x" * 2000, params=PARAMS)
    late = RequestOtp(RECEIVER, "login-1", "%s", expires_at=NOON - 1, params=PARAMS)
    half = RequestOtp(RECEIVER, "login-1", "%s \ud83d", params=PARAMS)
    for command in (too_long, late, half):
        with pytest.raises(Rejected):
            await core.submit(command)
    core.plug()
    with pytest.raises(OtpBrokerError):
        await core.submit(REQUEST)
    core.plug(sender)
    await core.submit(Block(RECEIVER))
    assert (await request(core)).outcome.state is State.BLOCKED
    await core.submit(Unblock(RECEIVER))
    assert (await request(core)).outcome.state is State.SENT
    assert await verdict(core, sender.texts[-1][5:11]) is Verdict.VALID


async def test_a_request_that_comes_after_its_time_sends_nothing(core: Core, sender: FakeSender) -> None:
    """`date_time` and the configured life, as for a message: brokers deliver what they held for hours."""
    for made_at, accepted in ((NOON - 3600, False), (NOON - 60, True)):
        request = RequestOtp(RECEIVER, f"login-{made_at}", "Kode %s", made_at=made_at)
        if accepted:
            result = await core.submit(request)
            assert isinstance(result, OtpRequested)
            assert result.expires_at == made_at + core.config.sms.life
        else:
            with pytest.raises(Rejected) as refusal:
                await core.submit(request)
            assert (refusal.value.code, refusal.value.field) == ("expired", "date_time")
    assert len(sender.given) == 1


async def test_the_code_and_its_message_end_together(core: Core, sender: FakeSender) -> None:
    requested = await request(core, RequestOtp(RECEIVER, "login-1", "Kode %s", expires_at=NOON + 45))
    assert (requested.expires_at, requested.outcome.expires_at) == (NOON + 45, NOON + 45)
    assert sender.given[0].sms.deadline == 1045.0
