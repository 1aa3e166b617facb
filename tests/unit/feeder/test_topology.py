"""A number belongs to one group at most."""

import pytest

from otpbroker.errors import Rejected
from otpbroker.feeder.topology import Layout


@pytest.mark.parametrize(
    "groups",
    [
        {"a": ("62811",), "b": ("62811",)},
        {"a": ("62811",), "b": ("628112",)},
        {"a": ("628112", "7"), "b": ("9", "62811")},
        {"a": ("62811", "62811")},
    ],
)
def test_overlapping_prefixes_are_refused(groups: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(Rejected) as refusal:
        Layout("otpbroker", groups, ()).check()
    assert refusal.value.code == "prefixes-overlap"


NONE: dict[str, tuple[str, ...]] = {}
APART = {"a": ("62811", "62812"), "b": ("62813",)}
NESTED_IN_ONE = {"a": ("628", "62811")}


@pytest.mark.parametrize("groups", [NONE, APART, NESTED_IN_ONE])
def test_others_are_not(groups: dict[str, tuple[str, ...]]) -> None:
    Layout("otpbroker", groups, ()).check()
