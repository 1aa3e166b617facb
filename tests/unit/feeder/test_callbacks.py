"""Answers to callback topics: where they go, and where none may go."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from otpbroker.feeder.broker_address import BrokerAddress
from otpbroker.feeder.callback import Callbacks
from otpbroker.feeder.delivery import Handled, Verdict

PLAIN = "wss://broker.example.com/ws"


class Lines:
    """Connections that take what is said."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    @asynccontextmanager
    async def dial(self, url: str, _: tuple[str, ...]) -> AsyncIterator["Lines"]:
        self.url = url
        yield self

    subprotocol = None

    async def receive(self) -> bytes:
        raise AssertionError

    async def send(self, text: str) -> None:
        self.said.append((self.url, text))

    async def ping(self) -> None:
        raise AssertionError

    def abort(self) -> None:
        raise AssertionError


async def told(url: str, topic: str) -> list[tuple[str, str]]:
    lines = Lines()
    callbacks = Callbacks(lines.dial, BrokerAddress(url, "sms"))
    await callbacks.answer(Handled(Verdict.DONE, "", {"command": "echo", "callback_topic": topic}, topic))
    return lines.said


@pytest.mark.parametrize(
    ("url", "address"),
    [
        (PLAIN, f"{PLAIN}?topic=answers+1"),
        ("wss://broker.example.com", "wss://broker.example.com/?topic=answers+1"),
        (f"{PLAIN}?topic=own&key=1%2B1", f"{PLAIN}?topic=answers+1&key=1%2B1"),
        (f"{PLAIN}?channel=own", f"{PLAIN}?channel=answers+1&topic=answers+1"),
    ],
)
async def test_an_answer_goes_to_its_topic_alone(url: str, address: str) -> None:
    assert await told(url, "answers 1") == [(address, '{"command": "echo", "callback_topic": "answers 1"}')]


@pytest.mark.parametrize(
    ("url", "topic"),
    [(PLAIN, "sms"), (f"{PLAIN}?topic=own", "own"), (f"{PLAIN}?channel=own", "own"), (f"{PLAIN}?topic=own", "sms")],
)
async def test_no_answer_goes_to_where_the_feeder_takes_from(
    url: str, topic: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert await told(url, topic) == []
    assert "the feeder's own channel" in caplog.text
