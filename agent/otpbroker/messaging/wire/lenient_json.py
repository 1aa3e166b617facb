"""JSON as existing clients write it: strict (RFC 8259), then with trailing commas forgiven."""

import json
import re
from collections.abc import Iterable

from otpbroker.errors import Rejected

LARGEST_BODY = 64 * 1024
DEEPEST = 16

# A string, closed or cut off by the end, stays as it is; a comma before a closing bracket goes. Each character
# is looked at once, whatever the body.
_TRAILING_COMMA = re.compile(r'"(?:[^"\\]|\\.)*"?|,(?=\s*[}\]])', re.DOTALL)


def loads(body: bytes) -> object:
    """The value of a UTF-8 body, with or without byte order mark.

    Raises `Rejected` for anything else, for a key that stands twice, and for NaN and Infinity; its words never
    repeat the body.
    """
    if len(body) > LARGEST_BODY:
        raise Rejected("body-too-large", f"a request has at most {LARGEST_BODY} octets")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Rejected("invalid-json", "the body is not UTF-8", remedy="send JSON in UTF-8") from None
    try:
        value = _strict(text)
    except ValueError:
        try:
            value = _strict(_TRAILING_COMMA.sub(_keep_string, text))
        except ValueError as error:
            raise _not_json(error) from None
    # Only many brackets can be deep ones: ordinary requests skip the walk.
    if text.count("{") + text.count("[") > DEEPEST and _deeper_than(value, DEEPEST):
        raise _too_deep()
    return value


def _strict(text: str) -> object:
    try:
        value: object = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError:
        raise _too_deep() from None
    return value


def _keep_string(found: re.Match[str]) -> str:
    return "" if found.group() == "," else found.group()


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise Rejected("invalid-json", "a key stands twice in one object", remedy="send each key once")
    return result


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _not_json(error: ValueError) -> Rejected:
    place = f" at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else ""
    return Rejected("invalid-json", f"the body is not JSON{place}", remedy="check quotes, commas and brackets")


def _too_deep() -> Rejected:
    return Rejected("invalid-json", f"the body is nested more than {DEEPEST} levels deep")


def _deeper_than(value: object, limit: int) -> bool:
    level: list[object] = [value]
    for _ in range(limit):
        level = [child for container in level for child in _children(container)]
        if not level:
            return False
    return any(isinstance(rest, (dict, list)) for rest in level)


def _children(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
