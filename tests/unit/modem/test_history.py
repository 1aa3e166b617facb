"""The history of a modem: what changed and when, bounded, without a question of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from modem_desk import Desk
from scripted_modem import ScriptedModem

from otpbroker.events import Bus, ModemChanged, ModemGone, ModemState, ModemStatus
from otpbroker.modem.history import COALESCED, KEPT, LIMIT, History, Sample
from otpbroker.modem.session import HEARTBEAT
from virtual_run import in_virtual_time, now

READY = ModemStatus("m1", "One", ModemState.READY, signal_dbm=-71, registration="home", operator="XL")


class Past:
    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.history = History(bus, now)

    async def tell(self, status: ModemStatus = READY, **changes: object) -> None:
        self.bus.publish(ModemChanged(replace(status, **changes)))  # type: ignore[arg-type] # fields of a snapshot
        await asyncio.sleep(0)

    @property
    def samples(self) -> tuple[Sample, ...]:
        return self.history.of("m1")

    @property
    def signals(self) -> list[int | None]:
        return [sample.signal_dbm for sample in self.samples]


@asynccontextmanager
async def following(bus: Bus | None = None) -> AsyncIterator[Past]:
    past = Past(bus or Bus())
    task = asyncio.create_task(past.history.run())
    await asyncio.sleep(0)
    yield past
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@in_virtual_time
async def test_a_change_is_a_sample_and_what_stays_is_none() -> None:
    async with following() as past:
        began = now()
        await past.tell()
        await asyncio.sleep(100)
        await past.tell(sent=1)
        await past.tell(signal_dbm=-80)
        await asyncio.sleep(100)
        await past.tell(signal_dbm=-80, registration="roaming", operator="TRI")
        first, second, third = past.samples
        assert first == Sample(began, -71, "home", "XL")
        assert second == Sample(began + 100, -80, "home", "XL")
        assert third == Sample(began + 200, -80, "roaming", "TRI")
        assert [sample.roaming for sample in past.samples] == [False, False, True]


@in_virtual_time
async def test_a_storm_of_signals_is_one_sample_a_minute() -> None:
    async with following() as past:
        for step in range(600):
            await past.tell(signal_dbm=-60 - step % 40)
            await asyncio.sleep(1)
        assert len(past.samples) <= 600 / COALESCED + 1
        assert past.signals[-1] == -60 - 599 % 40


@in_virtual_time
async def test_a_lost_network_is_told_however_short_it_was() -> None:
    async with following() as past:
        await past.tell()
        await past.tell(state=ModemState.STARTING, registration="searching")
        await past.tell(signal_dbm=-75)
        words = [sample.registration for sample in past.samples]
        assert words == ["home", "searching", "home"]
        assert past.signals == [-71, None, -75]


@in_virtual_time
async def test_a_modem_that_is_gone_has_no_signal_whatever_its_snapshot_repeats() -> None:
    async with following() as past:
        await past.tell()
        for state in (ModemState.RECOVERING, ModemState.ABSENT, ModemState.STARTING, ModemState.BLOCKED):
            await past.tell(state=state)
        await asyncio.sleep(1)
        await past.tell(state=ModemState.SENDING)
        assert past.signals == [-71, None, -71]


@in_virtual_time
async def test_a_day_is_kept_and_what_held_at_its_beginning() -> None:
    async with following() as past:
        await past.tell()
        for _ in range(3):
            await asyncio.sleep(KEPT / 2)
            await past.tell(signal_dbm=past.signals[-1] - 1)
        assert past.signals == [-72, -73, -74]
        assert past.samples[0].at == now() - KEPT
        await asyncio.sleep(100)
        assert [(sample.at, sample.signal_dbm) for sample in past.history.of("m1", 60)] == [(now() - 60, -74)]


@in_virtual_time
async def test_each_modem_has_its_own_and_one_that_left_has_none() -> None:
    async with following() as past:
        await past.tell()
        await past.tell(id="m2", signal_dbm=-99)
        assert past.signals == [-71]
        past.bus.publish(ModemGone("m1"))
        await asyncio.sleep(0)
        assert past.samples == ()
        assert past.history.of("m2")[0].signal_dbm == -99
        assert past.history.of("m3") == ()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(ModemState),
            st.none() | st.integers(-113, -51),
            st.sampled_from(["home", "roaming", "searching", ""]),
            st.floats(0, 300),
        ),
        max_size=60,
    ).map(lambda steps: steps * 40)
)
@in_virtual_time
async def test_it_never_grows_beyond_its_bound_and_is_in_order(
    steps: list[tuple[ModemState, int | None, str, float]],
) -> None:
    async with following() as past:
        for state, signal, registration, seconds in steps:
            await past.tell(state=state, signal_dbm=signal, registration=registration)
            await asyncio.sleep(seconds)
        times = [sample.at for sample in past.samples]
        assert len(times) <= LIMIT
        assert times == sorted(times)
        assert not times or times[0] >= now() - KEPT


@in_virtual_time
async def test_a_real_modem_fills_it_and_is_asked_nothing_for_it() -> None:
    wire = ScriptedModem()
    desk = Desk(wire)
    async with following(desk.bus) as past, desk.ready():
        asked = wire.lines.count("AT+CSQ")
        wire.answers["AT+CSQ"] = "+CSQ: 10,99\r\nOK"
        await asyncio.sleep(3 * HEARTBEAT + 1)
        assert past.signals[-2:] == [-73, -93]
        assert past.samples[-1].operator == "XL"
        assert wire.lines.count("AT+CSQ") == asked + 3
