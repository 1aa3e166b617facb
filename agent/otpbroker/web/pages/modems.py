"""The modems: what is configured, what was found and could be, and the forms to activate, change and remove one."""

import logging
from collections.abc import Callable, Mapping

from jinja2 import Environment
from pydantic import TypeAdapter, ValidationError
from quart import Blueprint, current_app, redirect, render_template, request, url_for
from quart.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from otpbroker.config.model import Config, Identifier, ModemSection
from otpbroker.errors import Misconfigured, Rejected
from otpbroker.events import FoundModem, ModemStatus
from otpbroker.web import wording
from otpbroker.web.language import gettext as _
from otpbroker.web.language import gettext_noop
from otpbroker.web.live import Changes
from otpbroker.web.modem_form import ModemForm, proposed, section_of
from otpbroker.web.site import Navigation, Site, administrator
from otpbroker.web.streaming import streamed

_log = logging.getLogger(__name__)

NAVIGATION = Navigation(gettext_noop("Modems"), "modems.show", position=15)

_IDENTIFIER: TypeAdapter[str] = TypeAdapter(Identifier)


def create(site: Site) -> Blueprint:
    page = Blueprint("modems", __name__)
    _add_list(page, site)
    _add_found(page, site)
    _add_configured(page, site)
    return page


def _add_list(page: Blueprint, site: Site) -> None:
    @page.get("/modems")
    async def show() -> ResponseReturnValue:
        return await render_template("modems.html", modems=await site.modems(), found=site.plugged.found)

    @page.get("/modems/events")
    async def events() -> ResponseReturnValue:
        """The live stream; its data are JSON objects of element id -> its new HTML."""
        templates = current_app.jinja_env

        async def render(changes: Changes) -> dict[str, str]:
            return await _fragments(site, templates, changes)

        return streamed(site, render)

    @page.post("/modems/ask-again")
    async def ask_again() -> ResponseReturnValue:
        site.plugged.ask_again()
        return redirect(url_for("modems.show"), 303)


def _add_found(page: Blueprint, site: Site) -> None:
    @page.get("/modems/found/<socket>")
    async def activation(socket: str) -> ResponseReturnValue:
        found = _found(site, socket)
        return await _add_page(found, proposed(found, site.store.config), {})

    @page.post("/modems/found/<socket>")
    async def activate(socket: str) -> ResponseReturnValue:
        form = await request.form
        found = _found(site, socket)
        if (form.get("imei", ""), form.get("iccid", "")) != (found.imei, found.iccid):
            raise Rejected("found-gone", "another device is in this socket now")
        entered = ModemForm.read(form)
        modem_id = form.get("id", "").strip()
        problems = entered.problems() | _id_problems(modem_id, site.store.config)
        if not problems:
            section = entered.applied(section_of(found, modem_id))
            problems = await _save(site, _with(section))
        if problems:
            return await _add_page(found, (modem_id, entered), problems), 422
        _log.info("modem %s added by %s", modem_id, administrator().username)
        return redirect(url_for("overview.show"), 303)


def _add_configured(page: Blueprint, site: Site) -> None:
    @page.get("/modem/<modem_id>")
    async def edit(modem_id: str) -> ResponseReturnValue:
        section = _section(site, modem_id)
        return await _edit_page(site, section, ModemForm.of(section), {})

    @page.post("/modem/<modem_id>")
    async def change(modem_id: str) -> ResponseReturnValue:
        section = _section(site, modem_id)
        entered = ModemForm.read(await request.form)
        problems = entered.problems() or await _save(site, _changed(modem_id, entered.applied))
        if problems:
            return await _edit_page(site, section, entered, problems), 422
        _log.info("modem %s changed by %s", modem_id, administrator().username)
        return redirect(url_for("modems.show"), 303)

    @page.post("/modem/<modem_id>/adopt")
    async def adopt(modem_id: str) -> ResponseReturnValue:
        """Take stick and SIM as they are plugged in now for the configured ones."""
        section = _section(site, modem_id)
        taken = _as_plugged(section, await _status(site, modem_id), site.plugged.found)
        if taken is None:
            raise Rejected("found-gone", "nothing is plugged in that could be taken")
        await site.store.update(
            _changed(modem_id, lambda now: now.model_copy(update=taken)), by=administrator().username
        )
        _log.info("modem %s taken as it is plugged in by %s", modem_id, administrator().username)
        return redirect(url_for("overview.show"), 303)

    @page.post("/modem/<modem_id>/remove")
    async def remove(modem_id: str) -> ResponseReturnValue:
        _section(site, modem_id)
        await site.store.update(_without(modem_id), by=administrator().username)
        _log.info("modem %s removed by %s", modem_id, administrator().username)
        return redirect(url_for("modems.show"), 303)


