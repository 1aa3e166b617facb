"""What the recipients see: the simulated phone as a page, for the demo and for tests. Not part of a device."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from datetime import datetime
from ipaddress import ip_address
from urllib.parse import urlsplit

from quart import Quart, Response, jsonify, render_template, request
from quart.typing import ResponseReturnValue
from werkzeug.exceptions import MisdirectedRequest, ServiceUnavailable

from otpbroker.modem.simulator import Phone, PhoneMessage
from otpbroker.web.headers import harden

PHONES = 24  # receivers shown
BUBBLES = 50  # messages shown of each
STREAMS = 32  # open live pages; each costs a socket and a task
PACE = 0.2  # seconds between two events, so that a flood of messages is not a flood of reloads
HEARTBEAT = 15.0


@dataclass(frozen=True, slots=True)
class Screen:
    """One recipient's phone, newest message first."""

    receiver: str
    messages: tuple[PhoneMessage, ...]


def create_phone_app(phone: Phone, closing: asyncio.Event) -> Quart:
    """The page, the same as JSON, and the stream that tells of news; streams end when `closing` is set."""
    app = Quart(__name__)
    app.config.update(MAX_CONTENT_LENGTH=1024, TEMPLATES_AUTO_RELOAD=False)
    app.jinja_env.get_template("phone.html")  # compiled now, so that no request waits for the disk
    streams: set[object] = set()

    @app.before_request
    async def check_host() -> None:
        """Names that a stranger's DNS could point here are refused (DNS rebinding)."""
        try:
            name = urlsplit(f"//{request.host}").hostname or ""
            if name != "localhost":
                ip_address(name)
        except ValueError:
            raise MisdirectedRequest from None

    @app.after_request
    async def finish(response: Response) -> Response:
        return harden(response, secure=request.is_secure, static=request.endpoint == "static")

    @app.get("/")
    async def show() -> ResponseReturnValue:
        return await render_template(
            "phone.html", screens=_screens(phone), revision=phone.revision, clock_time=_clock_time
        )

    @app.get("/messages.json")
    async def messages() -> ResponseReturnValue:
        return jsonify(revision=phone.revision, messages=[asdict(message) for message in phone.messages])

    @app.get("/events")
    async def events() -> ResponseReturnValue:
        if len(streams) >= STREAMS:
            raise ServiceUnavailable
        response = Response(_stream(phone, closing, streams), content_type="text/event-stream")
        response.timeout = None
        return response

    return app


async def _stream(phone: Phone, closing: asyncio.Event, streams: set[object]) -> AsyncIterator[str]:
    """The phone's revision now and whenever it changes; the page then asks for itself anew."""
    mark = object()
    streams.add(mark)
    ending = asyncio.create_task(closing.wait())
    changing: asyncio.Task[None] | None = None
    seen = -1
    try:
        yield "retry: 1000\n\n"
        while not ending.done():
            changing = changing or asyncio.create_task(phone.changed(seen))
            await asyncio.wait({ending, changing}, timeout=HEARTBEAT, return_when=asyncio.FIRST_COMPLETED)
            if changing.done():
                changing = None
                seen = phone.revision
                yield f"event: revision\ndata: {seen}\n\n"
                await asyncio.wait({ending}, timeout=PACE)
            else:
                yield ": still here\n\n"
    finally:
        streams.discard(mark)
        ending.cancel()
        if changing is not None:
            changing.cancel()


def _screens(phone: Phone) -> list[Screen]:
    """The receivers that were written to last, the very last one first."""
    found: dict[str, list[PhoneMessage]] = {}
    for message in reversed(phone.messages):
        if message.receiver in found or len(found) < PHONES:
            shown = found.setdefault(message.receiver, [])
            if len(shown) < BUBBLES:
                shown.append(message)
    return [Screen(receiver, tuple(messages)) for receiver, messages in found.items()]


def _clock_time(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%H:%M:%S")
