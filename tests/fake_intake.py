"""An intake whose verdicts a test decides."""

import asyncio
from collections import deque
from collections.abc import Callable

from otpbroker.feeder.delivery import Delivery, Handled, Verdict


class FakeIntake:
    """Answers as scripted, else `DONE`; waits while it is held."""

    def __init__(self) -> None:
        self.given: list[Delivery] = []
        self.script: deque[Handled | Exception] = deque()
        self.changed = asyncio.Condition()
        self.open = asyncio.Event()
        self.open.set()
        self.withdrawn: list[str] = []
        self.under_way = 0
        self.most_under_way = 0

    @property
    def bodies(self) -> list[bytes]:
        return [delivery.body for delivery in self.given]

    def answer(self, *answers: Handled | Verdict | Exception) -> None:
        self.script.extend(Handled(one, "") if isinstance(one, Verdict) else one for one in answers)

    def lending(self, _: bool, /) -> "FakeIntake":
        return self

    def withdraw(self, message_id: str) -> None:
        self.withdrawn.append(message_id)

    async def handle(self, delivery: Delivery, *, began: Callable[[str], None] = lambda _: None) -> Handled:
        self.given.append(delivery)
        began(f"ours-{len(self.given)}")
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        async with self.changed:
            self.changed.notify_all()
        try:
            await self.open.wait()
            answer = self.script.popleft() if self.script else Handled(Verdict.DONE)
            if isinstance(answer, Exception):
                raise answer
            return answer
        finally:
            self.under_way -= 1

    async def until(self, true: Callable[[], bool], seconds: float = 10) -> None:
        async with asyncio.timeout(seconds), self.changed:
            await self.changed.wait_for(true)

    async def have(self, number: int) -> None:
        await self.until(lambda: len(self.given) >= number)
