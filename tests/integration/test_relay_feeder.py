"""A device on our relay: every message is settled, whoever of the three is lost meanwhile."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from relay_process import PASSWORD, Ours, RelayHere, relaying
from websockets.exceptions import WebSocketException

from fake_intake import FakeIntake
from otpbroker.clock import Clock
from otpbroker.config.feeder_websocket import WebsocketFeeder
from otpbroker.events import Bus, ModemGone
from otpbroker.feeder import websocket
from otpbroker.feeder.delivery import Delivery, Handled, Verdict
from otpbroker.feeder.patience import Patience
from otpbroker.feeder.unsent import Unsent
from otpbroker.feeder.websocket import SocketFeeder
from otpbroker.relay.client import Seat

QUICK = Patience(first=0.05, most=0.2, settled=0.02, again=0.05, again_most=0.1)


class Operators(FakeIntake):
    """`full`: commands whose operator can take none now; `silent`: whose modem does not come to an end."""

    def __init__(self) -> None:
        super().__init__()
        self.full: set[bytes] = set()
        self.silent: set[bytes] = set()
        self.sent: list[bytes] = []

    async def handle(self, delivery: Delivery, *, began: Callable[[str], None] = lambda _: None) -> Handled:
        handled = await super().handle(delivery, began=began)
        if delivery.body in self.full:
            return Handled(Verdict.NOT_NOW, "modem-cap")
        if delivery.body in self.silent:
            await asyncio.Event().wait()
        self.sent.append(delivery.body)
        async with self.changed:
            self.changed.notify_all()
        return handled


class Device:
    """A feeder on the relay, with its intake."""

    def __init__(self, relay: RelayHere, user: str, *, patience: Patience = QUICK, **settings: Any) -> None:
        self.relay, self.user = relay, user
        self.intake = Operators()
        self.bus = Bus()
        self._modems = 2
        section = WebsocketFeeder.model_validate(
            {"id": user, "kind": "websocket", "url": relay.url, "username": user, "password": PASSWORD} | settings
        )
        self.feeder = SocketFeeder(
            section,
            self.intake,
            lambda *_: None,
            lambda: self._modems,
            Clock(),
            bus=self.bus,
            unsent=Unsent(Clock()),
            patience=patience,
        )

    def has_modems(self, ready: int) -> None:
        self._modems = ready
        self.bus.publish(ModemGone("another one"))

    async def told_credit(self, credit: int) -> None:
        """Return when the relay knows it so."""
        async with asyncio.timeout(10):
            while [seat.credit for seat in seats(self.relay, self.user)] != [credit]:
                await asyncio.sleep(0.02)  # within another one's state

    @property
    def bodies(self) -> list[str]:
        return [body.decode() for body in self.intake.bodies]


@asynccontextmanager
async def device(relay: RelayHere, user: str = "device", **settings: Any) -> AsyncIterator[Device]:
    found = Device(relay, user, **settings)
    task = asyncio.create_task(found.feeder.run())
    try:
        yield found
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def seats(relay: RelayHere, user: str) -> list[Seat]:
    clients = relay.relay._clients.values()
    return [seat for client in clients if client.user.username == user for seat in client._seats.values()]


def hang_up(relay: RelayHere, user: str) -> None:
    for connection, client in tuple(relay.relay._clients.items()):
        if client.user.username == user:
            connection.transport.abort()


async def settled(shop: Ours, *names: str) -> dict[str, str]:
    """The verdicts of these publications, as they come."""
    verdicts: dict[str, str] = {}
    while set(verdicts) < set(names):
        frame = await shop.hear()
        if frame["type"] == "settled":
            verdicts[frame["id"]] = frame["verdict"]
    return verdicts


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (Handled(Verdict.DONE), ("done", "")),
        (Handled(Verdict.UNKNOWN, "no-answer"), ("unknown", "no-answer")),
        (Handled(Verdict.REFUSED, "invalid-json"), ("refused", "invalid-json")),
    ],
)
async def test_each_end_is_told_back_to_the_publisher(
    tmp_path: Path, verdict: Handled, said: tuple[str, str]
) -> None:
    async with relaying(tmp_path) as relay, device(relay) as there, relay.ours("shop") as shop:
        there.intake.answer(verdict)
        await shop.publish("a", "{}")
        settlement = await shop.hear()
        assert (settlement["verdict"], settlement["reason"]) == said


async def test_the_device_takes_what_its_modems_can_and_leaves_the_rest_to_others(tmp_path: Path) -> None:
    async with relaying(tmp_path) as relay, device(relay) as there, relay.ours("shop") as shop:
        there.intake.open.clear()
        for number in range(10):
            await shop.publish(str(number), str(number))
        await there.intake.have(4)
        await relay.until('waiting{channel="sms"}', 6)
        assert len(there.intake.given) == 4, "twice the ready modems"
        async with device(relay, "second") as second:
            await second.intake.have(6)
            there.intake.open.set()
            verdicts = await settled(shop, *map(str, range(10)))
        assert set(verdicts.values()) == {"done"}
        assert sorted(there.bodies + second.bodies) == sorted(map(str, range(10)))


async def test_a_device_without_a_ready_modem_leaves_everything_to_others(tmp_path: Path) -> None:
    async with relaying(tmp_path) as relay, device(relay) as there, relay.ours("shop") as shop:
        await relay.until('consumers{channel="sms"}', 1)
        there.has_modems(0)
        await there.told_credit(0)
        async with device(relay, "second") as second:
            await second.told_credit(4)
            for number in range(3):
                await shop.publish(str(number), str(number))
                await settled(shop, str(number))
            assert (there.bodies, second.bodies) == ([], ["0", "1", "2"])
            second.has_modems(0)
            await second.told_credit(0)
        await shop.publish("3", "3")
        await relay.until('waiting{channel="sms"}', 1)
        assert (await relay.metrics())['consumers{channel="sms"}'] == 1, "it has its place"
        there.has_modems(1)
        assert await settled(shop, "3") == {"3": "done"}, "soon after a modem became ready"


async def test_no_more_is_asked_for_than_a_frame_can_say(tmp_path: Path) -> None:
    async with relaying(tmp_path) as relay, device(relay) as there, relay.ours("shop") as shop:
        there.has_modems(501)
        await there.told_credit(1000)
        await shop.publish("a", "{}")
        assert await settled(shop, "a") == {"a": "done"}


async def test_what_is_in_hand_when_the_connection_is_lost_is_settled_on_the_next_one(tmp_path: Path) -> None:
    async with relaying(tmp_path) as relay, device(relay) as there:
        there.intake.open.clear()
        async with relay.ours("shop") as shop:
            await shop.publish("a", "{}")
            await there.intake.have(1)
            hang_up(relay, "device")
            await relay.until('consumers{channel="sms"}', 0)
            await relay.until('consumers{channel="sms"}', 1)
            assert there.intake.withdrawn == ["ours-1"], "a message that still waits is given up"
            there.intake.open.set()
            assert (await settled(shop, "a")) == {"a": "done"}
        assert len(there.intake.given) == 1, "and not handled twice"


async def test_what_a_device_had_goes_to_another_when_it_ends(tmp_path: Path) -> None:
    async with relaying(tmp_path, limits={"grace": 0.2}) as relay, relay.ours("shop") as shop:
        async with device(relay) as there:
            there.intake.open.clear()
            await shop.publish("a", "{}")
            await there.intake.have(1)
        async with device(relay, "second") as second:
            assert await settled(shop, "a") == {"a": "done"}
            assert second.intake.given[0].redelivered
            assert second.intake.given[0].message_id == there.intake.given[0].message_id


async def test_a_device_that_ends_in_order_settles_what_is_in_the_air(tmp_path: Path) -> None:
    async with relaying(tmp_path) as relay, relay.ours("shop") as shop:
        async with device(relay) as there:
            there.intake.open.clear()
            await shop.publish("a", "{}")
            await there.intake.have(1)
            asyncio.get_running_loop().call_later(0.3, there.intake.open.set)
        assert there.intake.withdrawn == ["ours-1"], "what no modem has goes back"
        assert await settled(shop, "a") == {"a": "done"}


async def test_a_relay_that_is_killed_under_load_loses_nothing_that_its_publisher_keeps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The relay's memory is gone; who publishes says again what was not settled, and nothing is handled twice."""
    unsettled = {str(number) for number in range(200)}
    async with relaying(tmp_path) as relay, device(relay) as there:
        killing = asyncio.create_task(kill_and_start(relay, there))
        while unsettled:
            try:
                async with relay.ours("shop") as shop:
                    for name in sorted(unsettled):
                        await shop.say(type="publish", id=name, body=json.dumps({"id": name}))
                    while unsettled:
                        frame = await shop.hear()
                        if frame["type"] == "settled":
                            assert frame["verdict"] == "done"
                            unsettled.discard(frame["id"])
            except (WebSocketException, OSError, TimeoutError):
                await asyncio.sleep(0.05)  # a publisher's own back-off
        took = await killing
        bodies = there.bodies
        assert sorted(bodies) == sorted(json.dumps({"id": str(number)}) for number in range(200))
        with capsys.disabled():
            print(
                f"\n  relay killed under load: {took:.2f} s from its restart to the next message; 200 of 200 once"
            )


