"""What is asked of a modem that wakes up after a crash, and what its late answer means."""

import asyncio

import pytest

from otpbroker.messaging.command import Origin
from otpbroker.messaging.in_air import LISTEN_LIMIT, InAir
from otpbroker.messaging.message import Message
from otpbroker.messaging.outcome import State

IMEI = "490154203237518"


class Finished(list[tuple[str, State, tuple[int, ...]]]):
    def __call__(self, message: Message, state: State, references: tuple[int, ...]) -> None:
        self.append((message.id, state, references))


@pytest.fixture
def finished() -> Finished:
    return Finished()


def left(message_id: str, modem_id: str | None, parts: int = 1, imei: str = IMEI) -> Message:
    return Message(
        id=message_id,
        origin=Origin("rest", "shop"),
        receiver="6281234567890",
        pdus=("",) * parts,
        length=1,
        encoding="gsm7",
        accepted_at=0.0,
        expires_at=300.0,
        deadline=1300.0,
        modem_id=modem_id,
        imei=imei,
        state=State.SENDING,
    )


async def test_only_the_modem_that_had_a_message_is_listened_to(finished: Finished) -> None:
    in_air = InAir()
    in_air.begin([left("a", "m1")], finished)
    assert (in_air.expected("m1"), in_air.expected("m2")) == (True, False)
    in_air.arrived("m2", 5, IMEI)
    in_air.over("m2")
    assert not finished
    in_air.arrived("m1", 6, IMEI)
    assert finished == [("a", State.SENT, (6,))]


async def test_what_another_modem_says_in_its_place_proves_nothing(finished: Finished) -> None:
    """Two sticks changed their ports, or their numbers, while no process listened."""
    in_air = InAir()
    in_air.begin([left("a", "m1", imei="356938035643809")], finished)
    in_air.arrived("m1", 6, IMEI)
    assert finished == [("a", State.UNKNOWN, ())]


async def test_a_message_ends_once(finished: Finished) -> None:
    in_air = InAir()
    in_air.begin([left("a", "m1")], finished)
    in_air.over("m1")
    in_air.arrived("m1", 6, IMEI)
    in_air.close()
    await asyncio.sleep(LISTEN_LIMIT * 2)
    assert finished == [("a", State.UNKNOWN, ())]


async def test_the_answer_to_one_of_several_parts_proves_nothing_of_the_others(finished: Finished) -> None:
    in_air = InAir()
    in_air.begin([left("a", "m1", parts=3)], finished)
    in_air.arrived("m1", 6, IMEI)
    assert finished == [("a", State.UNKNOWN, (6,))]


async def test_listening_ends_by_itself(finished: Finished) -> None:
    in_air = InAir()
    in_air.begin([left("a", "m1"), left("b", "m2")], finished)
    await asyncio.sleep(LISTEN_LIMIT - 1)
    assert not finished
    await asyncio.sleep(1.1)
    assert sorted(finished) == [("a", State.UNKNOWN, ()), ("b", State.UNKNOWN, ())]


async def test_two_messages_of_one_modem_both_end(finished: Finished) -> None:
    """The older one's end could not be written: the file system was full."""
    in_air = InAir()
    in_air.begin([left("old", "m1"), left("new", "m1"), left("nowhere", None), left("lost", None)], finished)
    in_air.arrived("m1", 6, IMEI)
    in_air.close()
    assert sorted(finished) == [
        ("lost", State.UNKNOWN, ()),
        ("new", State.SENT, (6,)),
        ("nowhere", State.UNKNOWN, ()),
        ("old", State.UNKNOWN, ()),
    ]


async def test_before_the_journal_was_read_nothing_is_expected() -> None:
    in_air = InAir()
    in_air.arrived("m1", 6, IMEI)
    in_air.over("m1")
    assert not in_air.expected("m1")
    in_air.close()
