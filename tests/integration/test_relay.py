"""The relay to historic publishers and consumers, octet by octet, and to ours with acknowledgements."""

import asyncio
import json
import time
from pathlib import Path

import pytest
from relay_process import RunningRelay, relay_process, relaying

import websocket_peers as peers

COMMAND = '{"command":"send-sms","data":{"msisdn":"08126666666","message":"OTP Anda adalah 1234"}}'
ENVELOPE = peers.pretty(
    {
        "command": "send-message",
        "channel": "sms",
        "data": [{"id": "6b03", "time": 1795360371, "receiver": "08126666666", "message": "Haloo. Pesan ini"}],
    }
)


async def channel_consumer(relay: RunningRelay, user: str = "device", channel: str = "sms") -> peers.Socket:
    """As the transcript's C1."""
    socket = await relay.client("/ws?sessid=1", user)
    greeting = await socket.message()
    assert len(greeting) == len(peers.ACCEPTED)
    assert json.loads(greeting) | {"data": []} == json.loads(peers.ACCEPTED) | {"data": []}
    await socket.text(peers.pretty({"command": "receive-message", "channel": channel, "data": []}))
    return socket


async def channel_publisher(relay: RunningRelay) -> peers.Socket:
    """As the transcript's C2."""
    socket = await relay.client("/ws?sessid=2", "shop")
    await socket.message()
    return socket


async def test_the_first_generation_is_relayed_octet_by_octet(tmp_path: Path) -> None:
    async with relaying(tmp_path) as relay:
        consumer, publisher = await channel_consumer(relay), await channel_publisher(relay)
        await publisher.text(ENVELOPE)
        assert await consumer.message() == ENVELOPE.encode()
        await publisher.write(peers.BINARY, ENVELOPE.encode())
        assert await consumer.frame() == (peers.TEXT, ENVELOPE.encode()), "binary is relayed as text"
        await peers.nothing(publisher)
        publisher.drop()
        await consumer.write(peers.PING, b"are you there")
        assert await consumer.frame() == (peers.PONG, b"are you there")


async def test_the_ping_of_its_clients_is_answered_and_costs_them_nothing(tmp_path: Path) -> None:
    """The historic broker forgot consumers that sent it."""
    async with relaying(tmp_path) as relay:
        consumer, publisher = await channel_consumer(relay), await channel_publisher(relay)
        await consumer.text('{"command":"ping","channel":"sms","data":[{"time":1}]}')
        assert b'"command":"connect"' in await consumer.message()
        await publisher.text(ENVELOPE)
        assert await consumer.message() == ENVELOPE.encode()


async def test_wrong_credentials_are_told_by_the_greeting_and_the_socket_is_closed(tmp_path: Path) -> None:
    async with relaying(tmp_path) as relay:
        socket = await relay.client("/ws?sessid=1", "device", "wrong")
        assert json.loads(await socket.message())["response_code"] == "01"
        assert (await socket.frame())[0] == peers.CLOSE
        with pytest.raises(ConnectionError, match="401"):
            await relay.client("/ws?topic=sms", "device", "wrong")
        assert (await relay.metrics())["refused_logins_total"] == 2


async def test_the_third_generation_is_relayed_verbatim_and_nothing_is_said_by_the_relay(tmp_path: Path) -> None:
    async with relaying(tmp_path) as relay:
        consumer = await relay.client("/ws/?topic=sms", "device")
        await relay.until('connections{kind="topic"}', 1)
        publisher = await relay.client("/ws/?topic=sms", "shop")
        await publisher.text(COMMAND)
        publisher.drop()
        assert await consumer.message() == COMMAND.encode()
        await peers.nothing(consumer)


async def test_a_publisher_on_the_topic_is_given_nothing_of_it(tmp_path: Path) -> None:
    """It is connected like a consumer; what waits for a device must not go to it."""
    async with relaying(tmp_path) as relay:
        first = await relay.client("/ws/?topic=sms", "shop")
        await first.text(COMMAND)
        second = await relay.client("/ws/?topic=sms", "shop")
        await peers.nothing(second)
        consumer = await relay.client("/ws/?topic=sms", "device")
        assert await consumer.message() == COMMAND.encode()


