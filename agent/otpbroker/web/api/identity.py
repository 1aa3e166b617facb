"""The caller of a request."""

from collections.abc import Awaitable, Callable

from quart import request

from otpbroker.errors import Denied
from otpbroker.web.access import Access
from otpbroker.web.connections import vouch

Identify = Callable[[], Awaitable[str]]


def identify_with(access: Access) -> Identify:
    """A function that gives the user name of the request under way, or raises what `Access` raises."""

    async def identify() -> str:
        # Browsers alone send this header: no page of another site may use credentials that a browser remembers.
        if request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
            raise Denied("cross-site", "the API takes no requests from pages of other sites")
        client = request.scope["client"]
        name = await access.authenticate(request.headers.get("Authorization"), client[0] if client else "")
        vouch(request.scope)
        return name

    return identify
