"""`Prefer` as RFC 7240 writes it, and as it does not."""

import pytest

from otpbroker.web.api.prefer import LONGEST_WAIT, parse_prefer


@pytest.mark.parametrize(
    ("header", "wait", "applied"),
    [
        (None, None, ""),
        ("", None, ""),
        ("wait=10", 10, "wait=10"),
        ("WAIT = 10", 10, "wait=10"),
        ('wait="10"', 10, "wait=10"),
        ("respond-async, wait=10", 10, "wait=10"),
        ("respond-async", None, "respond-async"),
        ("return=minimal; foo=bar, wait=0", 0, "wait=0"),
        ("wait=10, wait=20", 10, "wait=10"),
        ("wait=3600", LONGEST_WAIT, f"wait={LONGEST_WAIT}"),
        ("wait=" + "9" * 5000, LONGEST_WAIT, f"wait={LONGEST_WAIT}"),
        ("wait", None, ""),
        ("wait=", None, ""),
        ("wait=-5", None, ""),
        ("wait=1.5", None, ""),
        ("wait=soon", None, ""),
        ("wait=²", None, ""),
        (",,;=,", None, ""),
        ("waiting=10", None, ""),
    ],
)
def test_preferences(header: str | None, wait: int | None, applied: str) -> None:
    preference = parse_prefer(header)

    assert (preference.wait, preference.applied) == (wait, applied)
