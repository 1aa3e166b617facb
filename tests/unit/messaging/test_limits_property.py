"""Ten modems with any limits and prices, any traffic, refusals, restarts and clocks: never over a cap, always the
cheapest that may, and nobody waits beside one. Judged by an oracle that counts everything anew each time.
"""

import asyncio
import random
import shutil
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from route_oracle import Oracle, by_prefix

from core import Core, settle
from core import settings as config_of
from fakes import FakeSender, modem
from otpbroker.clock import Clock
from otpbroker.config.model import ModemSection
from otpbroker.config.tariff import TariffSection
from otpbroker.errors import Unavailable
from otpbroker.messaging.limits import Allowances, Ledger
from otpbroker.messaging.message import Message
from otpbroker.messaging.outcome import Outcome
from otpbroker.sms.submission import Refused, Retry, SendResult, Unknown
from virtual_time import VirtualClock, VirtualTimeLoop, time_zone

WORKERS = 10
LIFE = 300
PREFIXES = ("62811", "62812", "62871")
RECEIVERS = ("62811000001", "62812000001", "62871000001", "14155550001")
Act = tuple[str | int | float | bool, ...]  # what happens, and how
TEXT = {1: "x", 2: "x" * 200, 3: "x" * 400}  # by parts
# All are words of the modem: one that says nothing is passed over until it has sent, whatever its price.
ANSWERS: dict[str, SendResult | None] = {
    "sent": None,
    "unknown": Unknown("cms-332"),
    "later": Refused("cms-512", Retry.LATER),
    "elsewhere": Refused("cms-8", Retry.ELSEWHERE),
    "never": Refused("cms-28", Retry.NEVER),
}


