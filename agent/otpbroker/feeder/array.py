"""The commands of an array: one message for its broker, each ends for itself."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

from otpbroker.feeder.delivery import OF_ITS_MODEMS, Verdict
from otpbroker.messaging import wire

# Seconds that a lent message may wait for a modem: RabbitMQ ends a channel that owes an answer for 30 minutes.
LONGEST_HOLD = 900.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How one command ended; `reason` is a stable code, "" for DONE."""

    verdict: Verdict
    reason: str
    answer: wire.Answer


async def carry_out_all(
    items: tuple[wire.Item, ...],
    carry_out: Callable[[wire.Item, int], Coroutine[object, object, Ended]],
    beside: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> list[Ended]:
    """All at once. What can't be now is tried again here once others could: else those would go twice.

    `carry_out` gets each with its place. After `LONGEST_HOLD`, or at its own end, it is refused. `beside` is around
    a pause in which nothing is left but what the modems can't take though they are ready for others.
    """
    ended: dict[int, Ended] = {}
    loop = asyncio.get_running_loop()
    pause, until = 1.0, loop.time() + LONGEST_HOLD
    while True:
        left = [place for place in range(len(items)) if place not in ended]
        results = await _together(*(carry_out(items[place], place) for place in left))
        now = dict(zip(left, results, strict=True))
        ended |= {place: end for place, end in now.items() if end.verdict is not Verdict.NOT_NOW}
        if ended and loop.time() >= until:
            return [ended.get(place) or _too_late(now[place]) for place in range(len(items))]
        if len(ended) == len(items) or not ended:
            return [ended.get(place) or now[place] for place in range(len(items))]
        only_modems = all(now[place].reason in OF_ITS_MODEMS for place in left if place not in ended)
        with beside() if only_modems else nullcontext():
            await asyncio.sleep(pause)
        pause = min(30.0, pause * 2)


def _too_late(ended: Ended) -> Ended:
    return replace(ended, verdict=Verdict.REFUSED, reason="expired" if ended.reason == "returned" else ended.reason)


async def _together(*works: Coroutine[object, object, Ended]) -> list[Ended]:
    """All of them; none goes on alone when one breaks or the caller is cancelled."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
    return [task.result() for task in tasks]
