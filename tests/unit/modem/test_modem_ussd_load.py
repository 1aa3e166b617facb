"""Messages and USSD at once, in any order, with lost answers and unplugged modems: they never mix."""

import asyncio
import random
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st
from modem_desk import Desk, message
from ussd_wire import UssdWire

from otpbroker.errors import OtpBrokerError
from otpbroker.events import ModemState
from otpbroker.modem.modem import Modem
from otpbroker.modem.ussd_dialogue import ANSWER_LIMIT, SESSION_LIMIT
from otpbroker.sms.submission import SendResult, Sent, Unknown
from virtual_run import in_virtual_time

PARTS = 2
NETWORK = {
    "*888#": '+CUSD: 0,"Rp 5",15',
    "*123#": '+CUSD: 1,"1. A\r\n2. B",15',
    "1": '+CUSD: 1,"1. A",15',
    "2": '+CUSD: 2,"Rp 5",15',
    "*4#": "+CUSD: 4",
    "*0#": None,
}
SECONDS = st.sampled_from((0.0, 0.001, 0.5, 2.0, 7.0, 31.0, 50.0))


class Office:
    """Whoever uses the modem, at the same time."""

    def __init__(self, modem: Modem, wire: UssdWire) -> None:
        self.modem = modem
        self.wire = wire
        self.results: list[SendResult] = []

    async def send(self) -> None:
        self.results.append(await self.modem.send(message(PARTS), more=False))

    async def run(self, code: str) -> None:
        with suppress(OtpBrokerError):
            await self.modem.ussd.run(code)

    async def reply(self, text: str) -> None:
        with suppress(OtpBrokerError):
            await self.modem.ussd.reply(text)

    async def leave(self) -> None:
        await self.modem.ussd.end()

    async def vanish(self, code: str) -> None:
        """A caller who does not wait for the answer."""
        with suppress(OtpBrokerError, TimeoutError):
            async with asyncio.timeout(1):
                await self.modem.ussd.run(code)

    async def unplug(self) -> None:
        if not self.wire.closed:
            self.wire.hang_up()


ACTIONS = st.one_of(
    st.tuples(st.just("send")),
    st.tuples(st.just("send")),
    st.tuples(st.just("run"), st.sampled_from([*NETWORK])),
    st.tuples(st.just("reply"), st.sampled_from("12")),
    st.tuples(st.just("leave")),
    st.tuples(st.just("vanish"), st.sampled_from([*NETWORK])),
    st.tuples(st.just("unplug")),
)


@settings(max_examples=150, deadline=None)
@given(
    steps=st.lists(st.tuples(ACTIONS, SECONDS), max_size=25),
    seed=st.integers(0, 1000),
    lost=st.floats(0, 0.3),
)
@in_virtual_time
async def test_messages_and_codes_never_mix_and_everything_ends(
    steps: list[tuple[tuple[str, ...], float]], seed: int, lost: float
) -> None:
    dice = random.Random(seed)
    wire = UssdWire(NETWORK)
    taken = 0

    def on_pdu(_pdu: str) -> str | None:
        nonlocal taken
        taken += 1
        seconds = dice.uniform(0.1, 3)
        if dice.random() >= lost:
            asyncio.get_running_loop().call_later(seconds, wire.say, f"\r\n+CMGS: {taken % 256}\r\n\r\nOK\r\n")
        return None

    wire.on_pdu = on_pdu
    desk = Desk(wire)
    async with desk.ready() as modem:
        office = Office(modem, wire)
        async with asyncio.TaskGroup() as group:
            for (what, *words), pause in steps:
                group.create_task(getattr(office, what)(*words))
                await asyncio.sleep(pause)
        await asyncio.sleep(SESSION_LIMIT + ANSWER_LIMIT)
        await desk.until(lambda: modem.ready, seconds=300)
        assert wire.clashes == 0
        assert not modem.ussd.open
        assert len(office.results) == sum(what == "send" for (what, *_), _ in steps)
        sent = sum(isinstance(result, Sent) for result in office.results)
        unclear = sum(isinstance(result, Unknown) for result in office.results)
        # None is called sent that was not given whole, and what was refused was not given at all.
        assert PARTS * sent + unclear <= taken <= PARTS * (sent + unclear)
        assert modem.status.state is ModemState.READY
        assert (await modem.ussd.run("*888#")).text == "Rp 5"