@dataclass(eq=False)
class World:
    """A device over its restarts; the oracle sees every message that changes hands."""

    folder: Path
    sections: Sequence[ModemSection]
    routing: str
    clock: VirtualClock
    exact: bool = True  # nobody set the clock, so that counts are exact
    cores: list[Core] = field(default_factory=list)
    sent: list[Outcome] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.oracle = Oracle(self.sections, self.clock.now, self.clock.monotonic)

    @property
    def core(self) -> Core:
        return self.cores[-1]

    @property
    def senders(self) -> list[FakeSender]:
        return [sender for sender in self.core.fleet.senders if isinstance(sender, FakeSender)]

    async def boot(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        senders = [FakeSender(section, air_time=1.0 + place % 4) for place, section in enumerate(self.sections)]
        config = config_of(routing=self.routing, life=LIFE, report=False)
        watched = lambda ledger, clock: Watched(ledger, clock, self)  # noqa: E731
        self.cores.append(Core(folder, senders, config, self.clock, allowances=watched))
        await self.core.start()

    async def kill(self) -> None:
        """`kill -9`, and a new process on what is left in RAM."""
        place = self.folder / f"{len(self.cores)}"
        self.core.killed(place)
        for sender in self.senders:
            sender.script.clear()
        self.core.limits.deaf = True  # type: ignore[attr-defined]
        await self.boot(place)
        self.core.in_air.close()
        await settle()

    async def act(self, act: str, *values: object) -> None:
        match act, values:
            case "send", (int(receiver), int(parts), int(place), str(answer)):
                only = self.sections[place].id if place < WORKERS else None
                await self.send(RECEIVERS[receiver], parts, only, ANSWERS[answer])
            case "pass", (float(seconds),):
                await asyncio.sleep(seconds)
            case "clock", (float(seconds),):
                self.exact = False
                self.clock.ntp_step += seconds
            case "ready", (int(place), bool(ready)):
                self.senders[place].ready = ready
                self.core.dispatcher.senders_changed()
            case "kill", ():
                await self.kill()
        await settle()
        self.judge_waiting()
        self.require_alive()

    async def send(self, receiver: str, parts: int, only: str | None, answer: SendResult | None) -> None:
        """A message comes; every modem will give this answer to one of its next."""
        for sender in self.senders:
            if answer is not None and len(sender.script) < 2:
                sender.answer(answer)
        try:
            self.sent.append(await self.core.send(TEXT[parts], receiver, wait=None, modem_id=only))
        except Unavailable as refused:
            if self.exact and refused.code == "cap-reached":
                free = self.first(receiver, parts, only)
                assert not free, f"{free} may take it"  # raised by some of many

    async def end(self) -> None:
        """Nothing stays open for longer than it lives."""
        for sender in self.senders:
            sender.script.clear()
        await asyncio.sleep(LIFE + 60)
        self.require_alive()
        for message in self.sent:
            outcome = await self.core.dispatcher.outcome(message.id, caller=None)
            assert outcome is None or outcome.state.final  # None: it was, a day ago
        assert not any(entry.ended is None for entry in self.oracle.had)
        for core in self.cores:
            await core.stop()

    def first(self, receiver: str, parts: int, only: str | None, refused: Collection[str] = ()) -> set[str]:
        """The modems that a message should go to or wait for now, with all that may take it; none: all are over."""
        ready = {sender.id for sender in self.senders if sender.ready}
        there = [s for s in self.sections if s.id in ready and (s.id == only if only else s.send_from_api)]

        def may(section: ModemSection) -> bool:
            return section.id not in refused and not self.oracle.over(section, parts)

        if only is not None or self.routing == "prefix":
            return by_prefix(there, receiver, may)
        return self.oracle.cheapest([section for section in there if may(section)], there, receiver, parts)

    def first_of(self, message: Message) -> set[str]:
        refused = message.refused_by | message.barred_by
        return self.first(message.receiver, len(message.pdus), message.only_modem, refused)

    def judge_taken(self, message: Message, modem_id: str) -> None:
        section = next(section for section in self.sections if section.id == modem_id)
        parts = len(message.pdus)
        assert not self.oracle.over(section, parts), f"{modem_id} is over its cap"
        assert not self.oracle.rests(section), f"{modem_id} rests"
        if self.exact:
            assert modem_id in self.first_of(message), f"{modem_id} is not the first choice"

    def require_alive(self) -> None:
        """What was judged in a task or a callback of the core, and found wrong, was raised there."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        for defect in loop.defects:
            raise defect["exception"]
        running = self.core._running
        if running is not None and running.done():
            running.result()

    def judge_waiting(self) -> None:
        """Nobody waits beside an idle modem that may take it."""
        pool = self.core.dispatcher._delivery._pool
        if not self.exact:
            return
        for message in pool._arrival:
            if message in pool._resting:
                continue
            for modem_id in self.first_of(message):
                section = next(section for section in self.sections if section.id == modem_id)
                idle = modem_id in pool._idle and not pool._idle[modem_id].done()
                assert not idle or self.oracle.rests(section), f"{modem_id} is idle"


class Watched(Allowances):
    """Tells the oracle of every message that is taken, given back and kept."""

    def __init__(self, ledger: Ledger, clock: Clock, world: World) -> None:
        super().__init__(ledger, clock)
        self._world = world
        self.deaf = False  # a killed process does nothing any more

    def reserve(self, modem_id: str, message_id: str, parts: int, promo: int) -> None:
        known = any(had.message_id == message_id and had.ended is None for had in self._world.oracle.had)
        if not self.deaf and not known:  # else it was in the air when the process died
            message = self._world.core.dispatcher._delivery._open[message_id]
            self._world.judge_taken(message, modem_id)
            self._world.oracle.taken(message_id, modem_id, message.receiver, parts)
        super().reserve(modem_id, message_id, parts, promo)

    def give_back(self, message_id: str) -> str | None:
        if not self.deaf:
            self._world.oracle.ended(message_id, kept=False)
        return super().give_back(message_id)

    def keep(self, message_id: str) -> str | None:
        if not self.deaf:
            self._world.oracle.ended(message_id, kept=True)
        return super().keep(message_id)


def _tariff(dice: random.Random) -> TariffSection | None:
    prices = [0, 5, 50, 60, 100, "0.1"]
    promo = {
        "after": dice.randint(0, 6),
        "per": dice.choice(["day", "month"]),
        "price": dice.choice(prices),
        "most": dice.randint(0, 4),
        "prefixes": dice.sample(PREFIXES, dice.randint(0, 1)),
    }
    own = {"prefixes": dice.sample(PREFIXES, dice.randint(1, 2)), "price": dice.choice(prices)}
    tariff = {
        "price": dice.choice(prices),
        "prices": dice.choice([[], [own]]),
        "promo": dice.choice([None, promo]),
    }
    return dice.choice([None, *[TariffSection.model_validate(tariff)] * 4])


def _section(dice: random.Random) -> ModemSection:
    return modem(
        "m",
        *dice.sample((*PREFIXES, "628"), dice.randint(0, 2)),
        default=dice.choice([True, False]),
        send_from_api=dice.choice([True, True, True, False]),
        tariff=_tariff(dice),
        per_minute=dice.choice([0, 0, 1, 2, 3, 4]),
        per_hour=dice.choice([0, 0, 1, 3, 5, 8]),
        per_day=dice.choice([0, 0, 1, 3, 5, 8]),
        per_month=dice.choice([0, 0, 4, 12]),
        pause=dice.choice([0, 0, 2.5, 20]),
    )


def _send(dice: random.Random) -> Act:
    """Parts mostly one, seldom by hand, mostly sent."""
    place = dice.choice([WORKERS] * 8 + [0, 1])
    answer = dice.choice(["sent"] * 6 + list(ANSWERS))
    return ("send", dice.randrange(len(RECEIVERS)), dice.choice([1, 1, 2, 3]), place, answer)


# Made once, so that an example is a list of choices: else most of what it is made of would be settings.
_DICE = random.Random(4711)
_SENDS: list[Act] = [_send(_DICE) for _ in range(200)]
_PASSES: list[Act] = [("pass", seconds) for seconds in (0.5, 1.0, 7.0, 59.0, 61.0, 1000.0, 3600.0, 30_000.0)] * 8
_TURNS: list[Act] = [("ready", place, ready) for place in range(WORKERS) for ready in (True, True, False)]
_KILLS: list[Act] = [("kill",)] * 6
_STEPS: list[Act] = [
    ("clock", seconds) for seconds in (-90_000.0, -7200.0, -61.0, 61.0, 3600.0, 40_000.0, 90_000.0, 3e6)
] * 3
_SECTIONS = st.lists(
    st.sampled_from([_section(_DICE) for _ in range(200)]), min_size=WORKERS, max_size=WORKERS
).map(lambda found: [section.model_copy(update={"id": f"m{place}"}) for place, section in enumerate(found)])
_ACTS = st.lists(st.sampled_from(_SENDS + _PASSES + _TURNS + _KILLS), min_size=20, max_size=60)
_ACTS_AND_STEPS = st.lists(st.sampled_from(_SENDS + _PASSES + _TURNS + _KILLS + _STEPS), min_size=20, max_size=60)
_SETTINGS = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@given(sections=_SECTIONS, routing=st.sampled_from(["prefix", "cheapest"]), acts=_ACTS_AND_STEPS)
@_SETTINGS
def test_whatever_happens_no_modem_is_over_a_cap(
    sections: list[ModemSection], routing: str, acts: list[Act]
) -> None:
    play(sections, routing, acts)


@given(sections=_SECTIONS, acts=_ACTS)
@_SETTINGS
def test_a_message_always_takes_the_cheapest_route_that_it_may(
    sections: list[ModemSection], acts: list[Act]
) -> None:
    play(sections, "cheapest", acts)


@given(sections=_SECTIONS, acts=_ACTS)
@_SETTINGS
def test_a_message_always_takes_the_route_of_its_prefix_that_it_may(
    sections: list[ModemSection], acts: list[Act]
) -> None:
    play(sections, "prefix", acts)


def play(sections: list[ModemSection], routing: str, acts: list[Act]) -> None:
    folder = Path(tempfile.mkdtemp(prefix="otpbroker-test-", dir="/dev/shm"))
    try:
        with time_zone("WIB-7"), asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(_play(World(folder, sections, routing, VirtualClock()), acts))
    finally:
        shutil.rmtree(folder)


async def _play(world: World, acts: list[Act]) -> None:
    await world.boot(world.folder / "0")
    for act in acts:
        await world.act(*act)
    await world.end()
