"""The first page: modems, latest messages, what needs attention; kept fresh by server-sent events."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from jinja2 import Environment
from quart import Blueprint, current_app, render_template
from quart.typing import ResponseReturnValue

from otpbroker.events import FoundModem, MessageChanged, ModemState, ModemStatus, PartChanged
from otpbroker.feeder.feeders import FeederStatus
from otpbroker.web.language import gettext_noop as _
from otpbroker.web.live import Changes
from otpbroker.web.site import Navigation, Site
from otpbroker.web.streaming import streamed

NAVIGATION = Navigation(_("Overview"), "overview.show", position=10)


@dataclass(frozen=True, slots=True)
class Overview:
    """What the page shows, at one moment."""

    modems: tuple[ModemStatus, ...]
    feeders: tuple[FeederStatus, ...]
    found: tuple[FoundModem, ...]
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
        templates = current_app.jinja_env
        # Made now: the stream goes on when the request is over.
        form_token = cast(Callable[[], str], templates.globals["form_token"])()
        shown: tuple[str, ...] = ()

        async def render(changes: Changes) -> dict[str, str]:
            nonlocal shown
            overview = await _look(site)
            fragments = await _fragments(templates, overview, changes, shown, form_token)
            shown = tuple(overview.names)
            return fragments

        return streamed(site, render)

    return page


async def _look(site: Site) -> Overview:
    return Overview(
        modems=await site.modems(),
        feeders=site.feeders.statuses,
        found=tuple(found for found in site.plugged.found if found.kind == "modem"),
        messages=site.monitor.messages,
        unhealthy=site.monitor.unhealthy,
        api_urls=tuple(site.api_urls()),
        waiting=site.dispatcher.waiting,
    )


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
    if changes.found or changes.everything:
        fragments["found"] = await render("found")
    if changes.messages or changes.everything:
        fragments["messages"] = await render("messages")
    if changes.feeders or changes.everything or (changes.messages and overview.feeders):
        fragments["feeders"] = await render("feeders", form_token=lambda: form_token)
    if changes.parts or changes.everything:
        fragments["problems"] = await render("problems")
    return fragments
