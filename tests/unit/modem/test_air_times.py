"""How long an answer is waited for: by what the modem took before, also when its network gets slower."""

import asyncio
from collections import Counter

import pytest
from modem_desk import Desk, FakeUsbPower, send
from scripted_modem import ScriptedModem

from otpbroker.modem.transmit import AirTimes
from otpbroker.sms.submission import Sent, Unknown
from virtual_run import in_virtual_time, now

FIRST = 30.0


def known(seconds: float, times: int = 50) -> AirTimes:
    air = AirTimes()
    for _ in range(times):
        air.add(seconds)
    return air


@pytest.mark.parametrize(("usual", "limit"), [(0.5, 10), (2.0, 10), (3.0, 12), (8.0, 32), (16.0, 60), (50.0, 60)])
def test_four_times_the_usual_air_time_within_bounds(usual: float, limit: float) -> None:
    assert known(usual).limit(FIRST) == limit


def test_as_long_as_nothing_is_known_the_familys_own_time() -> None:
    air = AirTimes()
    assert air.limit(60.0) == 60
    air.missed()
    assert air.limit(60.0) == 60


def test_one_missing_answer_changes_nothing() -> None:
    air = known(2.0)
    air.missed()
    assert air.limit(FIRST) == 10


def test_after_two_what_was_known_is_doubted_for_the_next_twenty() -> None:
    air = known(2.0)
    for _ in range(2):
        air.missed()
    assert air.limit(FIRST) == FIRST
    for _ in range(18):
        air.add(2.0)
    assert air.limit(FIRST) == FIRST
    air.add(2.0)
    assert air.limit(FIRST) == 10


def test_a_modem_that_hangs_again_and_again_is_never_waited_for_longer_than_one_that_is_not_known() -> None:
    air = known(2.0)
    for _ in range(1000):
        air.missed()
        assert air.limit(FIRST) <= FIRST


def test_what_is_known_to_be_slow_is_not_given_up_sooner_for_being_in_doubt() -> None:
    air = known(12.0)
    for _ in range(2):
        air.missed()
    assert air.limit(FIRST) == 48


def test_an_answer_that_came_late_is_known() -> None:
    air = known(2.0)
    air.missed()
    air.late(12.0)
    assert air.limit(FIRST) == FIRST
    for _ in range(3):
        air.late(35.0)
    assert air.limit(FIRST) == 48


class Network(ScriptedModem):
    """The network takes `air` seconds; meanwhile it answers nothing else, or, if it is `nimble`, everything."""

    def __init__(self, *, nimble: bool) -> None:
        super().__init__()
        self.nimble = nimble
        self.air = 2.0
        self._busy: asyncio.TimerHandle | None = None
        self._queue: list[str] = []

    def _pdu(self, pdu: str) -> None:
        self._busy = asyncio.get_running_loop().call_later(self.air, self._done, pdu)

    def _done(self, pdu: str) -> None:
        self._busy = None
        super()._pdu(pdu)
        queue, self._queue = self._queue, []
        for line in queue:
            super()._line(line)

    def _line(self, line: str) -> None:
        if self._busy is not None and not self.nimble:
            self._queue.append(line)
            return
        if self._busy is not None and line == "AT+CFUN=4":
            self._busy.cancel()
            self._busy = None
        super()._line(line)


@pytest.mark.parametrize("nimble", [False, True])
@pytest.mark.parametrize("air", [11.0, 15.0, 25.0])
@in_virtual_time
async def test_a_network_that_got_slower_costs_a_few_messages_and_not_the_modem(air: float, nimble: bool) -> None:
    wire = Network(nimble=nimble)
    bus = FakeUsbPower()
    desk = Desk(wire, usb="1-1.2", usb_power=bus)
    async with desk.ready() as modem:
        for _ in range(60):
            await send(modem)
        wire.air = air
        results: Counter[type] = Counter()
        for _ in range(200):
            await desk.until(lambda: modem.ready)
            results[type(await send(modem))] += 1
        assert results[Sent] >= 197
        assert bus.asked == []
        wire.air = 2.0
        for _ in range(50):
            assert isinstance(await send(modem), Sent)
        wire.air = 3600.0
        began = now()
        assert await send(modem) == Unknown("no-answer")
        assert now() - began == pytest.approx(10, abs=0.1)


@in_virtual_time
async def test_a_late_answer_is_heard_whatever_is_asked_meanwhile() -> None:
    wire = Network(nimble=False)
    desk = Desk(wire)
    async with desk.ready() as modem:
        assert isinstance(await send(modem), Sent)
        wire.air = 14.0
        assert await send(modem) == Unknown("no-answer")
        await desk.until(lambda: modem.ready)
        assert isinstance(await send(modem), Sent)
