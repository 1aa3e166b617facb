"""Response headers that tell the browser what this site never does."""

from quart import Response

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_ALWAYS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: with it browsers send `Origin: null` with the site's own forms (Fetch, section 3.2).
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), serial=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def harden(response: Response, *, secure: bool, static: bool) -> Response:
    """Add the security headers; pages are never stored, static files are asked for again by their ETag."""
    response.headers.update(_ALWAYS)
    response.headers["Cache-Control"] = "no-cache" if static else "no-store"
    if secure:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    return response
