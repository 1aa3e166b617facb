"""An event loop whose clock jumps to the next timer instead of waiting for it: hours pass in no time, in order."""

import asyncio
import os
import selectors
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any, TypeVar

from otpbroker.clock import Clock

NOON = 1_800_000_000.0  # Unix time when a virtual loop starts: 2027-01-15 08:00 UTC
_BOOT = 1000.0

T = TypeVar("T")


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Time stands still while callbacks run and while a thread works; `loop.time()` is its clock."""

    def __init__(self) -> None:
        self.elapsed = 0.0
        self.threads = 0
        self.defects: list[dict[str, Any]] = []  # what callbacks raised and nobody awaited
        super().__init__(_JumpingSelector(self))
        self.set_exception_handler(lambda _, context: self.defects.append(context))

    def time(self) -> float:
        return _BOOT + self.elapsed

    def run_in_executor(  # type: ignore[override]  # the stub is generic over *args
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        future = super().run_in_executor(executor, func, *args)
        self.threads += 1
        future.add_done_callback(self._thread_done)
        return future

    async def shutdown_default_executor(self, *timeout: float | None) -> None:
        self.threads += 1  # the thread that joins the others
        try:
            await super().shutdown_default_executor(*timeout)
        finally:
            self.threads -= 1

    def _thread_done(self, _: asyncio.Future[Any]) -> None:
        self.threads -= 1


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or self._loop.threads:
            return super().select(None if timeout != 0 else 0)
        events = super().select(0)
        if not events and timeout > 0:
            self._loop.elapsed += timeout
        return events


class VirtualClock:
    """Both clocks of the running virtual loop; `ntp_step` is what a time server corrected the wall clock by."""

    def __init__(self) -> None:
        self.ntp_step = 0.0

    def now(self) -> float:
        return NOON + asyncio.get_running_loop().time() - _BOOT + self.ntp_step

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    @property
    def clock(self) -> Clock:
        return Clock(now=self.now, monotonic=self.monotonic)


@contextmanager
def time_zone(rule: str) -> Iterator[None]:
    """This process stands in a time zone, as a POSIX rule: `WIB-7` is UTC+7, without summer time."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = rule
    time.tzset()
    try:
        yield
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()
