"""The live stream of a page: server-sent events whose data are JSON objects of element id -> its new HTML."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

from quart import Response, g

from otpbroker.errors import Unavailable
from otpbroker.web import language
from otpbroker.web.live import Changes, Watch
from otpbroker.web.site import Site

# Seconds: shorter than the idle limits of proxies and mobile networks, so that a dead page is noticed.
HEARTBEAT = 20.0
# Seconds between two updates of a page: under load it shows the sum of what changed meanwhile.
PACE = 0.25

Render = Callable[[Changes], Awaitable[dict[str, str]]]


def streamed(site: Site, render: Render) -> Response:
    """The stream of the request's page; `render` makes the fragments of what changed. Raises `Unavailable`."""
    if site.monitor.crowded:
        raise Unavailable("too-many-streams", "too many live pages are open")
    stream = _stream(site, render, g.session_token, language.spoken())
    response = Response(stream, content_type="text/event-stream; charset=utf-8")
    response.headers["X-Accel-Buffering"] = "no"  # reverse proxies pass each event on at once
    response.timeout = None
    return response


async def _stream(site: Site, render: Render, token: str, spoken: str) -> AsyncIterator[str]:
    """Events until the site closes or the session ends; what was changed by then is not told any more."""
    language.speak(spoken)
    with site.monitor.watch() as watch:
        ending = asyncio.create_task(_wake_when(site.closing, watch))
        try:
            yield "retry: 2000\n\n"
            while True:
                changes = await watch.changes(within=HEARTBEAT)
                if site.closing.is_set():
                    return
                if site.sessions.find(token, use=False) is None:
                    yield "event: ended\ndata: session\n\n"
                    return
                if changes and (fragments := await render(changes)):
                    yield f"event: update\ndata: {json.dumps(fragments)}\n\n"
                    await asyncio.sleep(PACE)
                else:
                    yield ": still here\n\n"
        finally:
            ending.cancel()


async def _wake_when(closing: asyncio.Event, watch: Watch) -> None:
    await closing.wait()
    watch.wake()
