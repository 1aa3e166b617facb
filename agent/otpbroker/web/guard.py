"""Who gets in: checked for every request before any page sees it, and refused unless a page is public."""

import re
from collections.abc import Awaitable, Callable, Collection
from ipaddress import ip_address
from typing import TypeVar

from quart import Response, current_app, g, redirect, request, url_for
from quart.typing import ResponseReturnValue
from werkzeug.exceptions import BadRequest, Forbidden, MisdirectedRequest, NotFound, Unauthorized

from otpbroker.device.captive import CHECKED_HOSTS
from otpbroker.web import cookies
from otpbroker.web.connections import vouch
from otpbroker.web.cookies import FormTokens
from otpbroker.web.language import gettext as _
from otpbroker.web.sessions import Sessions
from otpbroker.web.site import Store

View = TypeVar("View", bound=Callable[..., Awaitable[ResponseReturnValue]])

TOKEN_FIELD = "form_token"  # noqa: S105 # the field's name
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_PRIVATE_NAME = re.compile(r"[a-z0-9-]+|.+\.(local|localhost|lan|home|internal|home\.arpa)", re.IGNORECASE)


def public(view: View) -> View:
    """Let a view be reached without log-in; every other view needs one."""
    view.public = True  # type: ignore[attr-defined] # a function takes attributes, its type doesn't know
    return view


class Guard:
    """Admits a request or answers it: host, origin and form token, then set-up or log-in.

    Leaves `g.administrator`, `g.session_token` and `g.form_cookie` for the views.
    """

    def __init__(
        self, store: Store, sessions: Sessions, form_tokens: FormTokens, host_names: Collection[str]
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._form_tokens = form_tokens
        self._host_names = frozenset(name.casefold() for name in host_names)

    async def admit(self) -> ResponseReturnValue | None:
        """Quart's `before_request`."""
        if page := self._captive_page():
            return redirect(page, 302)
        self._check_host()
        g.session_token = cookies.read(cookies.SESSION)
        g.administrator = self._sessions.find(g.session_token) if g.session_token else None
        if g.administrator is not None:
            vouch(request.scope)
        g.form_cookie = g.session_token if g.administrator else cookies.read(cookies.FORM)
        if request.endpoint == "static":
            return None
        if request.method not in _SAFE:
            await self._check_form()
        setting_up = request.blueprint == "setup"
        if not self._store.config.admin.administrators:
            return None if setting_up else _turn_to("setup.show")
        if setting_up:
            raise NotFound
        view = current_app.view_functions.get(request.endpoint or "")
        if g.administrator is None and not getattr(view, "public", False):
            return _turn_to("login.show")
        return None

    def form_token(self) -> str:
        """The token for a form on this request's page."""
        if not g.form_cookie:
            g.form_cookie = g.new_form_cookie = cookies.new_value()
        return self._form_tokens.issue(g.form_cookie)

    async def leave_cookie(self, response: Response) -> Response:
        """Quart's `after_request`: hand out the cookie that a new form is tied to."""
        if fresh := g.get("new_form_cookie"):
            cookies.write(response, cookies.FORM, fresh)
        return response

    def _captive_page(self) -> str | None:
        """Where a phone is to look that asks over the unit's own network whether it leads to the internet.

        The address is the one that the request came in on, whatever name it was sent to.
        """
        access_point = self._store.config.access_point
        address, port = request.server or ("", None)
        if (
            request.method == "GET"
            and request.scheme == "http"
            and access_point.enabled
            and address == access_point.ip
            and _host_name(request.host) in CHECKED_HOSTS
        ):
            return f"http://{address}:{port}/"
        return None

    def _check_host(self) -> None:
        """Refuse names that a stranger's DNS could point here (DNS rebinding)."""
        name = _host_name(request.host)
        if name in self._host_names or _PRIVATE_NAME.fullmatch(name):
            return
        try:
            ip_address(name.strip("[]"))
        except ValueError:
            raise MisdirectedRequest(_("Open this site by the device's IP address or its own name.")) from None

    async def _check_form(self) -> None:
        """Refuse what another site made the browser send (cross-site request forgery)."""
        site = request.headers.get("Sec-Fetch-Site")
        origin = request.headers.get("Origin")
        if site is not None and site not in {"same-origin", "none"}:
            raise Forbidden(_("Another site sent this form."))
        if origin is not None and origin != f"{request.scheme}://{request.host}":
            raise Forbidden(_("Another site sent this form."))
        token = (await request.form).get(TOKEN_FIELD, "")
        if not self._form_tokens.valid(g.form_cookie, token):
            raise BadRequest(_("This form is too old. Open the page again, then repeat what you did."))


def _turn_to(endpoint: str) -> ResponseReturnValue:
    """The page to begin with; streams and scripts get a plain 401 instead."""
    if request.headers.get("Accept", "").startswith("text/event-stream"):
        raise Unauthorized
    return redirect(url_for(endpoint), 303)


def _host_name(host: str) -> str:
    """`Host` without its port; brackets of an IPv6 literal stay."""
    return re.sub(r":\d*$", "", host).rstrip(".").casefold()
