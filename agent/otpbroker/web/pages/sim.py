"""One modem's SIM: its locks, service centre, balance, USSD, and how its signal went.

No secret is ever shown again, and what the network says by USSD is shown once.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from quart import Blueprint, redirect, render_template, request, url_for
from quart.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from otpbroker.errors import Denied, Misconfigured, OtpBrokerError, Rejected, Unavailable, UnknownOutcome
from otpbroker.events import ModemStatus
from otpbroker.messaging.command import Command, EndUssd, Origin, ReplyUssd, RunUssd
from otpbroker.messaging.outcome import UssdReplied
from otpbroker.modem.history import KEPT
from otpbroker.modem.sim_tools import SimView
from otpbroker.web import signal_chart, wording
from otpbroker.web.site import Site, administrator

NAVIGATION = None  # it is reached from its modem

_STATUSES: tuple[tuple[type[OtpBrokerError], HTTPStatus], ...] = (
    (Denied, HTTPStatus.FORBIDDEN),
    (Rejected, HTTPStatus.UNPROCESSABLE_ENTITY),
    (Misconfigured, HTTPStatus.CONFLICT),
    (UnknownOutcome, HTTPStatus.GATEWAY_TIMEOUT),
    (Unavailable, HTTPStatus.SERVICE_UNAVAILABLE),
)
_LOCKS = frozenset({"enter", "on", "off", "change", "unblock"})  # what is told with the tries left

Form = Mapping[str, str]
Told = UssdReplied | SimView | None
Act = Callable[[Site, str, Form], Awaitable[Told]]


@dataclass(frozen=True, slots=True)
class _Page:
    """What a page shows besides the modem itself."""

    view: SimView | None = None
    ussd: UssdReplied | None = None
    problem: str = ""
    problem_at: str = ""  # the act that it belongs to
    done: str = ""


def create(site: Site) -> Blueprint:
    page = Blueprint("sim", __name__)

    async def render(modem: ModemStatus, shown: _Page) -> str:
        now = site.clock.now()
        return await render_template(
            "sim.html",
            modem=modem,
            shown=shown,
            chart=signal_chart.draw(site.history.of(modem.id, KEPT), now, KEPT),
            drawing=signal_chart,
        )

    @page.get("/sim/<modem_id>")
    async def show(modem_id: str) -> ResponseReturnValue:
        done = request.args.get("done", "")
        return await render(await _modem(site, modem_id), _Page(done=done if done in wording.SIM_ACTS else ""))

    @page.post("/sim/<modem_id>/<act>")
    async def do(modem_id: str, act: str) -> ResponseReturnValue:
        await _modem(site, modem_id)
        if act not in _ACTS:
            raise NotFound
        try:
            told = await _ACTS[act](site, modem_id, await request.form)
        except OtpBrokerError as error:
            view = await _look(site, modem_id) if act in _LOCKS else None
            shown = _Page(view=view, problem=wording.error(error.code, error.detail), problem_at=act)
            status = next(status for family, status in _STATUSES if isinstance(error, family))
            return await render(await _modem(site, modem_id), shown), int(status)
        modem = await _modem(site, modem_id)
        match told:
            case UssdReplied():
                return await render(modem, _Page(ussd=told))
            case SimView():
                return await render(modem, _Page(view=told))
        return redirect(url_for("sim.show", modem_id=modem_id, done=act), 303)

    return page


async def _modem(site: Site, modem_id: str) -> ModemStatus:
    for modem in await site.modems():
        if modem.id == modem_id:
            return modem
    raise NotFound


async def _look(site: Site, modem_id: str) -> SimView | None:
    """The tries that are left after one was lost; nothing from a modem that can't tell."""
    try:
        return await site.sim_tools.look(modem_id)
    except OtpBrokerError:
        return None


def _name() -> str:
    return administrator().username


def _agreed(form: Form) -> str:
    """The new PIN, typed twice: nobody can read what he types."""
    new = form.get("new_pin", "")
    if new != form.get("new_pin_again", ""):
        raise Rejected("pins-differ", "the two new PINs are not the same", field="new_pin")
    return new


async def _enter(site: Site, modem_id: str, form: Form) -> None:
    await site.sim_tools.enter_pin(modem_id, form.get("pin", ""), by=_name())


async def _on(site: Site, modem_id: str, form: Form) -> None:
    await site.sim_tools.require_pin(modem_id, form.get("pin", ""), on=True, by=_name())


async def _off(site: Site, modem_id: str, form: Form) -> None:
    await site.sim_tools.require_pin(modem_id, form.get("pin", ""), on=False, by=_name())


async def _change(site: Site, modem_id: str, form: Form) -> None:
    await site.sim_tools.change_pin(modem_id, form.get("pin", ""), _agreed(form), by=_name())


async def _unblock(site: Site, modem_id: str, form: Form) -> None:
    await site.sim_tools.unblock(modem_id, form.get("puk", ""), _agreed(form), by=_name())


async def _service_centre(site: Site, modem_id: str, form: Form) -> None:
    await site.sim_tools.set_service_centre(modem_id, form.get("smsc", "").strip(), by=_name())


async def _balance(site: Site, modem_id: str, _form: Form) -> None:
    await site.balances.check(modem_id)


async def _see(site: Site, modem_id: str, _form: Form) -> SimView:
    return await site.sim_tools.look(modem_id)


async def _ussd(site: Site, modem_id: str, form: Form) -> UssdReplied:
    return await _ask(site, RunUssd(modem_id, form.get("code", "").strip()))


async def _reply(site: Site, modem_id: str, form: Form) -> UssdReplied:
    return await _ask(site, ReplyUssd(modem_id, form.get("reply", "").strip()))


async def _end(site: Site, modem_id: str, _form: Form) -> None:
    await site.dispatcher.submit(EndUssd(modem_id), _origin(), wait=None)


async def _ask(site: Site, command: Command) -> UssdReplied:
    match await site.dispatcher.submit(command, _origin(), wait=None):
        case UssdReplied() as replied:
            return replied
        case other:
            raise TypeError(f"the network's word was expected, not {type(other).__name__}")


def _origin() -> Origin:
    return Origin("admin", _name(), frozenset({"ussd"}))


_ACTS: dict[str, Act] = {
    "look": _see,
    "enter": _enter,
    "on": _on,
    "off": _off,
    "change": _change,
    "unblock": _unblock,
    "smsc": _service_centre,
    "balance": _balance,
    "ussd": _ussd,
    "reply": _reply,
    "end": _end,
}
