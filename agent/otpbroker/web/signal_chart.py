"""A modem's history as a drawing: pure, coordinates only; `templates/sim.html` makes an SVG of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from otpbroker.modem.history import Sample

WIDTH, HEIGHT = 720.0, 120.0
WEAKEST, STRONGEST = -113, -51  # dBm: the ends of +CSQ's scale
LINES = (-105, -95, -85, -75)  # where phones draw one bar more


@dataclass(frozen=True, slots=True)
class Span:
    """A time in which the modem was not in its home network."""

    x: float
    width: float
    word: str  # roaming | away


@dataclass(frozen=True, slots=True)
class Chart:
    """`path` is an SVG path of steps with gaps where nothing is known; signals in dBm."""

    path: str
    spans: tuple[Span, ...]
    lowest: int
    highest: int


def draw(samples: Sequence[Sample], now: float, seconds: float) -> Chart | None:
    """The last `seconds` until `now`; None when no signal was known in them."""
    signals = [sample.signal_dbm for sample in samples if sample.signal_dbm is not None]
    if not signals:
        return None
    path: list[str] = []
    spans: list[Span] = []
    drawn = False
    for sample, following in pairwise((*samples, Sample(now))):
        left, right = (_x(at, now, seconds) for at in (sample.at, following.at))
        if sample.signal_dbm is None:
            drawn = False
        else:
            y = height_of(sample.signal_dbm)
            path.append(f"V{y:g}H{right:g}" if drawn else f"M{left:g} {y:g}H{right:g}")
            drawn = True
        if sample.registration != "home" and right > left:
            spans.append(Span(left, round(right - left, 1), "roaming" if sample.roaming else "away"))
    return Chart("".join(path), tuple(spans), min(signals), max(signals))


def height_of(signal_dbm: int) -> float:
    """From the top."""
    bounded = min(max(signal_dbm, WEAKEST), STRONGEST)
    return round(HEIGHT * (STRONGEST - bounded) / (STRONGEST - WEAKEST), 1)


def _x(at: float, now: float, seconds: float) -> float:
    return round(WIDTH * (1 - min(max(now - at, 0.0), seconds) / seconds), 1)