async def test_an_answer_comes_back_on_its_callback_topic(tmp_path: Path) -> None:
    async with relaying(tmp_path) as relay:
        asking = await relay.client("/ws/?topic=answer-17", "shop")
        await relay.until('consumers{channel="answer-17"}', 1)
        device = await relay.client("/ws/?topic=answer-17", "device")
        await device.text('{"command":"get-modem-list","response_code":"0000"}')
        assert b"get-modem-list" in await asking.message()


async def test_generations_meet_and_each_hears_its_own_manner(tmp_path: Path) -> None:
    async with relaying(tmp_path) as relay:
        publisher = await channel_publisher(relay)
        topic = await relay.client("/ws?topic=sms", "device")
        await publisher.text(ENVELOPE)
        inner = json.loads(ENVELOPE)["data"][0]
        assert json.loads(await topic.message()) == {"command": "send-message", "data": inner}
        topic.drop()
        await relay.until('consumers{channel="sms"}', 0)
        bare = await relay.client("/ws?channel=sms", "shop")
        await bare.text(COMMAND)
        channel = await channel_consumer(relay)
        assert json.loads(await channel.message()) == {
            "command": "send-message",
            "channel": "sms",
            "data": [json.loads(COMMAND)],
        }


async def test_a_message_waits_for_a_consumer_but_not_for_ever(tmp_path: Path) -> None:
    async with relaying(tmp_path, limits={"life": 1}) as relay:
        publisher = await channel_publisher(relay)
        await publisher.text(ENVELOPE)
        consumer = await channel_consumer(relay)
        assert await consumer.message() == ENVELOPE.encode()
        consumer.drop()
        await relay.until('consumers{channel="sms"}', 0)
        await publisher.text(ENVELOPE)
        await relay.until('waiting{channel="sms"}', 1)
        await relay.until('ended_total{verdict="expired"}', 1)
        consumer = await channel_consumer(relay)
        await peers.nothing(consumer)


async def test_each_message_goes_to_one_consumer_in_turn(tmp_path: Path) -> None:
    async with relaying(tmp_path) as relay:
        first, second = await channel_consumer(relay), await channel_consumer(relay, "second")
        await relay.until('consumers{channel="sms"}', 2)
        publisher = await channel_publisher(relay)
        for consumer in (first, second) * 3:
            await publisher.text(ENVELOPE)
            assert await asyncio.wait_for(consumer.message(), 5) == ENVELOPE.encode()
        for consumer in (first, second):
            await peers.nothing(consumer, 0.1)


async def test_on_a_broadcast_channel_every_consumer_gets_it(tmp_path: Path) -> None:
    async with relaying(tmp_path, broadcast=["sms"]) as relay:
        consumers = [await channel_consumer(relay), await channel_consumer(relay, "second")]
        await relay.until('consumers{channel="sms"}', 2)
        publisher = await channel_publisher(relay)
        for _ in range(3):
            await publisher.text(ENVELOPE)
        for consumer in consumers:
            for _ in range(3):
                assert await asyncio.wait_for(consumer.message(), 5) == ENVELOPE.encode()
        await relay.until('waiting{channel="sms"}', 0)


async def test_who_has_no_right_is_ignored_and_counted(tmp_path: Path) -> None:
    async with relay_process(tmp_path) as relay:
        device = await channel_consumer(relay, "device")
        await device.text(ENVELOPE)  # a consumer's password publishes nothing
        await relay.until('declined_total{reason="no-right"}', 1)
        shop = await channel_publisher(relay)
        await shop.text('{"command":"receive-message","channel":"sms","data":[]}')
        await shop.text(ENVELOPE)
        assert await device.message() == ENVELOPE.encode()
        await peers.nothing(shop)
        assert "no-right" in relay.log
        assert "Haloo" not in relay.log


async def test_ours_are_acknowledged_from_the_publisher_to_the_end(tmp_path: Path) -> None:
    async with relaying(tmp_path) as relay, relay.ours("shop") as shop, relay.ours("device") as device:
        assert await shop.publish("a", COMMAND) == {"type": "accepted", "id": "a"}
        await device.say(type="consume", credit=1)
        given = await device.hear()
        assert given["body"] == COMMAND
        assert given["attempt"] == 1
        assert given["expires_at"] == pytest.approx(time.time() + 300, abs=5)
        await device.say(type="settle", id=given["id"], verdict="done")
        assert await shop.hear() == {"type": "settled", "id": "a", "verdict": "done", "reason": ""}
        assert await shop.publish("late", expires_at=time.time() - 1) == {
            "type": "declined",
            "id": "late",
            "reason": "expired",
        }


