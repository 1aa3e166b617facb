"""The two clocks, handed to whatever depends on time so that tests can hold them."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """`now`: Unix seconds, jumps when NTP sets it; `monotonic`: seconds since boot, one for all processes."""

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
