"""How a sealed message looks from outside: JWE compact serialisation (RFC 7516), alone or as `{"jwe": "..."}`."""

import re

from otpbroker.errors import Rejected
from otpbroker.messaging.wire import LARGEST_BODY
from otpbroker.messaging.wire.lenient_json import loads

_COMPACT = re.compile(rb"\s*([\w-]+(?:\.[\w-]*){4})\s*", re.ASCII)


def identity(body: bytes) -> str | None:
    """What a sealed body is known by wherever it turns up again: its authentication tag; None: it is not sealed.

    There is no second body with the same content under the tag: whoever repeats one can't make it look new.
    """
    try:
        found = compact(body)
    except Rejected:
        return None
    return None if found is None else f"jwe-{found.rpartition('.')[2]}"


def compact(body: bytes) -> str | None:
    """The compact form in a body that is sealed, else None. Raises `Rejected` for one that is sealed in part."""
    if len(body) > LARGEST_BODY:
        return None  # whatever it is, it is refused for its size
    if found := _COMPACT.fullmatch(body):
        return found[1].decode()
    if b'"jwe"' not in body:
        return None
    try:
        request = loads(body)
    except Rejected:
        return None
    if not isinstance(request, dict) or "jwe" not in request:
        return None
    wrapped = request["jwe"]
    if len(request) > 1:
        raise Rejected("sealed-mixed", "beside jwe there is something in clear", remedy="seal all of it")
    found = _COMPACT.fullmatch(wrapped.encode("ascii", "replace")) if isinstance(wrapped, str) else None
    if found is None:
        raise unsupported()
    return found[1].decode()


def unsupported() -> Rejected:
    return Rejected(
        "sealed-unsupported",
        "it is no JWE with ECDH-ES on P-256 and A256GCM, without zip and crit",
        remedy="see docs/encryption.md",
    )
