"""From a publisher to the modem through every WebSocket broker: the README's examples, and messages in cipher."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from relay_process import PASSWORD, RelayProcess, relay_process

import websocket_peers as peers
from bench.rig import Installation, Modems, modems
from brokers.sealing import feeder_key, recorded, seal

# The examples as the README prints them, with its tabs and trailing commas.
SEND = """{
	"command":"send-sms",
	"data":{
		"id": 123456,
		"msisdn": "08126666666",
		"message": "OTP Anda adalah 1234"
	}
}"""
BLOCK = """{
	"command":"block-msisdn",
	"data":{
		"msisdn": "08126666666",
	}
}"""
UNBLOCK = BLOCK.replace("block-msisdn", "unblock-msisdn")
SEND_IN_CHANNEL = """{
	"command":"send-message",
	"channel":"sms",
	"data":[{
		"command":"send-sms",
		"data":{\t
			"id": 123456,
			"msisdn": "08126666666",
			"message": "OTP Anda adalah 1234"
		}
	}]
}"""
BLOCK_IN_CHANNEL = """{
	"command":"send-message",
	"channel":"sms",
	"data":[{
		"command":"block-msisdn",
		"data":{
			"msisdn": "08126666666",
		}
	}]
}"""
UNBLOCK_IN_CHANNEL = BLOCK_IN_CHANNEL.replace("block-msisdn", "unblock-msisdn")
NUMBER, OTHER = "08126666666", "08127777777"


@pytest.fixture
async def simulated(ram_folder: Path) -> AsyncIterator[Modems]:
    async with modems(ram_folder / "simulated", 2, air=0.05) as running:
        yield running


def feeder(
    name: str, url: str, user: str = peers.USER, password: str = peers.PASSWORD, **more: Any
) -> dict[str, Any]:
    return {"id": name, "kind": "websocket", "url": url, "username": user, "password": password} | more


@asynccontextmanager
async def agent(folder: Path, simulated: Modems, *feeders: dict[str, Any]) -> AsyncIterator[Installation]:
    installed = Installation(folder, simulated.ports, feeders=list(feeders))
    try:
        await installed.start()
        yield installed
    finally:
        await installed.stop()


class Phone:
    """What comes to the recipients, in order."""

    def __init__(self, simulated: Modems) -> None:
        self._control = simulated.control
        self._seen = 0

    async def next(self) -> tuple[str, str]:
        message = await self._control.wait(after=self._seen, within=15)
        self._seen = message.revision
        return message.receiver, message.text


def command(text: str, number: str = NUMBER) -> str:
    return json.dumps({"command": "send-sms", "data": {"msisdn": number, "message": text}})


async def test_the_readmes_examples_end_on_the_modem_and_the_block_list_is_enforced(
    ram_folder: Path, simulated: Modems
) -> None:
    """By three feeders of one device at once, each with a broker of another generation."""
    channel, topic, bare = peers.ChannelBroker(), peers.TopicBroker(), peers.BareBroker()
    brokers: list[tuple[Any, tuple[str, str, str]]] = [
        (channel, (SEND_IN_CHANNEL, BLOCK_IN_CHANNEL, UNBLOCK_IN_CHANNEL)),
        (topic, (SEND, BLOCK, UNBLOCK)),
        (bare, (SEND, BLOCK, UNBLOCK)),
    ]
    folder = ram_folder / "agent"
    async with peers.started(channel, topic, bare):
        sections = [feeder(f"ws-{number}", broker.url) for number, (broker, _) in enumerate(brokers)]
        async with agent(folder, simulated, *sections):
            phone = Phone(simulated)
            await channel.until(lambda: bool(channel.registered))
            for broker, (send, block, unblock) in brokers:
                await broker.until(lambda broker=broker: bool(broker.sockets))
                assert await broker.push(send.encode()) == 1
                assert await phone.next() == ("628126666666", "OTP Anda adalah 1234")
                await broker.push(block.encode())
                await blocked(folder, "628126666666")
                await broker.push(command("to a blocked number").encode())
                await broker.push(command("to another one", OTHER).encode())
                assert await phone.next() == ("628127777777", "to another one")
                await broker.push(unblock.encode())
                await blocked(folder, "-628126666666")
                await broker.push(command("to a number that is free again").encode())
                assert await phone.next() == ("628126666666", "to a number that is free again")


async def blocked(folder: Path, line: str) -> None:
    """Return when this is the last line of the block list."""
    path = folder / "state" / "blocklist.txt"
    async with asyncio.timeout(10):
        while not path.exists() or path.read_text().splitlines()[-1:] != [line]:
            await asyncio.sleep(0.02)  # a file of another process


async def test_through_our_relay_every_generation_of_publisher_reaches_the_modem(
    ram_folder: Path, simulated: Modems, tmp_path: Path
) -> None:
    async with relay_process(tmp_path) as relay:
        device = feeder("relay", relay.url, "device", PASSWORD)
        async with agent(ram_folder / "agent", simulated, device) as installed:
            phone = Phone(simulated)
            channel = await relay.client("/ws?sessid=2", "shop")
            await channel.message()
            await channel.text(SEND_IN_CHANNEL)
            assert await phone.next() == ("628126666666", "OTP Anda adalah 1234")
            await channel.text(BLOCK_IN_CHANNEL)
            await blocked(ram_folder / "agent", "628126666666")
            topic = await relay.client("/ws?topic=sms", "shop")
            await topic.text(command("to a blocked number"))
            await topic.text(command("to another one", OTHER))
            assert await phone.next() == ("628127777777", "to another one")
            async with relay.ours("shop") as shop:
                await shop.publish("1", UNBLOCK)
                assert (await shop.hear())["verdict"] == "done"
                await shop.publish("2", command("acknowledged"))
                assert await phone.next() == ("628126666666", "acknowledged")
                assert (await shop.hear())["verdict"] == "done", "said after the modem confirmed it"
                await shop.publish("3", '{"command":"send-sms","data":{"msisdn":"x","message":"y"}}')
                assert (await shop.hear())["verdict"] == "refused"
                # Killed with a message in hand: the relay has it until somebody settled it.
                await simulated.control.set(air=2.0)
                await shop.publish("4", command("in the air"))
                await asyncio.sleep(1.0)  # the modem begins, and tells nobody
                await installed.kill()
                await installed.start()
                assert (await shop.hear(30))["verdict"] in {"done", "unknown"}
                assert (await phone.next())[1] == "in the air"
                await shop.publish("5", command("the next one"))
                assert (await phone.next())[1] == "the next one", "and it went once"


CANARY_TEXT, CANARY_NUMBER = "CANARY-7f3a91", "081277001122"


async def test_what_is_sealed_is_read_by_the_device_alone(
    ram_folder: Path, simulated: Modems, tmp_path: Path
) -> None:
    """Neither memory nor disk of the relay nor the traffic to and from it holds number or text."""
    folders = ram_folder / "agent"
    async with relay_process(tmp_path) as relay, recorded(relay.port) as (port, traffic):
        device = feeder("relay", f"ws://127.0.0.1:{port}/ws", "device", PASSWORD, sealed_only=True)
        installed = Installation(folders, simulated.ports, feeders=[device])
        public = feeder_key(folders)
        clear = json.dumps({"command": "send-sms", "data": {"receiver": CANARY_NUMBER, "message": CANARY_TEXT}})
        async with relay.ours("shop") as shop:
            await shop.publish("sealed", seal(clear, public))
            assert not found(relay, CANARY_TEXT, CANARY_NUMBER), "while it waits for a consumer"
            await installed.start()
            try:
                assert await Phone(simulated).next() == ("6281277001122", CANARY_TEXT)
                assert (await shop.hear(20))["verdict"] == "done"
                mark = len(traffic)
                await shop.publish("clear", clear)
                assert (await shop.hear(20))["reason"] == "not-sealed"
                await shop.publish("replayed", seal(clear, public))
                assert (await shop.hear(20))["verdict"] == "done", "sealed anew it is a new message"
            finally:
                await installed.stop()
        assert found(relay, CANARY_TEXT), "one in clear is found: the search works"
        assert mark > 500
        for canary in (CANARY_TEXT.encode(), CANARY_NUMBER[1:].encode()):  # with any prefix
            assert canary not in traffic[:mark]
            assert canary in traffic[mark:], "one in clear is found: the search works"
        assert CANARY_TEXT not in relay.log
        log = installed.output.read_text()
        assert CANARY_TEXT not in log
        assert CANARY_NUMBER not in log


async def test_a_sealed_message_that_is_replayed_is_sent_once_and_a_replaced_key_still_opens(
    ram_folder: Path, simulated: Modems
) -> None:
    broker = peers.TopicBroker()
    folders = ram_folder / "agent"
    async with peers.started(broker):
        installed = Installation(folders, simulated.ports, feeders=[feeder("ws", broker.url)])
        old = feeder_key(folders)
        clear = json.dumps(
            {"command": "send-sms", "data": {"receiver": NUMBER, "message": "sealed to the old key"}}
        )
        sealed = seal(clear, old).encode()
        await installed.start()
        try:
            await broker.until(lambda: bool(broker.sockets))
            phone = Phone(simulated)
            await broker.push(sealed)
            assert (await phone.next())[1] == "sealed to the old key"
            new = feeder_key(folders, "rotate", "--keep-days", "1")
            assert new["kid"] != old["kid"]
            for _ in range(3):
                await broker.push(sealed)
                await broker.push(json.dumps({"jwe": sealed.decode()}).encode())
            await broker.push(seal(clear.replace("the old key", "the old key again"), old).encode())
            assert (await phone.next())[1] == "sealed to the old key again"
            await broker.push(json.dumps({"jwe": seal(clear.replace("old", "new"), new)}).encode())
            assert (await phone.next())[1] == "sealed to the new key"
            feeder_key(folders, "rotate", "--keep-days", "0")
            await broker.push(seal(clear.replace("old", "lost"), new).encode())
            await broker.push(command("the end").encode())
            assert (await phone.next())[1] == "the end", "a key that was not kept opens nothing, without a restart"
        finally:
            await installed.stop()


def found(relay: RelayProcess, *canaries: str) -> bool:
    """Whether any of them is in the relay's memory or files."""
    assert relay.process is not None
    octets = [path.read_bytes() for path in relay.folder.iterdir()]
    process = Path(f"/proc/{relay.process.pid}")
    with (process / "mem").open("rb", buffering=0) as memory:
        for line in (process / "maps").read_text().splitlines():
            area = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
            if area is None or "[v" in line:
                continue
            start, end = (int(address, 16) for address in area.groups())
            memory.seek(start)
            octets.append(memory.read(end - start))
    return any(canary.encode() in part for part in octets for canary in canaries)
