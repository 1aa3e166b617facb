"""The fields of one JSON object, read as leniently as existing clients need and no more."""

import json
import math
import re
from typing import cast

from otpbroker.errors import Rejected

LONGEST = 256
_RECEIVER_KEYS = ("receiver", "msisdn", "recipient")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,9})?")
_LATEST = 32503680000.0  # the year 3000; a time in milliseconds lies beyond


class Fields:
    """Reads values out of `values`, which stand at `place` (a dotted path with its dot) in the request."""

    def __init__(self, values: dict[str, object], place: str = "") -> None:
        self._values = values
        self.place = place

    def inside(self, key: str) -> "Fields":
        """The fields of the object under `key`."""
        value = self._values.get(key)
        if not isinstance(value, dict):
            problem = ("missing-field", "is missing") if value is None else ("wrong-type", "must be an object")
            raise Rejected(*problem, field=f"{self.place}{key}")
        return Fields(cast(dict[str, object], value), f"{self.place}{key}.")

    def text(self, key: str, *, required: bool = True, longest: int | None = LONGEST) -> str:
        """A string, or a number or boolean as one; absent and null are "", which `required` refuses.

        `longest` None: a text for people, which may have line ends; else there are no control characters in it.
        """
        value = self._string(key)
        field = f"{self.place}{key}"
        if required and not value:
            raise Rejected("missing-field", "is missing or empty", field=field)
        if longest is None:
            _check_characters(value, field)
        elif len(value) > longest:
            raise Rejected("too-long", f"has more than {longest} characters", field=field)
        elif not value.isascii() or not value.isprintable():
            _check_characters(value, field)
            if _CONTROL.search(value):
                raise Rejected("invalid-characters", "has control characters", field=field)
        return value

    def receiver(self) -> str:
        """The receiver under whichever of its three names; `Rejected` when two names tell different ones."""
        found = {key: value for key in _RECEIVER_KEYS if (value := self.text(key, required=False).strip())}
        if not found:
            raise Rejected("missing-field", "is missing or empty", field=f"{self.place}receiver")
        if len(set(found.values())) > 1:
            raise Rejected(
                "ambiguous-receiver",
                f"{' and '.join(found)} differ",
                field=f"{self.place}receiver",
                remedy="send the receiver once",
            )
        return next(iter(found.values()))

    def seconds(self, *keys: str) -> float | None:
        """The first given time of `keys` in Unix seconds, a number or a numeric string; None when there is none."""
        for key in keys:
            value = self._string(key).strip()
            if value:
                break
        else:
            return None
        if isinstance(self._values[key], bool) or not _NUMBER.fullmatch(value) or float(value) < 0:
            raise Rejected(
                "invalid-time",
                "is not a time in Unix seconds",
                field=f"{self.place}{key}",
                remedy="for example 1893456000",
            )
        if float(value) > _LATEST:
            raise Rejected(
                "invalid-time",
                "is too far in the future",
                field=f"{self.place}{key}",
                remedy="send seconds, not milliseconds",
            )
        return float(value)

    def _string(self, key: str) -> str:
        match self._values.get(key):
            case str(value):
                return value
            case None:
                return ""
            case bool(value):
                return "true" if value else "false"
            case int(value):
                return str(value)
            case float(value) if math.isfinite(value):
                return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
        raise Rejected("wrong-type", "must be a string", field=f"{self.place}{key}")


def milliseconds(value: object, default: float) -> float:
    """A duration as brokers' clients send it: a number or numeric string of any sign; at most a minute."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return default
    text = str(value).strip()
    return min(abs(float(text)), 60_000.0) if _NUMBER.fullmatch(text) else default


def check_text(value: object) -> None:
    """Raise `Rejected` unless every string in a JSON value can be written as UTF-8 again."""
    _check_characters(json.dumps(value, ensure_ascii=False), None)


def _check_characters(value: str, field: str | None) -> None:
    """Refuse NUL and lone surrogates: no network carries them, and they break what stands behind."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Rejected("invalid-characters", "has half of a surrogate pair", field=field) from None
    if "\0" in value:
        raise Rejected("invalid-characters", "has a NUL character", field=field)
