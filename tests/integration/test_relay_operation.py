"""The relay's limits, users, certificates and end."""

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
from relay_process import USERS, relay_process, relaying

import websocket_peers as peers

COMMAND = '{"command":"send-sms","data":{"msisdn":"08126666666","message":"OTP Anda adalah 1234"}}'


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
    tmp_path: Path, caplog: pytest.LogCaptureFixture
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
        for _ in range(2):
            async with relay.ours("shop") as shop:
                assert (await shop.publish("a"))["type"] == "accepted", "a broken file leaves those who were known"
        assert caplog.text.count("users not read again") == 1
        await relay.relay.reload()
        assert caplog.text.count("users not read again") == 2, "who asks for it is told again"


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