async def kill_and_start(relay: Any, there: Device) -> float:
    await there.intake.have(50)
    for connection in tuple(relay.relay._clients):
        connection.transport.abort()
    await relay.stop()
    before = len(there.intake.given)
    await asyncio.sleep(0.3)
    await relay.start()
    started = time.monotonic()
    await there.intake.have(before + 1)
    return time.monotonic() - started


async def test_sealed_and_enveloped_commands_pass(tmp_path: Path) -> None:
    """An envelope of a historic publisher is opened by the device, each command for itself."""
    async with relaying(tmp_path) as relay, device(relay) as there:
        shop = await relay.client("/ws?sessid=2", "shop")
        await shop.message()
        items = [{"command": "block-msisdn", "data": {"msisdn": "0812"}}, {"jwe": "eyJ..a.b.c"}]
        await shop.text(json.dumps({"command": "send-message", "channel": "sms", "data": items}))
        await there.intake.have(2)
        assert [json.loads(body) for body in there.bodies] == items
        keys = {given.message_id for given in there.intake.given}
        assert len(keys) == 2, "each is known by itself if it comes again"


CAPPED, FREE = (
    b'{"command":"send-sms","data":{"msisdn":"0811"}}',
    b'{"command":"send-sms","data":{"msisdn":"0855"}}',
)
BOTH = json.dumps({"command": "send-message", "channel": "sms", "data": [json.loads(CAPPED), json.loads(FREE)]})


