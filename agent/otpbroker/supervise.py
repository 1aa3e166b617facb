"""Keeps a part of the agent alive: restart with jittered back-off, and its health told on the bus."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from otpbroker.clock import Clock
from otpbroker.errors import OtpBrokerError
from otpbroker.events import Bus, PartChanged

_log = logging.getLogger(__name__)

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
GOOD_RUN = 30.0  # seconds; only then does the back-off begin anew, so that accept-then-close is not hammered


async def supervise(name: str, run: Callable[[], Awaitable[None]], bus: Bus, clock: Clock) -> None:
    """Run a part for ever; a part that ends or raises is started again after a pause of 1 to 60 s."""
    pause = FIRST_PAUSE
    told = ""
    while True:
        started = clock.monotonic()
        bus.publish(PartChanged(name, healthy=True))
        try:
            await run()
            detail = "ended"
        except OtpBrokerError as error:  # what a person has to put right: told once, not at every try
            detail = str(error)
            if detail != told or clock.monotonic() - started >= GOOD_RUN:
                _log.warning("%s: %s", name, detail)
            told = detail
        except Exception as error:  # noqa: BLE001 # whatever it is, the part is started again
            detail = f"{type(error).__name__}: {error}"
            _log.exception("%s failed", name)
        if clock.monotonic() - started >= GOOD_RUN:
            pause = FIRST_PAUSE
        bus.publish(PartChanged(name, healthy=False, detail=detail))
        await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 # jitter, not a secret
        pause = min(LONGEST_PAUSE, pause * 2)
