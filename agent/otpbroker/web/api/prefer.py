"""The `Prefer` header (RFC 7240): whether and how long a client wants to wait for an outcome."""

import re
from dataclasses import dataclass

LONGEST_WAIT = 55  # seconds; proxies commonly give up after 60

_PREFERENCE = re.compile(r'\s*([!#$%&\'*+.^_`|~0-9a-z-]+)\s*(?:=\s*"?([^",;]*)"?)?[^,]*', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Preference:
    """`wait` in seconds, None if not asked for; `applied` is the value of `Preference-Applied`."""

    wait: int | None = None
    applied: str = ""


def parse_prefer(header: str | None) -> Preference:
    """Understands `wait` and `respond-async`; of a preference that stands twice the first counts, and what is
    malformed is as if absent (section 2).
    """
    preferences: dict[str, str] = {}
    for part in (header or "").split(","):
        if found := _PREFERENCE.match(part):
            preferences.setdefault(found[1].lower(), (found[2] or "").strip())
    seconds = preferences.get("wait", "")
    if seconds.isascii() and seconds.isdigit():
        wait = min(int(seconds[:6]), LONGEST_WAIT)
        return Preference(wait, f"wait={wait}")
    return Preference(None, "respond-async" if "respond-async" in preferences else "")
