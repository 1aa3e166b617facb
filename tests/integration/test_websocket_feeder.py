"""The feeder against every generation of WebSocket broker, wire-exact, and against their ways of failing."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme

import websocket_peers as peers
from fake_intake import FakeIntake
from otpbroker.clock import Clock
from otpbroker.config.feeder_websocket import WebsocketFeeder
from otpbroker.events import Bus, FeederState
from otpbroker.feeder.delivery import Handled, Verdict
from otpbroker.feeder.holding import MOST_HELD
from otpbroker.feeder.patience import Patience
from otpbroker.feeder.unsent import Unsent
from otpbroker.feeder.websocket import SocketFeeder

QUICK = Patience(
    first=0.05,
    most=0.2,
    refused=0.1,
    refused_most=0.2,
    good=5.0,
    at_once=1.0,
    settled=0.02,
    ping=0.3,
    pong=0.3,
    ping_ours=0.3,
    pong_ours=0.3,
    hold=0.6,
    again=0.05,
    again_most=0.1,
)
COMMAND = b'{"command":"send-sms","data":{"msisdn":"08126666666","message":"OTP Anda adalah 1234"}}'


class Running:
    """A feeder at work, its intake, and what it told."""

    def __init__(
        self, broker: peers.Broker, patience: Patience = QUICK, unsent: Unsent | None = None, **settings: Any
    ) -> None:
        self.intake = FakeIntake()
        self.told: list[tuple[FeederState, str]] = []
        self.ready_modems = 2
        self._news = asyncio.Condition()
        section = WebsocketFeeder.model_validate(
            {"id": "ws", "kind": "websocket", "url": broker.url, "username": peers.USER, "password": peers.PASSWORD}
            | settings
        )
        self.feeder = SocketFeeder(
            section,
            self.intake,
            self._tell,
            lambda: self.ready_modems,
            Clock(),
            bus=Bus(),
            unsent=unsent or Unsent(Clock()),
            patience=patience,
        )

    def _tell(self, state: FeederState, detail: str) -> None:
        self.told.append((state, detail))

    async def until(self, state: FeederState, since: int = 0) -> str:
        """The detail that this state was told with."""
        async with asyncio.timeout(10):
            while True:
                for told, detail in self.told[since:]:
                    if told is state:
                        return detail
                await asyncio.sleep(0.01)  # the feeder tells a callback, as its owner wants it


@asynccontextmanager
async def feeding(broker: peers.Broker, patience: Patience = QUICK, **settings: Any) -> AsyncIterator[Running]:
    """`settings` of the section, or `unsent` of an earlier run."""
    running = Running(broker, patience, **settings)
    task = asyncio.create_task(running.feeder.run())
    try:
        yield running
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_channel_broker_is_answered_with_a_registration_and_its_envelopes_are_opened() -> None:
    broker = peers.ChannelBroker()
    async with peers.started(broker), feeding(broker) as running:
        await broker.until(lambda: bool(broker.registered))
        assert json.loads(broker.received[0][1]) == {"command": "receive-message", "channel": "sms", "data": []}
        publisher = await peers.client(broker.port)
        assert await publisher.message() == peers.ACCEPTED
        old = {"id": "6b0306737f24d", "time": 1795360371, "receiver": "08126666666", "message": "Haloo."}
        items = [old, {"command": "block-msisdn", "data": {"msisdn": "0812"}}]
        await publisher.text(peers.pretty({"command": "send-message", "channel": "sms", "data": items}))
        await running.intake.have(2)
        bodies = [json.loads(body) for body in running.intake.bodies]
        assert bodies == [{"command": "send-message", "data": old}, items[1]]
        assert await running.until(FeederState.CONNECTED) == ""
        publisher.drop()


async def test_it_never_sends_the_ping_that_costs_a_consumer_its_place() -> None:
    broker = peers.ChannelBroker()
    async with peers.started(broker), feeding(broker) as running:
        await broker.until(lambda: bool(broker.registered))
        (socket,) = broker.sockets
        async with asyncio.timeout(5):
            while socket.pinged < 2:
                await asyncio.sleep(0.05)  # pings come by the clock
        assert len(broker.received) == 1, "the registration and nothing else"
        assert broker.registered
        assert await broker.push(peers.pretty({"command": "send-message", "data": [{"command": "x"}]}).encode())
        await running.intake.have(1)


async def test_a_topic_broker_hears_nothing_and_its_messages_are_taken_as_they_are() -> None:
    broker = peers.TopicBroker()
    async with peers.started(broker), feeding(broker) as running:
        await broker.until(lambda: bool(broker.sockets))
        assert broker.sockets[0].query["topic"] == "sms"
        publisher = await peers.client(broker.port, "/ws/?topic=sms")
        await publisher.text(COMMAND)
        publisher.drop()  # as the PHP publisher ends: no closing frame
        await running.intake.have(1)
        assert running.intake.bodies == [COMMAND]
        assert broker.said == [COMMAND], "nothing of the feeder's, which the other subscribers would get"


async def test_a_bare_broker_finds_the_channel_in_the_query() -> None:
    broker = peers.BareBroker()
    async with peers.started(broker), feeding(broker, channel="otp room") as running:
        await broker.until(lambda: bool(broker.sockets))
        await broker.push(COMMAND, "otp room")
        await broker.push(COMMAND, "otp room", opcode=peers.BINARY)
        await running.intake.have(2)
        assert running.intake.bodies == [COMMAND, COMMAND]


async def test_parameters_of_the_configured_address_stay() -> None:
    broker = peers.TopicBroker()
    async with peers.started(broker):
        url = f"{broker.url}?topic=own&key=1%2B1"
        async with feeding(broker, url=url):
            await broker.until(lambda: bool(broker.sockets))
            assert broker.sockets[0].query == {"topic": "own", "key": "1+1", "channel": "sms"}


async def test_what_other_clients_say_to_their_broker_is_left_alone() -> None:
    broker = peers.TopicBroker()
    async with peers.started(broker), feeding(broker) as running:
        await broker.until(lambda: bool(broker.sockets))
        for request in (
            {"command": "receive-message", "channel": "sms"},
            {"command": "ping", "data": []},
            {"command": "send-sms", "response_code": "0000", "data": {}},
        ):
            await broker.push(json.dumps(request).encode())
        await broker.push(COMMAND)
        await running.intake.have(1)
        assert running.intake.bodies == [COMMAND]


async def test_an_answer_goes_to_its_callback_topic_on_a_connection_of_its_own() -> None:
    broker = peers.TopicBroker()
    async with peers.started(broker), feeding(broker) as running:
        await broker.until(lambda: bool(broker.sockets))
        asking = await peers.client(broker.port, "/ws/?topic=modem-list-123")
        answer: dict[str, object] = {"command": "get-modem-list", "response_code": "0000", "data": {}}
        running.intake.answer(Handled(Verdict.DONE, "", answer, "modem-list-123", 0.05))
        await broker.push(b'{"command":"get-modem-list"}')
        assert json.loads(await asyncio.wait_for(asking.message(), 5)) == answer
        asking.drop()


async def test_an_echo_into_the_topic_itself_does_not_come_round(caplog: pytest.LogCaptureFixture) -> None:
    broker = peers.TopicBroker()
    async with peers.started(broker), feeding(broker) as running:
        await broker.until(lambda: bool(broker.sockets))
        echo: dict[str, object] = {"command": "echo", "callback_topic": "sms"}
        running.intake.answer(*[Handled(Verdict.DONE, "", echo, "sms")] * 3)
        await broker.push(json.dumps(echo).encode())
        await running.intake.have(1)
        await broker.push(COMMAND)
        await running.intake.have(2)
        assert running.intake.bodies[1:] == [COMMAND]
        assert broker.tries == 1
        assert "the feeder's own channel" in caplog.text


@pytest.mark.parametrize("broker", [peers.ChannelBroker(), peers.TopicBroker()], ids=["channel", "topic"])
async def test_wrong_credentials_are_told_as_refused_and_right_ones_heal_it(
    broker: peers.Broker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A channel broker greets with 01 and keeps the socket, a topic broker accepts, then closes with 1000."""
    monkeypatch.setattr(peers, "PASSWORD", "another one")  # of the broker; the feeder has the old one
    monkeypatch.setattr(peers.basic, "__defaults__", (peers.USER, "another one"))
    async with peers.started(broker), feeding(broker, password="4lt0@1234") as running:
        assert "does not let this device in" in await running.until(FeederState.REFUSED)
        tries = broker.tries
        await asyncio.sleep(1.0)
        assert 3 <= broker.tries - tries <= 14, "it goes on trying, at the pace of its pauses (0.1 to 0.24 s)"
        monkeypatch.setattr(peers.basic, "__defaults__", (peers.USER, "4lt0@1234"))
        healed = time.monotonic()
        since = len(running.told)
        await running.until(FeederState.CONNECTED, since)
        await broker.until(lambda: bool(broker.sockets))
        push = getattr(broker, "push")  # noqa: B009 # of either generation
        async with asyncio.timeout(5):
            while not await push(COMMAND):
                await asyncio.sleep(0.01)
        await running.intake.have(1)
        report(capsys, f"{type(broker).__name__}: {time.monotonic() - healed:.2f} s after the password was right")


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refusing_status_is_a_refusal_and_other_ones_are_failures(
    status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    broker = peers.TopicBroker()
    broker.refuse_with = 502
    async with peers.started(broker), feeding(broker) as running:
        assert "HTTP 502" in await running.until(FeederState.FAILED)
        broker.refuse_with = status
        assert f"HTTP {status}" in await running.until(FeederState.REFUSED)
        broker.refuse_with = None
        healed = time.monotonic()
        await broker.until(lambda: bool(broker.sockets))
        await broker.push(COMMAND)
        await running.intake.have(1)
        report(capsys, f"HTTP {status}: {time.monotonic() - healed:.2f} s after it stopped refusing")


async def test_a_refusal_is_one_though_it_names_a_place_to_log_in() -> None:
    broker = peers.TopicBroker()
    broker.refuse_with, broker.location = 401, "https://login.example.com/"
    async with peers.started(broker), feeding(broker) as running:
        assert "HTTP 401" in await running.until(FeederState.REFUSED)


class Closing(peers.Broker):
    """Accepts, then closes at once, as many times as it is asked."""

    async def talk(self, socket: peers.Socket) -> None:
        await socket.close(1000)


async def test_a_broker_that_accepts_and_closes_is_not_hammered() -> None:
    broker = Closing()
    async with peers.started(broker), feeding(broker) as running:
        await running.until(FeederState.REFUSED)
        await asyncio.sleep(1.0)
        assert broker.tries <= 13


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_a_broker_that_is_lost_is_found_again(how: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Under load: every message that the broker wrote to a live consumer is handled; only what it had nobody for is
    lost, which a broker without memory loses by itself."""
    broker = peers.TopicBroker()
    written: list[bytes] = []
    nobody = 0
    async with peers.started(broker), feeding(broker) as running:
        await broker.until(lambda: bool(broker.sockets))

        async def load() -> None:
            nonlocal nobody
            for number in range(300):
                body = json.dumps({"command": "send-sms", "data": {"id": number}}).encode()
                if await broker.push(body):
                    written.append(body)
                else:
                    nobody += 1
                await asyncio.sleep(0.005)

        loading = asyncio.create_task(load())
        await running.intake.have(50)
        since = len(running.told)
        lost = time.monotonic()
        if how == "killed":
            await broker.kill()
            await broker.start()
        else:
            broker.freeze()
        await running.until(FeederState.FAILED, since)
        noticed = time.monotonic()
        await running.until(FeederState.CONNECTED, since)
        healed = time.monotonic()
        await loading
        await running.intake.have(len(written))
        assert running.intake.bodies == written
        assert len(written) + nobody == 300
        report(
            capsys,
            f"{how}: noticed after {noticed - lost:.2f} s, connected after {healed - lost:.2f} s; of 300 messages "
            f"{len(written)} were written to the device, all handled; for {nobody} the broker had no consumer",
        )


async def test_silence_under_backpressure_is_no_reason_to_hang_up() -> None:
    """While too much is held nothing is read, pongs neither; what the broker wrote meanwhile must not be lost."""
    broker = peers.TopicBroker()
    async with peers.started(broker), feeding(broker) as running:
        await broker.until(lambda: bool(broker.sockets))
        running.intake.open.clear()
        total = MOST_HELD + 200
        pushing = asyncio.create_task(push_many(broker, total))
        await running.intake.have(MOST_HELD)
        await asyncio.sleep(1.2)  # two rounds of pings
        assert len(running.intake.given) == MOST_HELD
        assert broker.tries == 1
        running.intake.open.set()
        await running.intake.have(total)
        await pushing
        assert broker.tries == 1
        assert running.intake.most_under_way == MOST_HELD


async def push_many(broker: peers.TopicBroker, number: int) -> None:
    for place in range(number):
        await broker.push(b'{"command":"send-sms","data":{"id":%d,"message":"%s"}}' % (place, b"x" * 2000))


async def test_what_the_core_can_not_take_now_is_held_and_tried_again_for_a_while() -> None:
    broker = peers.TopicBroker()
    async with peers.started(broker), feeding(broker) as running:
        await broker.until(lambda: bool(broker.sockets))
        running.intake.answer(Verdict.NOT_NOW, Verdict.NOT_NOW, RuntimeError("a defect"), Verdict.DONE)
        await broker.push(COMMAND)
        await running.intake.have(4)
        assert running.intake.bodies == [COMMAND] * 4
        running.intake.answer(*[Verdict.NOT_NOW] * 100)
        await broker.push(COMMAND)
        await asyncio.sleep(1.0)
        given = len(running.intake.given)
        await asyncio.sleep(0.3)
        assert len(running.intake.given) == given, "given up after `hold`"


async def test_what_is_held_when_the_feeder_is_connected_anew_is_tried_again_by_its_next_run() -> None:
    broker, unsent = peers.TopicBroker(), Unsent(Clock())
    patience = replace(QUICK, hold=5.0)
    async with peers.started(broker):
        async with feeding(broker, patience, unsent=unsent) as running:
            await broker.until(lambda: bool(broker.sockets))
            running.intake.answer(*[Verdict.NOT_NOW] * 1000)
            await broker.push(COMMAND)
            await running.intake.have(2)
        async with feeding(broker, patience, unsent=unsent) as running:
            await running.intake.have(1)
            assert running.intake.bodies == [COMMAND]
            await broker.until(lambda: bool(broker.sockets))
        assert unsent.take("ws") == []


async def test_a_message_under_way_outlives_its_connection() -> None:
    broker = peers.TopicBroker()
    async with peers.started(broker), feeding(broker) as running:
        await broker.until(lambda: bool(broker.sockets))
        running.intake.open.clear()
        await broker.push(COMMAND)
        await running.intake.have(1)
        await broker.kill()
        await broker.start()
        await broker.until(lambda: bool(broker.sockets))
        assert running.intake.under_way == 1
        running.intake.open.set()
        await broker.push(COMMAND)
        await running.intake.have(2)


async def test_a_certificate_is_checked_against_the_configured_authority(tmp_path: Path) -> None:
    authority = trustme.CA()
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    broker = peers.TopicBroker()
    context = peers_tls(authority)
    server = await asyncio.start_server(broker._accept, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    async with server:
        async with feeding(broker, url=f"wss://localhost:{port}/ws") as running:
            assert "not trusted" in await running.until(FeederState.FAILED)
        missing = str(tmp_path / "none.pem")
        async with feeding(broker, url=f"wss://localhost:{port}/ws", ca=missing) as running:
            assert "ca: can't be used: No such file" in await running.until(FeederState.FAILED)
        async with feeding(broker, url=f"wss://localhost:{port}/ws", ca=str(ca_file)) as running:
            await broker.until(lambda: bool(broker.sockets))
            await broker.push(COMMAND)
            await running.intake.have(1)


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("wss://broker.example.com/ws", "url: the broker sends to wss://broker.example.com"),
        ("https://user:secret@broker.example.com:8443/ws?key=secret", "sends to https://broker.example.com:8443 ("),
        ("ws://other.example.com/ws", "url: the broker sends to ws://other.example.com"),
        ("ws://broker..example.com/ws", "url: the broker sends to ws://broker..example.com"),
        ("ws://[", "url: the address can't be used, or the broker sends to one that can't"),
    ],
)
async def test_a_broker_that_sends_elsewhere_is_explained_and_costs_no_message(location: str, words: str) -> None:
    """As a proxy sends plain connections to TLS; credentials are for the configured broker alone."""
    broker = peers.TopicBroker()
    async with peers.started(broker), feeding(broker) as running:
        await broker.until(lambda: bool(broker.sockets))
        running.intake.open.clear()
        await broker.push(COMMAND)
        await running.intake.have(1)
        broker.refuse_with, broker.location = 301, location
        broker.sockets[0].drop()
        async with asyncio.timeout(5):
            while not any(words in detail for _, detail in running.told):
                await asyncio.sleep(0.01)
        broker.refuse_with = None
        await broker.until(lambda: bool(broker.sockets))
        assert running.intake.under_way == 1, "what came before is in hand"
        assert "secret" not in str(running.told)


async def test_a_broker_that_sends_to_another_path_of_its_own_is_followed() -> None:
    broker = peers.TopicBroker()
    async with peers.started(broker):
        broker.refuse_with, broker.location = 301, "/ws/?topic=sms"
        async with feeding(broker, url=f"ws://127.0.0.1:{broker.port}/old", patience=replace(QUICK, first=60.0)):
            await broker.until(lambda: broker.tries > 0)
            broker.refuse_with = None
            await broker.until(lambda: bool(broker.sockets))
            assert broker.sockets[0].known, "with its credentials"


def peers_tls(authority: trustme.CA) -> Any:
    import ssl  # noqa: PLC0415 # for this test alone

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    return context


async def test_no_proxy_of_the_environment_sees_the_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    broker = peers.TopicBroker()
    async with peers.started(broker), feeding(broker):
        await broker.until(lambda: bool(broker.sockets))
        assert broker.sockets[0].known


def report(capsys: pytest.CaptureFixture[str], line: str) -> None:
    with capsys.disabled():
        print(f"\n  {line}", end="")
