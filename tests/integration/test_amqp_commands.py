"""What publishers put into the queue ends on a modem, whichever client wrote it."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.rabbitmq import USER, RabbitMq, Vhost
from brokers.publisher import Publisher, publisher
from brokers.station import station
from fakes import FakeSender, modem
from otpbroker.events import FeederState
from otpbroker.feeder import outbound
from otpbroker.messaging.outcome import State

VECTORS = {
    vector["name"]: vector["body"]
    for vector in json.loads((Path(__file__).parents[1] / "contract/wire_requests.json").read_text("utf-8"))
}
SEND = VECTORS["README REST send-sms"]
BLOCK = VECTORS["README REST block-msisdn, with its trailing comma"]
UNBLOCK = VECTORS["README REST unblock-msisdn, with its trailing comma"]


def sms(text: str, receiver: str = "081234567890", **data: Any) -> dict[str, Any]:
    return {"command": "send-sms", "data": {"receiver": receiver, "message": text, **data}}


def quick() -> FakeSender:
    return FakeSender(modem("m1"), air_time=0.01)


async def test_the_readmes_examples_end_on_the_modem_and_are_enforced(
    ram_folder: Path, vhost: Vhost, server: Publisher
) -> None:
    async with station(ram_folder, vhost.settings(), quick()) as device:
        await device.connected()
        await server.publish(SEND)
        await device.until(lambda: device.texts == ["OTP Anda adalah 1234"])
        await server.publish(BLOCK)
        await server.publish(sms("to a blocked number", "08126666666"))
        await device.until(lambda: [message.state for message in device.messages][-1] == State.BLOCKED)
        await server.publish(UNBLOCK)
        await server.publish(sms("to a free number", "08126666666"))
        await device.until(lambda: device.texts == ["OTP Anda adalah 1234", "to a free number"])
        await device.until(lambda: device.feeders.statuses[0].done == 5)
        assert await server.ready("sms") == 0


async def test_both_forms_of_arrays_are_sent_whole(ram_folder: Path, vhost: Vhost, server: Publisher) -> None:
    async with station(ram_folder, vhost.settings(), quick()) as device:
        await device.connected()
        await server.publish(VECTORS["Broker RabbitMQ, array without command"])
        await server.publish(VECTORS["Broker RabbitMQ, array under send-sms"])
        await server.publish(VECTORS["array of commands"])
        await device.until(lambda: len(device.texts) == 4 and device.feeders.statuses[0].done == 3)
        assert sorted(device.texts) == ["dua", "satu", "satu", "satu"]


async def test_one_bad_item_is_dead_lettered_with_the_others_sent(
    ram_folder: Path, vhost: Vhost, server: Publisher
) -> None:
    await server.declare_exchange("dead", "fanout")
    await server.declare("graveyard")
    await server.bind("graveyard", "dead", "")
    async with station(ram_folder, vhost.settings(dead_letter_exchange="dead"), quick()) as device:
        await device.connected()
        body = {"data": [{"receiver": "081234567890", "message": "good"}, {"receiver": "", "message": "bad"}]}
        await server.publish(body)
        dead = await server.take("graveyard")
    assert device.texts == ["good"]
    assert dead.json == body
    assert dead.headers["x-otpbroker-reason"] == "missing-field"
    assert dead.headers["x-otpbroker-reasons"] == ["", "missing-field"]


@pytest.mark.parametrize("delay", ["50", 50, -50])
async def test_an_answer_goes_to_the_callback_topic_after_its_delay(
    ram_folder: Path, vhost: Vhost, server: Publisher, delay: object
) -> None:
    await server.declare("modem-list-1", durable=True)  # as OTP-Publisher declares it
    async with station(ram_folder, vhost.settings(), quick()) as device:
        await device.connected()
        await server.publish(
            {"command": "get-modem-list", "callback_topic": "modem-list-1", "callback_delay": delay, "data": {}}
        )
        answer = await server.take("modem-list-1")
    assert answer.json["response_code"] == "0000"
    assert answer.json["data"]["modem_list"]["m1"]["connected"] is True


async def test_an_answer_that_is_asked_for_later_holds_no_message_up(
    ram_folder: Path, vhost: Vhost, server: Publisher
) -> None:
    await server.declare("later")
    async with station(ram_folder, vhost.settings(prefetch=1), quick()) as device:
        await device.connected()
        query = {"command": "get-modem-list", "callback_topic": "later", "callback_delay": 60_000, "data": {}}
        for _ in range(2):
            await server.publish(query)
        await server.publish(sms("a"))
        await device.until(lambda: device.texts == ["a"])
        await device.until(lambda: device.feeders.statuses[0].done == 3)
        assert await server.ready("later") == 0
        await device.feeders.act("rabbit", "stop")
        assert (await server.ready("sms"), await server.ready("later")) == (0, 2), "stopped in order none is lost"


async def test_an_answer_that_is_asked_for_later_comes_later(
    ram_folder: Path, vhost: Vhost, server: Publisher
) -> None:
    await server.declare("later")
    await server.declare("at once")
    async with station(ram_folder, vhost.settings(prefetch=1), quick()) as device:
        await device.connected()
        query = {"command": "echo", "callback_topic": "later", "callback_delay": 1000, "data": {}}
        begin = time.monotonic()
        await server.publish(query, reply_to="at once")
        await server.take("at once")
        await server.take("later")
        assert time.monotonic() - begin >= 1


async def test_of_many_that_are_asked_for_later_the_last_come_at_once(
    ram_folder: Path, vhost: Vhost, server: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbound, "MOST_LATER", 3)
    await server.declare("later")
    async with station(ram_folder, vhost.settings(), quick()) as device:
        await device.connected()
        query = {"command": "echo", "callback_topic": "later", "callback_delay": 60_000, "data": {}}
        for number in range(5):
            await server.publish(query | {"data": {"number": number}})
        assert {(await server.take("later")).json["data"]["number"] for _ in range(2)} == {3, 4}
        assert await server.ready("later") == 0


async def test_an_answer_goes_to_reply_to_with_the_correlation_id(
    ram_folder: Path, vhost: Vhost, server: Publisher
) -> None:
    await server.declare("answers")
    async with station(ram_folder, vhost.settings(), quick()) as device:
        await device.connected()
        await server.publish(sms("a"), reply_to="answers", correlation_id="17")
        sent = await server.take("answers")
        await server.publish(sms("b", "not a number"), reply_to="answers", correlation_id="18")
        refused = await server.take("answers")
        await server.publish(b"{not JSON", reply_to="answers", correlation_id="19")
        garbage = await server.take("answers")
    assert (sent.json["response_code"], sent.json["data"]["modemID"]) == ("0000", "m1")
    assert (sent.properties.correlation_id, sent.properties.content_type) == ("17", "application/json")
    assert (refused.json["response_code"], refused.json["error_code"]) == ("1101", "receiver-invalid")
    assert (refused.properties.correlation_id, garbage.properties.correlation_id) == ("18", "19")
    assert garbage.json["error_code"] == "invalid-json"


async def test_half_a_surrogate_pair_in_the_answer_harms_nobody(
    ram_folder: Path, vhost: Vhost, server: Publisher
) -> None:
    await server.declare("answers")
    async with station(ram_folder, vhost.settings(prefetch=1), quick()) as device:
        await device.connected()
        await server.publish(b'{"command":"\\ud800"}', reply_to="answers")
        assert (await server.take("answers")).json["command"] == "\ud800"
        await device.until(lambda: device.feeders.statuses[0].refused == 1)
        await server.publish(sms("the next"))
        await device.until(lambda: device.texts == ["the next"])


async def test_a_name_that_no_queue_can_have_is_refused(ram_folder: Path, vhost: Vhost, server: Publisher) -> None:
    await server.declare("answers")
    async with station(ram_folder, vhost.settings(), quick()) as device:
        await device.connected()
        for topic in ("t" * 256, "é" * 128):
            await server.publish({"command": "echo", "callback_topic": topic, "data": {}}, reply_to="answers")
            answer = (await server.take("answers")).json
            assert (answer["error_code"], "callback_topic" in json.dumps(answer)) == ("too-long", True), answer


@pytest.mark.parametrize("rights", [None, "^nothing$"])
async def test_an_answer_that_is_not_taken_is_a_visible_problem_and_its_message_is_acknowledged(
    ram_folder: Path, rabbit: RabbitMq, vhost: Vhost, server: Publisher, rights: str | None
) -> None:
    await server.declare("sms")
    await server.declare("full", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    await server.publish(b"there is no room", "full")
    if rights is not None:
        await rabbit.permit(vhost.name, vhost.username, configure="^$", write=rights)
    async with station(ram_folder, vhost.settings(prefetch=1), quick()) as device:
        await device.connected()
        async with publisher(replace(vhost, username=USER, password=rabbit.password)) as admin:
            await admin.publish(sms("a"), reply_to="full")
            await device.until(lambda: "answers are not taken: " in device.detail)
            await admin.publish(sms("b"), reply_to="full")
            await device.until(lambda: device.texts == ["a", "b"])
            await device.until(lambda: device.feeders.statuses[0].done == 2)
            assert device.state is FeederState.CONNECTED
            assert [event.state for event in device.states].count(FeederState.CONNECTED) == 2, "no loop"
            await device.feeders.act("rabbit", "stop")
            assert await admin.ready("sms") == 0


async def test_an_answer_that_is_taken_again_ends_the_problem(
    ram_folder: Path, vhost: Vhost, server: Publisher
) -> None:
    await server.declare("full", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    await server.publish(b"there is no room", "full")
    async with station(ram_folder, vhost.settings(), quick()) as device:
        await device.connected()
        await server.publish(sms("a"), reply_to="full")
        await device.until(lambda: "answers are not taken" in device.detail)
        await server.take("full")
        await server.publish(sms("b"), reply_to="full")
        await device.until(lambda: device.detail == "")


async def test_a_one_time_password_is_made_and_verified_over_the_queue(
    ram_folder: Path, vhost: Vhost, server: Publisher
) -> None:
    await server.declare("answers")
    async with station(ram_folder, vhost.settings(), quick()) as device:
        await device.connected()
        data = {"receiver": "08123456789", "reference": "r1"}
        await server.publish({"command": "request-otp", "data": data | {"message": "%s"}}, reply_to="answers")
        assert (await server.take("answers")).json["response_code"] == "0000"
        (code,) = device.texts
        for code_, response in (("000000" if code != "000000" else "1", "1202"), (code, "0000")):
            await server.publish({"command": "verify-otp", "data": data | {"otp": code_}}, reply_to="answers")
            assert (await server.take("answers")).json["response_code"] == response


async def test_nobody_makes_the_device_answer_into_its_own_queue(
    ram_folder: Path, vhost: Vhost, server: Publisher
) -> None:
    async with station(ram_folder, vhost.settings(), quick()) as device:
        await device.connected()
        await server.publish({"command": "echo", "callback_topic": "sms", "data": {}})
        await device.until(lambda: device.feeders.statuses[0].done == 1)
        await device.until(lambda: "not sent" in device.detail)
        assert device.feeders.statuses[0].done == 1, "it talks to itself"


async def test_an_answer_that_nobody_takes_holds_nothing_up(
    ram_folder: Path, vhost: Vhost, server: Publisher
) -> None:
    async with station(ram_folder, vhost.settings(prefetch=1), quick()) as device:
        await device.connected()
        for text in ("a", "b"):
            await server.publish(sms(text), reply_to="gone")
        await device.until(lambda: device.feeders.statuses[0].done == 2)
        assert device.texts == ["a", "b"]


@pytest.mark.parametrize(
    ("data", "facts"),
    [
        ({"expiration": 1_700_000_000}, {}),
        ({"date_time": 1_700_000_000}, {}),
        ({}, {"timestamp": 1_700_000_000}),
        ({}, {"timestamp": 1_700_000_000, "expiration": "60000"}),
    ],
)
async def test_what_is_late_is_not_sent(
    ram_folder: Path, vhost: Vhost, server: Publisher, data: dict[str, Any], facts: dict[str, Any]
) -> None:
    async with station(ram_folder, vhost.settings(), quick()) as device:
        await device.connected()
        await server.publish(sms("late", **data), **facts)
        await server.publish(sms("in time"))
        await device.until(lambda: device.feeders.statuses[0].done == 2)
        assert device.texts == ["in time"]
        assert "expired" in [message.state for message in device.messages]


async def test_the_brokers_expiry_is_kept_while_a_message_waits_here(
    ram_folder: Path, vhost: Vhost, server: Publisher
) -> None:
    sender = FakeSender(modem("m1"), air_time=1.0)
    async with station(ram_folder, vhost.settings(prefetch=2), sender) as device:
        await device.connected()
        await server.publish(sms("in the air"))
        await device.until(lambda: device.texts == ["in the air"])
        await server.publish(sms("waits"), expiration="300")
        await device.until(lambda: device.feeders.statuses[0].done == 2)
        assert device.texts == ["in the air"]
