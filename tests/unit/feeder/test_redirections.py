"""Where a broker may send a feeder to: to what is the same place, however it is written."""

import pytest
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response

from otpbroker.errors import Misconfigured
from otpbroker.feeder.line import _Connect


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("wss://broker.example.com:443/ws", "wss://broker.example.com/ws/"),
        ("wss://broker.example.com/ws", "wss://BROKER.example.com:443/ws/"),
        ("ws://broker.example.com/ws", "ws://broker.example.com:80/ws/"),
        ("wss://broker.example.com:8443/ws", "/ws/"),
    ],
)
def test_the_usual_port_may_be_named_or_not(url: str, location: str) -> None:
    assert isinstance(answered(url, location), str)


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("wss://broker.example.com:8443/ws", "wss://broker.example.com/ws"),
        ("ws://broker.example.com/ws", "wss://broker.example.com/ws"),
        ("wss://broker.example.com/ws", "ws://broker.example.com:443/ws"),
    ],
)
def test_another_port_or_scheme_is_another_place(url: str, location: str) -> None:
    assert isinstance(answered(url, location), Misconfigured)


def answered(url: str, location: str) -> Exception | str:
    response = Response(301, "Moved Permanently", Headers(Location=location), b"")
    return _Connect(url).process_redirect(InvalidStatus(response))
