"""How a command that runs until it is told to end is told to."""

import asyncio
import signal


def stop_on_signals(*more: signal.Signals) -> asyncio.Event:
    """An event that SIGTERM, SIGINT and `more` set."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, *more):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