async def test_a_message_goes_to_another_device_while_none_of_its_commands_could_be(tmp_path: Path) -> None:
    async with relaying(tmp_path, limits={"pause": 0.2}) as relay, device(relay) as there:
        async with relay.ours("shop") as shop:
            there.intake.full = {CAPPED, FREE}
            await shop.publish("a", BOTH)
            await there.intake.have(2)
            async with device(relay, "second") as second:
                assert await settled(shop, "a") == {"a": "done"}
                assert second.intake.sent == [CAPPED, FREE]
        assert not there.intake.sent


async def test_of_what_was_sent_in_part_the_rest_is_tried_again_by_the_same_device(tmp_path: Path) -> None:
    """One operator's modem is at its cap: another device would send the other operator's message twice."""
    async with (
        relaying(tmp_path, limits={"pause": 0.1}) as relay,
        device(relay) as there,
        relay.ours("shop") as shop,
    ):
        there.intake.full = {CAPPED}
        await shop.publish("a", BOTH)
        await there.intake.have(2)
        async with device(relay, "second") as second:
            await there.intake.have(6)
            there.intake.full.clear()
            assert await settled(shop, "a") == {"a": "done"}
            assert (there.intake.sent, second.intake.sent) == ([FREE, CAPPED], [])


@pytest.mark.parametrize(("life", "hold", "reason"), [(0.5, 60.0, "expired"), (60.0, 0.5, "modem-cap")])
async def test_what_is_left_of_a_message_is_refused_in_the_end(
    tmp_path: Path, life: float, hold: float, reason: str
) -> None:
    async with (
        relaying(tmp_path) as relay,
        device(relay, patience=replace(QUICK, hold=hold)) as there,
        relay.ours("shop") as shop,
    ):
        there.intake.full = {CAPPED}
        await shop.publish("a", BOTH, expires_at=time.time() + life)
        settlement = await shop.hear()
        assert (settlement["verdict"], settlement["reason"]) == ("refused", reason)
        assert there.intake.sent == [FREE]


@pytest.mark.parametrize("lost", [False, True])
async def test_a_device_that_goes_with_a_message_sent_in_part_says_so(tmp_path: Path, lost: bool) -> None:
    """By its orderly end, or after a lost connection: its rest is given up, and all of it would go twice."""
    patience = replace(QUICK, again=60.0)
    async with (
        relaying(tmp_path, limits={"pause": 0.1, "grace": 0.5}) as relay,
        relay.ours("shop") as shop,
        AsyncExitStack() as first,
    ):
        there = await first.enter_async_context(device(relay, patience=patience))
        there.intake.full = {CAPPED}
        await shop.publish("a", BOTH)
        await there.intake.until(lambda: there.intake.sent == [FREE])
        async with device(relay, "second") as second:
            await relay.until('consumers{channel="sms"}', 2)
            if lost:
                hang_up(relay, "device")
            else:
                await first.aclose()
            settlement = await shop.hear()
            assert (settlement["verdict"], settlement["reason"]) == ("unknown", "partly-sent")
            assert not second.intake.given


async def test_a_device_that_can_not_wait_for_what_is_in_the_air_tells_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "STOP_WITHIN", 0.3)
    async with relaying(tmp_path) as relay, relay.ours("shop") as shop:
        async with device(relay) as there:
            there.intake.silent = {CAPPED}
            await shop.publish("a", BOTH)
            await there.intake.until(lambda: there.intake.sent == [FREE])
        settlement = await shop.hear()
        assert (settlement["verdict"], settlement["reason"]) == ("unknown", "partly-sent")


async def test_a_device_that_does_not_want_to_acknowledge_is_served_like_a_historic_one(tmp_path: Path) -> None:
    async with relaying(tmp_path) as relay, device(relay, acknowledge=False) as there, relay.ours("shop") as shop:
        await shop.publish("a", "{}")
        assert await settled(shop, "a") == {"a": "unknown"}, "written to it: more is not known"
        await there.intake.have(1)
