"""The site's cookies and the tokens that tie its forms to them."""

import hmac
import secrets
from hashlib import sha256

from quart import request
from werkzeug.sansio.response import Response

SESSION = "otpbroker-session"
FORM = "otpbroker-form"  # ties forms to a browser that is not logged in


def new_value() -> str:
    return secrets.token_urlsafe(32)


def read(name: str) -> str:
    """The cookie's value in this request, empty when there is none."""
    return request.cookies.get(_full(name), "")


def write(response: Response, name: str, value: str) -> None:
    """Set it until the browser closes: not seen by scripts, not sent from other sites, over TLS only by TLS."""
    response.set_cookie(_full(name), value, path="/", httponly=True, samesite="Strict", secure=request.is_secure)


def erase(response: Response, name: str) -> None:
    response.delete_cookie(_full(name), path="/", httponly=True, samesite="Strict", secure=request.is_secure)


def _full(name: str) -> str:
    """The prefix keeps other hosts and plain HTTP from setting the cookie (RFC 6265bis, section 4.1.3.2)."""
    return f"__Host-{name}" if request.is_secure else name


class FormTokens:
    """Proof that a form came from a page which this site gave to this browser: an HMAC of its cookie."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def issue(self, cookie: str) -> str:
        return hmac.new(self._key, cookie.encode(), sha256).hexdigest()

    def valid(self, cookie: str, token: str) -> bool:
        return bool(cookie) and hmac.compare_digest(self.issue(cookie).encode(), token.encode())
