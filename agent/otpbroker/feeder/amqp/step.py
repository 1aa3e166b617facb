"""Waiting for a broker's answer, no longer than the connection lives."""

import asyncio
from typing import Any, TypeVar

from otpbroker.errors import OtpBrokerError, Unavailable

STEP_LIMIT = 15.0  # seconds for the broker to answer one method

Answer = TypeVar("Answer")


def answer(future: "asyncio.Future[Answer]", value: Answer) -> None:
    if not future.done():
        future.set_result(value)


async def step(done: "asyncio.Future[Answer]", closed: "asyncio.Future[OtpBrokerError]", limit: float) -> Answer:
    waits: set[asyncio.Future[Any]] = {done, closed}
    await asyncio.wait(waits, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
    if done.done():
        return done.result()
    if closed.done():
        raise closed.result()
    raise Unavailable("broker-silent", f"the broker did not answer within {limit:.0f} s")
