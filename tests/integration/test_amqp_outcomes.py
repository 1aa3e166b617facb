"""Acknowledged is what has its final outcome; what can not be sent is dead-lettered or rejected, never lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.rabbitmq import RabbitMq, Vhost
from brokers.publisher import Publisher
from brokers.station import station
from core import settings
from fakes import FakeSender, modem
from otpbroker.feeder.amqp import Broker, Channel, Received
from otpbroker.feeder.delivery import Handled
from otpbroker.feeder.outbound import Outbound
from otpbroker.messaging.command import Command, SendSms
from otpbroker.messaging.dispatcher import Dispatcher
from otpbroker.messaging.outcome import Result
from otpbroker.sms.submission import Refused, Retry, Unknown

NEVER = Refused("cms-38", Retry.NEVER)


def sms(text: str, receiver: str = "081234567890", **data: Any) -> dict[str, Any]:
    return {"command": "send-sms", "data": {"receiver": receiver, "message": text, **data}}


@pytest.fixture
def sender() -> FakeSender:
    return FakeSender(modem("m1"), air_time=0.01)


@pytest.fixture
async def graveyard(server: Publisher) -> str:
    """Where what is sent to the exchange `dead` ends."""
    await server.declare_exchange("dead", "topic")
    await server.declare("graveyard")
    await server.bind("graveyard", "dead", "#")
    return "graveyard"


async def test_nothing_is_acknowledged_before_the_modem_answered(
    ram_folder: Path, vhost: Vhost, server: Publisher, sender: FakeSender, rabbit: RabbitMq
) -> None:
    sender.hang()
    async with station(ram_folder, vhost.settings(), sender) as device:
        await device.connected()
        await server.publish(sms("a"))
        await device.until(lambda: bool(sender.given))
        assert device.feeders.statuses[0].done == 0
        sender.wake()
        await device.until(lambda: device.feeders.statuses[0].done == 1)
    assert await server.ready("sms") == 0, "stopped in order: what was acknowledged does not come back"


async def test_what_is_in_the_air_when_the_feeder_stops_is_still_acknowledged_and_what_waits_goes_back(
    ram_folder: Path, vhost: Vhost, server: Publisher
) -> None:
    sender = FakeSender(modem("m1"), air_time=0.5)
    async with station(ram_folder, vhost.settings(prefetch=3), sender) as device:
        await device.connected()
        for text in ("in the air", "waits", "waits too"):
            await server.publish(sms(text))
        await device.until(lambda: bool(sender.given))
        await device.feeders.act("rabbit", "stop")
        assert sender.texts == ["in the air"]
        assert device.feeders.statuses[0].done == 1
        assert await server.ready("sms") == 2
        await device.feeders.act("rabbit", "start")
        await device.until(lambda: device.feeders.statuses[0].done == 3)
        assert sorted(sender.texts) == ["in the air", "waits", "waits too"]


async def test_a_refused_message_is_dead_lettered_with_its_reason(
    ram_folder: Path, vhost: Vhost, server: Publisher, sender: FakeSender, graveyard: str
) -> None:
    sender.answer(NEVER)
    async with station(ram_folder, vhost.settings(dead_letter_exchange="dead"), sender) as device:
        await device.connected()
        await server.publish(
            sms("a"),
            message_id="7",
            headers={"trace": "x"},
            expiration="60000",
            correlation_id="c",
            delivery_mode=2,
        )
        dead = await server.take(graveyard)
        await device.until(lambda: device.feeders.statuses[0].refused == 1)
    assert dead.json == sms("a")
    assert dead.headers["x-otpbroker-reason"] == "cms-38"
    assert dead.headers["x-otpbroker-queue"] == "sms"
    assert dead.headers["x-otpbroker-device"] == device.name
    assert (dead.headers["trace"], dead.headers["x-otpbroker-expiration"]) == ("x", "60000")
    kept = dead.properties
    assert (kept.message_id, kept.correlation_id, kept.delivery_mode, kept.expiration) == ("7", "c", 2, None)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\xff\xfe", "invalid-json"),
        (b"{", "invalid-json"),
        (b"", "invalid-json"),
        (b"[]", "invalid-count"),
        (b'{"command":"send-fax","data":{}}', "unknown-command"),
        (b'{"command":"send-mail","data":{"receiver":"a@b.tld","message":"x"}}', "mail-not-configured"),
        (sms("x", "letters"), "receiver-invalid"),
        (sms("x" * 5000), "message-too-long"),
        (b"x" * 100_000, "body-too-large"),
    ],
)
async def test_poison_is_dead_lettered_at_once(
    ram_folder: Path, vhost: Vhost, server: Publisher, sender: FakeSender, graveyard: str, body: object, reason: str
) -> None:
    async with station(ram_folder, vhost.settings(dead_letter_exchange="dead"), sender) as device:
        await device.connected()
        await server.publish(body)
        dead = await server.take(graveyard)
        await server.publish(sms("the next"))
        await device.until(lambda: device.feeders.statuses[0].done == 1)
    assert dead.headers["x-otpbroker-reason"] == reason
    assert sender.texts == ["the next"]


async def test_without_a_dead_letter_exchange_it_is_rejected_and_counted(
    ram_folder: Path, vhost: Vhost, server: Publisher, sender: FakeSender
) -> None:
    await server.declare("dropped")
    await server.declare("sms", arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dropped"})
    async with station(ram_folder, vhost.settings(), sender) as device:
        await device.connected()
        await server.publish(b"{")
        dead = await server.take("dropped")
        await device.until(lambda: device.feeders.statuses[0].refused == 1)
        assert device.detail == "", "what the queue has beside its flags is no matter"
    assert dead.headers["x-death"][0]["reason"] == "rejected"


@pytest.mark.parametrize("bound", [False, None])
async def test_dead_letters_that_nobody_takes_are_a_visible_problem(
    ram_folder: Path, vhost: Vhost, server: Publisher, sender: FakeSender, bound: bool | None
) -> None:
    if bound is not None:
        await server.declare_exchange("dead", "fanout")  # with no queue behind it
    async with station(ram_folder, vhost.settings(dead_letter_exchange="dead"), sender) as device:
        await device.connected()
        for _ in range(2):
            await server.publish(b"{")
        await device.until(lambda: device.feeders.statuses[0].refused == 2)
        await device.until(lambda: "dead letters are not taken" in device.detail)
        await server.publish(sms("the next"))
        await device.until(lambda: device.feeders.statuses[0].done == 1)
    assert sender.texts == ["the next"]


async def test_an_unknown_outcome_is_acknowledged_and_never_sent_again(
    ram_folder: Path, vhost: Vhost, server: Publisher, sender: FakeSender
) -> None:
    sender.answer(Unknown("no-answer"))
    async with station(ram_folder, vhost.settings(), sender) as device:
        await device.connected()
        await server.publish(sms("a"))
        await device.until(lambda: device.feeders.statuses[0].unknown == 1)
    assert await server.ready("sms") == 0
    assert sender.texts == ["a"]


async def test_an_unknown_outcome_may_be_dead_lettered(
    ram_folder: Path, vhost: Vhost, server: Publisher, sender: FakeSender, graveyard: str
) -> None:
    sender.answer(Unknown("no-answer"))
    entry = vhost.settings(dead_letter_exchange="dead", unknown="dead-letter")
    async with station(ram_folder, entry, sender) as device:
        await device.connected()
        await server.publish(sms("a"))
        dead = await server.take(graveyard)
        assert dead.headers["x-otpbroker-reason"] == "no-answer"
        assert device.feeders.statuses[0].unknown == 1


async def test_without_a_ready_modem_nothing_is_taken_and_what_waits_goes_back(
    ram_folder: Path, vhost: Vhost, server: Publisher
) -> None:
    sender = FakeSender(modem("m1"), air_time=0.5)
    async with station(ram_folder, vhost.settings(prefetch=2), sender) as device:
        await device.connected()
        for text in ("a", "b", "c"):
            await server.publish(sms(text))
        await device.until(lambda: bool(sender.given))
        sender.ready = False
        device.plug(sender)
        await device.until(lambda: "no modem is ready" in device.detail)
        await device.until(lambda: device.feeders.statuses[0].done == 1)
        assert await server.ready("sms") == 2, "another device may send them"
        sender.ready = True
        device.plug(sender)
        await device.until(lambda: device.feeders.statuses[0].done == 3)
        assert sorted(sender.texts) == ["a", "b", "c"]
        assert device.detail == ""


async def test_a_queue_that_is_full_here_gives_the_message_back_and_it_is_sent_later(
    ram_folder: Path, vhost: Vhost, server: Publisher
) -> None:
    sender = FakeSender(modem("m1"), air_time=1.0)
    async with station(ram_folder, vhost.settings(prefetch=5), sender, config=settings(max_waiting=1)) as device:
        await device.connected()
        for text in ("a", "b", "c"):
            await server.publish(sms(text))
        await device.until(lambda: device.feeders.statuses[0].returned > 0)
        await device.until(lambda: device.feeders.statuses[0].done == 3, 30)
    assert sorted(sender.texts) == ["a", "b", "c"]


async def test_one_number_that_gets_too_much_does_not_hold_up_the_others(
    ram_folder: Path, vhost: Vhost, server: Publisher, sender: FakeSender, graveyard: str
) -> None:
    entry = vhost.settings(prefetch=1, dead_letter_exchange="dead")
    async with station(ram_folder, entry, sender, config=settings(receiver_limit=1)) as device:
        await device.connected()
        for text, receiver in (("a", "081234567890"), ("b", "081234567890"), ("c", "081234567891")):
            await server.publish(sms(text, receiver))
        dead = await server.take(graveyard)
        await device.until(lambda: device.feeders.statuses[0].done == 2)
    assert dead.headers["x-otpbroker-reason"] == "receiver-limit"
    assert sender.texts == ["a", "c"]


async def test_what_breaks_us_is_tried_three_times_then_dead_lettered(
    ram_folder: Path, vhost: Vhost, server: Publisher, sender: FakeSender, graveyard: str
) -> None:
    tries = []

    class Broken(Dispatcher):
        async def submit(self, command: Command, *rest: Any, **more: Any) -> Result:
            if isinstance(command, SendSms) and command.text == "poison":
                tries.append(command)
                raise ZeroDivisionError
            return await super().submit(command, *rest, **more)

    entry = vhost.settings(dead_letter_exchange="dead")
    async with station(ram_folder, entry, sender, dispatcher=Broken) as device:
        await device.connected()
        await server.publish(sms("poison"))
        await server.publish(sms("healthy"))
        await device.until(lambda: sender.texts == ["healthy"])
        dead = await server.take(graveyard, 30)
    assert dead.headers["x-otpbroker-reason"] == "poison"
    assert len(tries) == 3


async def test_a_defect_after_the_outcome_costs_neither_the_message_nor_its_place(
    ram_folder: Path,
    vhost: Vhost,
    server: Publisher,
    sender: FakeSender,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tries = []
    whole = Outbound.answer

    async def broken(outbound: Outbound, received: Received, handled: Handled) -> bool:
        if b"canary" in received.body:
            tries.append(received)
            raise ValueError(received.body)
        return await whole(outbound, received, handled)

    monkeypatch.setattr(Outbound, "answer", broken)
    async with station(ram_folder, vhost.settings(prefetch=1), sender) as device:
        await device.connected()
        await server.publish(sms("canary"), message_id="1")
        await server.publish(sms("the next"))
        await device.until(lambda: device.texts == ["canary", "the next"], 20)
        await device.until(lambda: device.feeders.statuses[0].done >= 4)
    assert (await server.ready("sms"), len(tries)) == (0, 3)
    assert "ValueError while handling a message" in caplog.text
    assert "canary" not in caplog.text


async def test_dead_letters_that_are_not_taken_for_now_are_not_destroyed(
    ram_folder: Path, vhost: Vhost, server: Publisher, sender: FakeSender
) -> None:
    await server.declare_exchange("dead", "fanout")
    await server.declare("full", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    await server.bind("full", "dead", "")
    await server.publish(b"there is no room", "full")
    await server.declare("answers")
    async with station(ram_folder, vhost.settings(dead_letter_exchange="dead"), sender) as device:
        await device.connected()
        await server.publish(b"{", reply_to="answers")
        await device.until(lambda: "dead letters are not taken" in device.detail)
        assert await server.ready("answers") == 0, "it has not ended"
        await server.take("full")
        assert (await server.take("full", 30)).body == b"{"
        await device.until(lambda: device.detail == "")
        await server.take("answers")


async def test_a_missing_dead_letter_exchange_costs_no_memory(
    ram_folder: Path, vhost: Vhost, server: Publisher, sender: FakeSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, closed = [], []
    whole = Broker.channel

    @asynccontextmanager
    async def counted(broker: Broker, *, confirms: bool = False) -> AsyncIterator[Channel]:
        opened.append(confirms)
        try:
            async with whole(broker, confirms=confirms) as channel:
                yield channel
        finally:
            closed.append(confirms)

    monkeypatch.setattr(Broker, "channel", counted)
    async with station(ram_folder, vhost.settings(dead_letter_exchange="dead", prefetch=1), sender) as device:
        await device.connected()
        for count in range(1, 11):
            await server.publish(b"{")
            await device.until(lambda count=count: device.feeders.statuses[0].refused == count)
        await server.publish(sms("the last"))
        await device.until(lambda: device.feeders.statuses[0].done == 1)
        assert len(opened) >= 10
        assert len(opened) - len(closed) <= 3, "of the messages, of the states, of the last dead letter"


async def test_what_the_modems_may_not_send_stays_at_the_broker(
    ram_folder: Path, vhost: Vhost, server: Publisher
) -> None:
    quorum = {"x-queue-type": "quorum", "x-delivery-limit": 2}
    await server.declare("sms", durable=True, arguments=quorum)
    sender = FakeSender(modem("m1", per_hour=1), air_time=0.01)
    entry = vhost.settings(durable=True, queue_type="quorum")
    async with station(ram_folder, entry, sender, config=settings(life=60)) as device:
        await device.connected()
        for text in ("a", "b", "c"):
            await server.publish(sms(text), delivery_mode=2)
        await device.until(lambda: "every modem has reached its limit, nothing is taken" in device.detail)
        await asyncio.sleep(3)
        assert len(device.texts) == 1
        assert await server.ready("sms") == 2, "each delivery counts on a quorum queue"


async def test_one_modem_that_reached_its_limit_leaves_the_others_at_work(
    ram_folder: Path, vhost: Vhost, server: Publisher
) -> None:
    capped, free = FakeSender(modem("m1", per_hour=1), air_time=0.01), FakeSender(modem("m2"), air_time=0.01)
    async with station(ram_folder, vhost.settings(), capped, free) as device:
        await device.connected()
        for number in range(6):
            await server.publish(sms(f"{number}"))
        await device.until(lambda: device.feeders.statuses[0].done == 6)
        assert (len(capped.texts), device.detail) == (1, "")


async def test_a_pause_between_messages_is_no_reason_to_take_nothing(
    ram_folder: Path, vhost: Vhost, server: Publisher
) -> None:
    sender = FakeSender(modem("m1", pause=1.0), air_time=0.01)
    async with station(ram_folder, vhost.settings(), sender) as device:
        await device.connected()
        for text in ("a", "b", "c"):
            await server.publish(sms(text))
        await device.until(lambda: device.feeders.statuses[0].done == 3)
        assert {event.detail for event in device.states} == {""}


async def test_a_modem_that_comes_and_goes_does_not_make_the_device_hoard(
    ram_folder: Path, rabbit: RabbitMq, vhost: Vhost, server: Publisher
) -> None:
    busy, fickle = FakeSender(modem("m1"), air_time=0.01), FakeSender(modem("m2"), air_time=0.01)
    busy.hang()
    fickle.hang()
    await server.declare("sms")
    await server.fill([sms(f"{number}") for number in range(50)])
    async with station(ram_folder, vhost.settings(), busy, fickle) as device:
        await device.connected()
        await device.until(lambda: len(device.texts) == 2)
        for ready in (False, True) * 10:
            fickle.ready = ready
            device.plug(busy, fickle)
            await asyncio.sleep(0.5)
        held = 50 - await server.ready("sms")
        assert held <= 2 + 3, "in the air, and a prefetch"
        busy.wake()
        fickle.wake()
        await device.until(lambda: device.feeders.statuses[0].done == 50)
    assert sorted(device.texts, key=int) == [f"{number}" for number in range(50)]
