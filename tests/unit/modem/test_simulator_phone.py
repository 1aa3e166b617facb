import asyncio

import pytest

from otpbroker.clock import Clock
from otpbroker.modem.simulator import Phone
from otpbroker.modem.simulator.phone import Part
from otpbroker.sms.submit import decode_submit, encode_submit

RECEIVER = "6281234567890"
LONG = "A long message in several parts. " * 12
EMOJI = "Kode 🙂 " * 20


def parts_of(text: str, *, receiver: str = RECEIVER, reference: int = 1) -> list[Part]:
    submits = [decode_submit(pdu) for pdu in encode_submit(receiver, text, reference=reference, life=300)]
    return [Part(submit.receiver.value, submit.user_data, 300.0, submit.status_report) for submit in submits]


def receive(phone: Phone, text: str, *, receiver: str = RECEIVER, modem: str = "modem-1") -> None:
    for part in parts_of(text, receiver=receiver):
        phone.receive(modem, part)


def test_a_message_tells_who_got_what_when_and_by_which_modem() -> None:
    phone = Phone(clock=Clock(now=lambda: 1000.0))
    receive(phone, "Kode 123456")

    (message,) = phone.messages
    assert (message.receiver, message.text, message.modem) == (RECEIVER, "Kode 123456", "modem-1")
    assert (message.at, message.parts, message.validity, message.copies) == (1000.0, 1, 300.0, 1)


@pytest.mark.parametrize("text", [LONG, EMOJI])
@pytest.mark.parametrize("backwards", [False, True])
def test_parts_are_joined_in_any_order(text: str, backwards: bool) -> None:
    phone = Phone()
    parts = parts_of(text)
    for part in reversed(parts) if backwards else parts:
        phone.receive("modem-1", part)

    (message,) = phone.messages
    assert message.text == text
    assert message.parts == len(parts) > 1
    assert phone.received_parts == len(parts)


def test_a_message_with_a_missing_part_is_not_shown() -> None:
    phone = Phone()
    for part in parts_of(LONG)[:-1]:
        phone.receive("modem-1", part)

    assert phone.messages == ()


def test_parts_of_other_references_and_receivers_are_kept_apart() -> None:
    phone = Phone()
    first, second = parts_of(LONG, reference=1), parts_of(LONG.upper(), reference=2)
    other = parts_of(LONG, receiver="6281100000000", reference=1)
    for part in (*first[:1], *second, *other, *first[1:]):
        phone.receive("modem-1", part)

    assert [message.text for message in phone.messages] == [LONG.upper(), LONG, LONG]
    assert [message.copies for message in phone.messages] == [1, 1, 1]


def test_the_same_text_to_the_same_receiver_again_is_a_copy() -> None:
    phone = Phone()
    receive(phone, "Kode 1")
    receive(phone, "Kode 1", modem="modem-2")
    receive(phone, "Kode 1", receiver="6281100000000")

    assert [(message.receiver, message.copies) for message in phone.messages] == [
        (RECEIVER, 2),
        ("6281100000000", 1),
    ]
    assert phone.received == 3


def test_only_the_last_messages_are_kept() -> None:
    phone = Phone(limit=3)
    for number in range(5):
        receive(phone, f"Kode {number}")

    assert [message.text for message in phone.messages] == ["Kode 2", "Kode 3", "Kode 4"]
    assert phone.received == 5


def test_what_never_becomes_whole_does_not_pile_up() -> None:
    phone = Phone()
    for number in range(10_000):
        phone.receive("modem-1", parts_of(LONG, receiver=f"62812{number:08d}")[0])

    assert len(phone._incomplete) <= 256


def test_since_tells_only_what_is_new() -> None:
    phone = Phone()
    receive(phone, "old")
    revision = phone.revision
    assert phone.since(revision) == ()
    receive(phone, "new")

    assert [message.text for message in phone.since(revision)] == ["new"]


def test_a_cleared_phone_is_empty_and_newer() -> None:
    phone = Phone()
    receive(phone, "Kode 1")
    revision = phone.revision
    phone.clear()

    assert phone.messages == ()
    assert phone.revision > revision


async def test_a_wait_ends_when_the_wanted_message_comes() -> None:
    phone = Phone()
    waiting = asyncio.create_task(phone.wait_for(lambda message: "wanted" in message.text, within=5))
    await asyncio.sleep(0)
    receive(phone, "another")
    await asyncio.sleep(0)
    assert not waiting.done()
    receive(phone, "the wanted one")

    assert (await waiting).text == "the wanted one"


async def test_a_wait_finds_what_is_there_already_unless_it_is_too_old() -> None:
    phone = Phone()
    receive(phone, "Kode 1")

    assert (await phone.wait_for(lambda _: True, within=5)).text == "Kode 1"
    with pytest.raises(TimeoutError):
        await phone.wait_for(lambda _: True, within=0.01, after=phone.revision)


def test_no_text_in_the_representation() -> None:
    phone = Phone()
    receive(phone, "Kode 123456")

    assert "123456" not in repr(phone.messages).replace(RECEIVER, "")
