"""What the properties of an AMQP message say of its time and of who it is."""

import pytest

from otpbroker.feeder.amqp import Properties, Received
from otpbroker.feeder.shift import _delivery, until_again

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("properties", "expires_at", "made_at"),
    [
        (Properties(), None, None),
        (Properties(timestamp=1_799_999_990), None, 1_799_999_990),
        (Properties(timestamp=1_799_999_990, expiration="60000"), 1_800_000_050, 1_799_999_990),
        (Properties(expiration="60000"), NOW + 60, None),
        (Properties(expiration="500"), NOW + 0.5, None),
        (Properties(expiration="0"), NOW, None),
        (Properties(timestamp=1_900_000_000, expiration="60000"), NOW + 60, 1_900_000_000),
        (Properties(timestamp=1_800_000_000_000), None, None),
        (Properties(timestamp=0, expiration="soon"), None, None),
        (Properties(expiration="-5"), None, None),
        (Properties(expiration="٣"), None, None),
    ],
)
def test_times(properties: Properties, expires_at: float | None, made_at: float | None) -> None:
    delivery = _delivery(Received(1, b"", properties, redelivered=False), NOW)
    assert (delivery.expires_at, delivery.made_at) == (expires_at, made_at)


@pytest.mark.parametrize(("message_id", "known_as"), [("7", "7"), ("", None), (None, None)])
def test_identity(message_id: str | None, known_as: str | None) -> None:
    delivery = _delivery(Received(1, b"x", Properties(message_id=message_id), redelivered=True), NOW)
    assert (delivery.body, delivery.message_id, delivery.redelivered) == (b"x", known_as, True)
    assert "x" not in repr(delivery).replace("expires_at", "")


@pytest.mark.parametrize(
    ("redelivered", "headers", "seconds"),
    [
        (False, None, 1),
        (True, None, 30),
        (True, {"x-delivery-count": 1}, 30),
        (True, {"x-delivery-count": 2}, 60),
        (True, {"x-delivery-count": 4}, 240),
        (True, {"x-delivery-count": 5}, 300),
        (True, {"x-delivery-count": 10**30}, 300),
        (True, {"x-delivery-count": -1}, 30),
        (True, {"x-delivery-count": "many"}, 30),
    ],
)
def test_what_its_modems_cannot_take_goes_back_later_each_time(
    redelivered: bool, headers: dict[str, object] | None, seconds: float
) -> None:
    assert until_again(Received(1, b"", Properties(headers=headers), redelivered)) == seconds
