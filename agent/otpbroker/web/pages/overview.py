"""The first page: modems, latest messages, what needs attention; kept fresh by server-sent events."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import cast

from jinja2 import Environment
from quart import Blueprint, Response, current_app, g, render_template
from quart.typing import ResponseReturnValue

from otpbroker.errors import Unavailable
from otpbroker.events import MessageChanged, ModemState, ModemStatus, PartChanged
from otpbroker.feeder.feeders import FeederStatus
from otpbroker.web import language
from otpbroker.web.language import gettext_noop as _
from otpbroker.web.live import Changes, Watch
from otpbroker.web.site import Navigation, Site

NAVIGATION = Navigation(_("Overview"), "overview.show", position=10)

# Seconds: shorter than the idle limits of proxies and mobile networks, so that a dead page is noticed.
HEARTBEAT = 20.0
# Seconds between two updates of a page: under load it shows the sum of what changed meanwhile.
PACE = 0.25


@dataclass(frozen=True, slots=True)
class Overview:
    """What the page shows, at one moment."""

    modems: tuple[ModemStatus, ...]
    feeders: tuple[FeederStatus, ...]
    messages: tuple[MessageChanged, ...]
    unhealthy: tuple[PartChanged, ...]
    api_urls: tuple[str, ...]
    waiting: int

    @property
    def ready(self) -> int:
        return sum(modem.state in {ModemState.READY, ModemState.SENDING} for modem in self.modems)

    @property
    def names(self) -> dict[str, str]:
        return {modem.id: modem.name or modem.id for modem in self.modems}


def create(site: Site) -> Blueprint:
    page = Blueprint("overview", __name__)

    @page.get("/")
    async def show() -> ResponseReturnValue:
        return await render_template("overview.html", overview=await _look(site))

    @page.get("/events")
    async def events() -> ResponseReturnValue:
        """The live stream; its data are JSON objects of element id -> its new HTML."""
        if site.monitor.crowded:
            raise Unavailable("too-many-streams", "too many live pages are open")
        templates = current_app.jinja_env
        # Made now: the stream goes on when the request is over.
        form_token = cast(Callable[[], str], templates.globals["form_token"])()
        stream = _stream(site, templates, g.session_token, form_token, language.spoken())
        response = Response(stream, content_type="text/event-stream; charset=utf-8")
        response.headers["X-Accel-Buffering"] = "no"  # reverse proxies pass each event on at once
        response.timeout = None
        return response

    return page


async def _look(site: Site) -> Overview:
    return Overview(
        modems=await site.modems(),
        feeders=site.feeders.statuses,
        messages=site.monitor.messages,
        unhealthy=site.monitor.unhealthy,
        api_urls=tuple(site.api_urls()),
        waiting=site.dispatcher.waiting,
    )


async def _stream(
    site: Site, templates: Environment, token: str, form_token: str, spoken: str
) -> AsyncIterator[str]:
    """Events until the site closes or the session ends; what was changed by then is not told any more."""
    language.speak(spoken)
    shown: tuple[str, ...] = ()
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
                if changes:
                    overview = await _look(site)
                    fragments = await _fragments(templates, overview, changes, shown, form_token)
                    shown = tuple(overview.names)
                    yield f"event: update\ndata: {json.dumps(fragments)}\n\n"
                    await asyncio.sleep(PACE)
                else:
                    yield ": still here\n\n"
        finally:
            ending.cancel()


async def _wake_when(closing: asyncio.Event, watch: Watch) -> None:
    await closing.wait()
    watch.wake()


async def _fragments(
    templates: Environment, overview: Overview, changes: Changes, shown: tuple[str, ...], form_token: str
) -> dict[str, str]:
    """The HTML of what changed, by element id; all modems when others are there than the page shows."""

    async def render(name: str, **variables: object) -> str:
        return await templates.get_template(f"overview/{name}.html").render_async(overview=overview, **variables)

    fragments = {"summary": await render("summary")}
    if changes.everything or shown != tuple(overview.names):
        fragments["modems"] = await render("modems")
    else:
        for modem in overview.modems:
            if modem.id in changes.modems:
                fragments[f"modem-{modem.id}"] = await render("modem", modem=modem)
    if changes.messages or changes.everything:
        fragments["messages"] = await render("messages")
    if changes.feeders or changes.everything or (changes.messages and overview.feeders):
        fragments["feeders"] = await render("feeders", form_token=lambda: form_token)
    if changes.parts or changes.everything:
        fragments["problems"] = await render("problems")
    return fragments
