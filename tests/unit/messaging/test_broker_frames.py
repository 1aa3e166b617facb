"""What brokers and clients say around the commands."""

import json

import pytest

from otpbroker.errors import Rejected
from otpbroker.messaging import wire
from otpbroker.messaging.command import SendMail, SendSms
from otpbroker.messaging.wire import broker_frames as frames

OLD = {"id": "6b0306737f24d", "time": 1795360371, "receiver": "08126666666", "message": "Haloo."}
NEW = {"command": "send-sms", "data": {"msisdn": "08126666666", "message": "Haloo."}}


def envelope(*data: object) -> bytes:
    return json.dumps({"command": "send-message", "channel": "sms", "data": data}).encode()


def items(octets: bytes) -> tuple[bytes, ...]:
    return frames.items(octets, frames.peek(octets))


def test_the_greeting_is_the_one_of_the_transcript() -> None:
    said = frames.greeting(1795360368.0, accepted=True)
    assert said == (
        '{"command":"connect","response_code":"00","response_text":"Accepted",'
        '"data":[{"time_stamp":"2026-11-22T15:12:48.000Z"}]}'
    )
    assert len(said) == 120
    assert json.loads(frames.greeting(0, accepted=False))["response_code"] == "01"


def test_each_item_of_an_envelope_becomes_a_body_that_the_core_understands() -> None:
    first, second, third = items(envelope(OLD, NEW, {"receiver": "a@example.com", "message": "x"}))
    assert isinstance(wire.parse(first).items[0].command, SendSms)
    assert json.loads(second) == NEW
    assert isinstance(wire.parse(third).items[0].command, SendMail)


@pytest.mark.parametrize(
    "octets",
    [json.dumps(NEW).encode(), b"no json", b"[]", envelope(), envelope(*[NEW] * 101), b'{"data":[]}', b"\xff"],
)
def test_what_is_no_envelope_comes_back_as_it_is(octets: bytes) -> None:
    assert items(octets) == (octets,)


def test_an_envelope_without_its_first_items_holds_the_others() -> None:
    sent = envelope(OLD, NEW, {"message": "\ud800 ü"})
    assert items(frames.without_first(sent, 1)) == items(sent)[1:]
    assert frames.peek(frames.without_first(sent, 2)) == (frames.peek(sent) or {}) | {
        "data": [{"message": "\ud800 ü"}]
    }


def test_sealed_items_are_bodies_of_their_own() -> None:
    assert items(envelope("eyJ.a.b.c.d", {"jwe": "eyJ.a.b.c.d"})) == (b"eyJ.a.b.c.d", b'{"jwe":"eyJ.a.b.c.d"}')


def test_a_bare_command_is_put_into_an_envelope_and_an_envelope_stays_octet_by_octet() -> None:
    inside = json.loads(frames.enveloped(json.dumps(NEW).encode(), "sms"))
    assert inside == {"command": "send-message", "channel": "sms", "data": [NEW]}
    assert frames.enveloped(envelope(OLD), "sms").encode() == envelope(OLD)
    assert json.loads(frames.enveloped(b" eyJ.a.b.c.d\n", "sms"))["data"] == ["eyJ.a.b.c.d"]


def test_frames_of_ours_come_back_as_they_were() -> None:
    for frame in (
        frames.Consume(credit=4),
        frames.Deliver(id="a", body='{"x":"y"}', attempt=2, expires_at=5.5),
        frames.Settle(id="a", verdict=frames.Settlement.NOT_NOW, reason="queue-full"),
        frames.Publish(id="a", body="ü"),
        frames.Accepted(id="a"),
        frames.Declined(id="a", reason="channel-full"),
        frames.Settled(id="a", verdict=frames.Settlement.EXPIRED),
    ):
        assert frames.load(frames.dump(frame).encode()) == frame


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"[]",
        b"{}",
        b'{"type":"no"}',
        b'{"type":"consume","credit":-1}',
        b'{"type":"consume","credit":1e9}',
        b'{"type":"deliver","id":"","body":""}',
        b'{"type":"settle","id":"a","verdict":"fine"}',
        b'{"type":"publish","id":"a\\n","body":""}',
        b'{"type":"publish","id":"a","body":"","expires_at":NaN}',
        b'{"type":"publish","id":"a","body":"","expires_at":1e999}',
        b'{"type":"deliver","id":"a","body":"","expires_at":-Infinity}',
        b"\xff",
    ],
)
def test_what_is_no_frame_is_refused_without_its_words(octets: bytes) -> None:
    with pytest.raises(Rejected) as caught:
        frames.load(octets)
    assert str(caught.value) == "it is no frame of otpbroker.ack.v1"


def test_a_frame_that_is_logged_by_mistake_shows_no_body() -> None:
    assert "1234" not in repr(frames.Deliver(id="a", body="OTP 1234"))
    assert "1234" not in repr(frames.Publish(id="a", body="OTP 1234"))
