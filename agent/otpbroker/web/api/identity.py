"""The caller of a request."""

from collections.abc import Awaitable, Callable

from quart import request

from otpbroker.errors import Denied
from otpbroker.messaging.command import Origin
from otpbroker.web.access import Access
from otpbroker.web.connections import vouch

Identify = Callable[[], Awaitable[Origin]]


def identify_with(access: Access) -> Identify:
    """A function that tells whose the request under way is, or raises what `Access` raises."""

    async def identify() -> Origin:
        # Browsers alone send this header: no page of another site may use credentials that a browser remembers.
        if request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
            raise Denied("cross-site", "the API takes no requests from pages of other sites")
        client = request.scope["client"]
        name = await access.authenticate(request.headers.get("Authorization"), client[0] if client else "")
        vouch(request.scope)
        return Origin("rest", name, access.rights(name))

    return identify