async def test_a_consumer_holds_no_more_than_its_credit(tmp_path: Path) -> None:
    async with relaying(tmp_path) as relay, relay.ours("shop") as shop, relay.ours("device") as device:
        await device.say(type="consume", credit=2)
        for number in range(5):
            await shop.publish(str(number), str(number))
        assert [(await device.hear())["body"] for _ in range(2)] == ["0", "1"]
        await device.quiet()
        await device.say(type="consume", credit=3)
        third = await device.hear()
        assert third["body"] == "2"
        await device.say(type="settle", id=third["id"], verdict="refused", reason="invalid-json")
        assert (await device.hear())["body"] == "3"
        settled = await shop.hear()
        assert (settled["verdict"], settled["reason"]) == ("refused", "invalid-json")


async def test_what_a_lost_consumer_had_goes_to_another_after_a_grace(tmp_path: Path) -> None:
    async with relaying(tmp_path, limits={"grace": 0.5}) as relay, relay.ours("shop") as shop:
        async with relay.ours("device") as device:
            await device.say(type="consume", credit=5)
            for number in range(3):
                await shop.publish(str(number), str(number))
            ids = [(await device.hear())["id"] for _ in range(3)]
        async with relay.ours("second") as second:
            await second.say(type="consume", credit=5)
            await second.quiet(0.2)  # the first one may know their ends, and come back
            again = [await second.hear() for _ in range(3)]
            assert [given["id"] for given in again] == ids
            assert {given["attempt"] for given in again} == {2}


async def test_a_consumer_that_comes_back_gets_its_messages_at_once(tmp_path: Path) -> None:
    async with relaying(tmp_path, limits={"grace": 60}) as relay, relay.ours("shop") as shop:
        async with relay.ours("device") as device:
            await device.say(type="consume", credit=1)
            await shop.publish("a")
            first = await device.hear()
        async with relay.ours("device") as device:
            await device.say(type="consume", credit=1)
            assert (await device.hear())["id"] == first["id"]


async def test_not_now_goes_to_another_consumer_or_comes_again_after_a_pause(tmp_path: Path) -> None:
    async with (
        relaying(tmp_path, limits={"pause": 0.4}) as relay,
        relay.ours("shop") as shop,
        relay.ours("device") as device,
    ):
        await device.say(type="consume", credit=1)
        await shop.publish("a")
        given = await device.hear()
        await device.say(type="settle", id=given["id"], verdict="not-now", reason="queue-full")
        await device.quiet(0.2)
        given = await device.hear()
        await device.say(type="settle", id=given["id"], verdict="not-now", reason="queue-full")
        async with relay.ours("second") as second:
            await second.say(type="consume", credit=1)
            assert (await second.hear(0.3))["id"] == given["id"]


async def test_a_repeated_publication_is_one_message(tmp_path: Path) -> None:
    """Who lost the connection before it was accepted says it again, and hears its end."""
    settled = {"type": "settled", "id": "a", "verdict": "done", "reason": ""}
    async with relaying(tmp_path) as relay, relay.ours("device") as device:
        async with relay.ours("shop") as shop:
            await shop.publish("a")
        async with relay.ours("shop") as shop:
            assert await shop.publish("a") == {"type": "accepted", "id": "a"}
            await device.say(type="consume", credit=5)
            given = await device.hear()
            await device.quiet()
            await device.say(type="settle", id=given["id"], verdict="done")
            assert await shop.hear() == settled
        async with relay.ours("shop") as shop:
            assert await shop.publish("a") == {"type": "accepted", "id": "a"}
            assert await shop.hear() == settled
        await device.quiet()


async def test_the_same_id_with_another_body_is_a_message_of_its_own(tmp_path: Path) -> None:
    async with relaying(tmp_path) as relay, relay.ours("device") as device, relay.ours("shop") as shop:
        await device.say(type="consume", credit=5)
        await shop.publish("a", "one")
        await shop.publish("a", "two")
        one, two = await device.hear(), await device.hear()
        assert (one["body"], two["body"]) == ("one", "two")
        assert one["id"] != two["id"]
