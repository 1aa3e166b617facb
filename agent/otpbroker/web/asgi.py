"""What is done with a request before, after or without the application (ASGI specification, version 3)."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

Event = Any  # a dictionary, by its "type"
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Problem details (RFC 9457) of a request that no application sees."""

    status: HTTPStatus
    code: str
    detail: str


STOPPING = Refusal(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "stopping",
    "the device stops serving; what this request asked for may have been done",
)
BAD_TARGET = Refusal(HTTPStatus.BAD_REQUEST, "bad-request", "the request's target is no address")


async def say(send: Send, refusal: Refusal) -> None:
    """The whole response."""
    problem = {
        "type": f"urn:otpbroker:problem:{refusal.code}",
        "title": refusal.status.phrase,
        "status": int(refusal.status),
        "detail": refusal.detail,
        "code": refusal.code,
    }
    body = json.dumps(problem).encode()
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode())]
    if refusal.status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers.append((b"retry-after", b"5"))
    await send({"type": "http.response.start", "status": int(refusal.status), "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def is_target(path: str) -> bool:
    """Whether Quart can read it: a path, or an address as proxies send it (RFC 9112 section 3.2.2)."""
    if path.startswith("/"):
        return True
    try:
        return urlsplit(path).path.startswith("/")
    except ValueError:
        return False


def bounded(receive: Receive, limit: int) -> Receive:
    """`receive`, with a body that ends one octet beyond the limit, for which Quart answers 413.

    By itself Quart 0.23 takes a chunked body whole into memory before it looks at its size, and bodies of requests
    that wait for something else too.
    """
    left = limit + 1

    async def receive_bounded() -> Event:
        nonlocal left
        while True:
            event = await receive()
            if event["type"] != "http.request":
                return event
            if left == 0:
                continue
            body = event["body"][:left]
            left -= len(body)
            return {"type": "http.request", "body": body, "more_body": event["more_body"] and left > 0}

    return receive_bounded
