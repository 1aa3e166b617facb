"""The relay to historic publishers and consumers, octet by octet, and to ours with acknowledgements."""

import asyncio
import json
import os
import signal
import ssl
import time
from pathlib import Path

import pytest
import trustme
import yaml
from relay_process import USERS, RunningRelay, relay_process, relaying

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


async def test_too_much_is_declined_with_the_reason(tmp_path: Path) -> None:
    limits = {"waiting": 2, "channels": 1, "message": 1024}
    async with relaying(tmp_path, limits=limits) as relay, relay.ours("shop") as shop:
        assert (await shop.publish("1"))["type"] == "accepted"
        assert (await shop.publish("2"))["type"] == "accepted"
        assert (await shop.publish("3"))["reason"] == "channel-full"
        assert (await shop.publish("4", "x" * 1025))["reason"] == "too-large"
        async with relay.ours("shop", "other") as elsewhere:
            assert (await elsewhere.publish("5"))["reason"] == "too-many-channels"
        async with relay.ours("device") as device:
            assert (await device.publish("6"))["reason"] == "no-right"


async def test_a_consumer_finds_its_place_though_answers_that_nobody_hears_use_up_the_channels(
    tmp_path: Path,
) -> None:
    async with relaying(tmp_path, limits={"channels": 1}) as relay:
        answering = await relay.client("/ws?topic=answer-1", "device")
        await answering.text("{}")
        await relay.until('waiting{channel="answer-1"}', 1)
        async with relay.ours("device") as device, relay.ours("shop") as shop:
            await device.say(type="consume", credit=1)
            await relay.until('consumers{channel="sms"}', 1)
            await shop.publish("a", COMMAND)
            assert (await device.hear())["body"] == COMMAND


async def test_a_connection_that_wants_too_many_channels_is_closed_so_that_it_knows(tmp_path: Path) -> None:
    async with relaying(tmp_path) as relay:
        socket = await relay.client("/ws", "shop")
        await socket.message()
        for number in range(17):
            await socket.text(json.dumps({"command": "receive-message", "channel": f"answer-{number}"}))
        assert await asyncio.wait_for(socket.frame(), 5) == (peers.CLOSE, (1008).to_bytes(2))
        await relay.until('connections{kind="channel"}', 0)


async def test_a_name_that_can_not_be_written_is_no_channel(tmp_path: Path) -> None:
    async with relaying(tmp_path) as relay:
        socket = await relay.client("/ws", "shop")
        await socket.message()
        for name in ("answer-\ud800", "answer-" + "x" * 122):
            await socket.text(json.dumps({"command": "receive-message", "channel": name}))
        await socket.text('{"command":"receive-message","channel":"answer-1"}')
        await relay.until('consumers{channel="answer-1"}', 1)
        assert sum(name.startswith("consumers") for name in await relay.metrics()) == 1
        with pytest.raises(ConnectionError, match="400"):
            await relay.client("/ws?topic=answer-" + "x" * 122, "shop")


async def test_a_user_that_sends_too_fast_is_read_more_slowly(tmp_path: Path) -> None:
    async with relaying(tmp_path, limits={"rate": 20, "burst": 5}) as relay, relay.ours("shop") as shop:
        start = time.monotonic()
        for number in range(15):
            await shop.publish(str(number))
        assert 0.45 <= time.monotonic() - start < 3


async def test_a_flood_of_connections_leaves_those_who_work(tmp_path: Path) -> None:
    async with relaying(tmp_path, limits={"connections": 8}) as relay, relay.ours("device") as device:
        await device.say(type="consume", credit=1)
        idle = [await asyncio.open_connection("127.0.0.1", relay.port) for _ in range(30)]
        async with relay.ours("shop") as shop:
            await shop.publish("a", COMMAND)
            assert (await device.hear())["body"] == COMMAND
        for _, writer in idle:
            writer.close()


async def test_users_are_taken_up_without_a_restart_and_lose_their_connection_with_their_rights(
    tmp_path: Path,
) -> None:
    async with relaying(tmp_path) as relay, relay.ours("device") as device:
        await device.say(type="consume", credit=1)
        await relay.until('consumers{channel="sms"}', 1)
        users = [user for user in USERS if user["username"] != "device"]
        (tmp_path / "users.yaml").write_text(yaml.safe_dump({"users": users}))
        await relay.relay.reload()
        await relay.until('connections{kind="acknowledged"}', 0)
        with pytest.raises(ConnectionError, match="401"):
            await relay.client("/ws?topic=sms", "device")
        (tmp_path / "users.yaml").write_text("users: 17")
        async with relay.ours("shop") as shop:
            assert (await shop.publish("a"))["type"] == "accepted", "a broken file leaves those who were known"


async def test_tls_with_a_certificate_that_is_renewed(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    both = str(tmp_path / "both.pem")
    async with relay_process(tmp_path, tls={"certificate": both, "key": both}, address="127.0.0.1") as relay:
        context = trustme_client(authority)
        reader, writer = await asyncio.open_connection("localhost", relay.port, ssl=context)
        assert reader is not None
        writer.close()
        renewed = trustme.CA()
        renewed.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
        assert relay.process is not None
        os.kill(relay.process.pid, signal.SIGHUP)
        async with asyncio.timeout(5):
            while True:
                try:
                    _, writer = await asyncio.open_connection("localhost", relay.port, ssl=trustme_client(renewed))
                except OSError:
                    await asyncio.sleep(0.05)  # another process has not reloaded yet
                else:
                    writer.close()
                    break


async def test_a_certificate_with_another_key_or_broken_users_leave_what_was_known(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority, renewed = trustme.CA(), trustme.CA()
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    issued, next_one = authority.issue_cert("localhost"), renewed.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(chain)
    issued.private_key_pem.write_to_path(key)
    tls = {"certificate": str(chain), "key": str(key)}
    async with relaying(tmp_path, tls=tls, address="127.0.0.1") as relay:

        async def shake_hands(trusted: trustme.CA) -> None:
            _, writer = await asyncio.open_connection("localhost", relay.port, ssl=trustme_client(trusted))
            writer.close()

        next_one.cert_chain_pems[0].write_to_path(chain)
        await relay.relay.reload()
        await shake_hands(authority)
        assert "certificate not read again" in caplog.text
        next_one.private_key_pem.write_to_path(key)
        (tmp_path / "users.yaml").write_text("users: 17")
        await relay.relay.reload()
        await shake_hands(renewed)
        assert "users not read again" in caplog.text


@pytest.mark.parametrize("more", [b"Authorization: Basic YTpi\r\n" * 2, b"Authorization: Basic \xff\r\n"])
async def test_credentials_that_are_no_ones_are_refused_without_a_traceback(tmp_path: Path, more: bytes) -> None:
    async with relay_process(tmp_path) as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
        writer.write(
            b"GET /?topic=sms HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n" + more + b"\r\n"
        )
        assert b" 400 " in await reader.readline()
        writer.close()
        assert "Traceback" not in relay.log


def trustme_client(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_it_ends_in_order_and_says_what_was_lost(tmp_path: Path) -> None:
    async with relay_process(tmp_path) as relay, relay.ours("shop") as shop:
        await shop.publish("a", COMMAND)
        await relay.stop(signal.SIGTERM)
        assert relay.process is not None
        assert relay.process.returncode == 0
        assert "1 messages were held" in relay.log
        assert "1234" not in relay.log