async def _fragments(site: Site, templates: Environment, changes: Changes) -> dict[str, str]:
    """The HTML of what changed, by element id."""
    fragments: dict[str, str] = {}
    if changes.modems or changes.everything:
        rows = templates.get_template("modems/configured.html")
        fragments["configured"] = await rows.render_async(modems=await site.modems())
    if changes.found or changes.everything:
        found = templates.get_template("modems/found.html")
        fragments["found-devices"] = await found.render_async(found=site.plugged.found)
    return fragments


async def _add_page(found: FoundModem, entered: tuple[str, ModemForm], problems: Mapping[str, str]) -> str:
    modem_id, form = entered
    return await render_template("modems/add.html", found=found, modem_id=modem_id, form=form, problems=problems)


async def _edit_page(site: Site, section: ModemSection, form: ModemForm, problems: Mapping[str, str]) -> str:
    status = await _status(site, section.id)
    return await render_template(
        "modems/edit.html",
        modem=section,
        status=status,
        can_adopt=_as_plugged(section, status, site.plugged.found) is not None,
        form=form,
        problems=problems,
    )


async def _save(site: Site, change: Callable[[Config], Config]) -> dict[str, str]:
    """What is wrong with it, by field; the document is as it was then."""
    try:
        await site.store.update(change, by=administrator().username)
    except Misconfigured as error:
        return {"": wording.error(error.code, error.detail)}
    return {}


async def _status(site: Site, modem_id: str) -> ModemStatus | None:
    return next((modem for modem in await site.modems() if modem.id == modem_id), None)


def _found(site: Site, socket: str) -> FoundModem:
    found = next((each for each in site.plugged.found if each.socket == socket), None)
    if found is None:
        raise Rejected("found-gone", "nothing is found in this socket")
    return found


def _section(site: Site, modem_id: str) -> ModemSection:
    section = next((each for each in site.store.config.modems if each.id == modem_id), None)
    if section is None:
        raise NotFound
    return section


def _as_plugged(
    section: ModemSection, status: ModemStatus | None, found: tuple[FoundModem, ...]
) -> dict[str, str | None] | None:
    """The fields of a section that takes what is plugged in: its SIM's new stick, or its stick's new SIM."""
    if status is None:
        return None
    if "sim-moved" in status.notes:
        return {"imei": status.imei or None, "usb": None}
    if "sim-changed" in status.notes:
        for each in found:
            if each.imei == section.imei or (not section.imei and each.socket == section.usb):
                return {"iccid": each.iccid or None, "imsi": None if each.iccid else each.imsi or None}
    return None


def _id_problems(modem_id: str, config: Config) -> dict[str, str]:
    try:
        _IDENTIFIER.validate_python(modem_id)
    except ValidationError:
        return {"id": _("Use letters, digits and . _ - and begin with a letter or digit.")}
    if any(section.id == modem_id for section in config.modems):
        return {"id": _("There is a modem with this name already.")}
    return {}


def _with(section: ModemSection) -> Callable[[Config], Config]:
    def change(config: Config) -> Config:
        return config.model_copy(update={"modems": (*config.modems, section)})

    return change


def _changed(modem_id: str, change: Callable[[ModemSection], ModemSection]) -> Callable[[Config], Config]:
    def changed(config: Config) -> Config:
        modems = tuple(change(section) if section.id == modem_id else section for section in config.modems)
        return config.model_copy(update={"modems": modems})

    return changed


def _without(modem_id: str) -> Callable[[Config], Config]:
    def change(config: Config) -> Config:
        return config.model_copy(
            update={"modems": tuple(section for section in config.modems if section.id != modem_id)}
        )

    return change
