"""Tests whose event loop runs in virtual time."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any

from virtual_time import VirtualTimeLoop


def in_virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """A test that needs no real modem, port or thread: its timeouts pass at once, in order."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run


def now() -> float:
    return asyncio.get_running_loop().time()
