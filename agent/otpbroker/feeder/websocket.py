"""The consumer of a WebSocket broker, whichever of the historic generations it is, or our own relay.

A historic broker gets no acknowledgement, so nothing can be given back to it: what it sends is read as fast as the
core takes it, what the core can't take now is held and tried again, and while too much is held nothing is read. Our
relay keeps each message until it is settled here.
"""

import asyncio
import logging
import traceback
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from otpbroker.clock import Clock
from otpbroker.config.feeder_websocket import WebsocketFeeder
from otpbroker.errors import Denied, OtpBrokerError
from otpbroker.events import Bus, FeederState, ModemChanged, ModemGone, Overrun
from otpbroker.feeder.broker_address import BrokerAddress
from otpbroker.feeder.callback import Callbacks
from otpbroker.feeder.delivery import Delivery, Handled, Verdict
from otpbroker.feeder.holding import Holding
from otpbroker.feeder.lent import Lent
from otpbroker.feeder.line import Dial, Gone, Line, dialler, refused
from otpbroker.feeder.patience import USUAL, Patience
from otpbroker.feeder.unsent import Unsent
from otpbroker.messaging.wire import broker_frames as frames
from otpbroker.modem.backoff import Backoff

_log = logging.getLogger(__name__)

STOP_WITHIN = 10.0  # seconds for what is in the air to be settled when the feeder ends
MOST_CREDIT = 1000  # messages of a relay of ours on one connection; a frame has no more
REMEMBERED = 1024  # settled messages of our relay, for the case that it did not hear so
_CLOSED_AT_ONCE = frozenset({1000, 1008, 4401, 4403})  # what brokers close with that refuse after the handshake


class Intake(Protocol):
    """The way into the core, as far as it is used here."""

    async def handle(self, delivery: Delivery, *, began: Callable[[str], None] = ...) -> Handled: ...

    def withdraw(self, message_id: str) -> None: ...

    def lending(self, lent: bool, /) -> "Intake": ...


class SocketFeeder:
    """Connects, consumes, reconnects."""

    def __init__(
        self,
        section: WebsocketFeeder,
        intake: Intake,
        tell: Callable[[FeederState, str], None],
        ready_modems: Callable[[], int],
        clock: Clock,
        *,
        bus: Bus,
        unsent: Unsent,
        dial: Dial | None = None,
        patience: Patience = USUAL,
    ) -> None:
        self._section = section
        self._intake = intake.lending(False)
        self._lent_intake = intake.lending(True)
        self._tell = tell
        self._ready_modems = ready_modems
        self._clock = clock
        self._bus = bus
        self._dial = dial or dialler(section)
        self._patience = patience
        self._address = BrokerAddress(section.url, section.channel)
        self._callbacks = Callbacks(self._dial, self._address)
        self._line: Line | None = None  # to a relay that wants to hear of settlements
        self._credit: int | None = None  # what the relay was told
        self._holding = Holding(section.id, self._handle_given, self._callbacks.answer, unsent, patience, clock)
        self._settled_one = asyncio.Event()
        self._under_way: dict[str, Lent] = {}  # the relay's messages
        self._settled: OrderedDict[str, frames.Settle] = OrderedDict()
        self._in_trouble = False
        self._ending = False

    async def run(self) -> None:
        """Until cancelled; a relay gets back what waits then, the next run what a historic broker gave."""
        try:
            async with asyncio.TaskGroup() as work:  # a message outlives the connection that it came by
                self._holding.resume(work)
                await self._keep_connected(work)
        finally:
            self._holding.leave()

    async def _keep_connected(self, work: asyncio.TaskGroup) -> None:
        patience = self._patience
        lost = Backoff(patience.first, patience.most)
        denied = Backoff(patience.refused, patience.refused_most)
        while True:
            if not self._in_trouble:  # else what the trouble is stays to be read
                self._tell(FeederState.CONNECTING, "")
            began = self._clock.monotonic()
            state, detail = FeederState.FAILED, ""
            try:
                await self._converse(work)
            except Denied as error:
                state, detail = FeederState.REFUSED, str(error)
            except OtpBrokerError as error:
                detail = str(error)
            if self._clock.monotonic() - began >= patience.good:
                lost.reset()
                denied.reset()
            self._in_trouble = True
            self._tell(state, detail)
            await asyncio.sleep(denied.next() if state is FeederState.REFUSED else lost.next())

    async def _converse(self, work: asyncio.TaskGroup) -> None:
        """One connection, until it ends with an error."""
        offered = (frames.SUBPROTOCOL,) if self._section.acknowledge else ()
        async with self._dial(self._address.channel, offered) as line:
            ours = line.subprotocol == frames.SUBPROTOCOL
            watching = [
                asyncio.create_task(beside)
                for beside in (self._keep_alive(line, ours), self._announce(), self._watch_modems())
            ]
            try:
                if ours:
                    await self._acknowledged(line, work)
                else:
                    await self._historic(line, work)
            finally:
                for task in watching:
                    task.cancel()
                # What went wrong with them is told by the connection's own end.
                await asyncio.gather(*watching, return_exceptions=True)

    async def _historic(self, line: Line, work: asyncio.TaskGroup) -> None:
        began = self._clock.monotonic()
        greeted = False
        while True:
            await self._holding.have_room()
            try:
                octets = await line.receive()
            except Gone as gone:
                quick = self._clock.monotonic() - began < self._patience.at_once
                if quick and not greeted and gone.closed_with in _CLOSED_AT_ONCE:
                    raise refused(f"it closed at once with code {gone.closed_with}") from None
                raise
            request = frames.peek(octets)
            if not greeted and request is not None and request.get("command") == "connect":
                if request.get("response_code") != "00":
                    raise refused("its greeting says rejected")
                await line.send(frames.registration(self._section.channel))
            elif request is None or not _for_others(request):
                for body in frames.items(octets, request):
                    self._holding.take(body, work)
            greeted = True

    async def _acknowledged(self, line: Line, work: asyncio.TaskGroup) -> None:
        self._line, self._credit = line, None
        try:
            await self._grant()
            while True:
                match frames.load(await line.receive()):
                    case frames.Deliver(id=known) if known in self._settled:
                        await line.send(frames.dump(self._settled[known]))
                    case frames.Deliver() as delivered if self._may_take(delivered):
                        lent = Lent(delivered, self._handle_lent, self._lent_intake.withdraw, self._clock)
                        self._under_way[delivered.id] = lent
                        work.create_task(self._settle(delivered.id, lent))
        except asyncio.CancelledError:
            await self._finish(line)
            raise
        finally:
            self._line = None
            self._withdraw_all()

    async def _finish(self, line: Line) -> None:
        """The feeder ends: what no modem has goes back, what is in the air is settled first."""
        with suppress(Gone, TimeoutError):
            async with asyncio.timeout(STOP_WITHIN):
                self._ending = True
                await line.send(frames.dump(frames.Consume(credit=0)))
                self._withdraw_all()
                while self._under_way:
                    self._settled_one.clear()
                    await self._settled_one.wait()
        with suppress(Gone, TimeoutError):
            async with asyncio.timeout(1.0):
                for lent in [lent for lent in self._under_way.values() if lent.begun]:
                    await line.send(frames.dump(lent.partly()))

    def _withdraw_all(self) -> None:
        """A relay may give to others what is here: what no modem has yet is given up."""
        for lent in self._under_way.values():
            lent.give_up()

    def _may_take(self, delivered: frames.Deliver) -> bool:
        return delivered.id not in self._under_way and len(self._under_way) < 2 * MOST_CREDIT

    async def _grant(self) -> None:
        """Tell the relay how many messages to leave here: what is in the air, and the next ones.

        None while no modem is ready: they would wait here beside a device that is idle.
        """
        credit = min(MOST_CREDIT, 2 * self._ready_modems())
        if self._line is not None and credit != self._credit and not self._ending:
            self._credit = credit
            await self._line.send(frames.dump(frames.Consume(credit=credit)))

    async def _settle(self, delivered_id: str, lent: Lent) -> None:
        patience = self._patience
        try:
            handled = await lent.carry_out(Backoff(patience.again, patience.again_most), patience.hold)
            await self._answer(lent.settlement(handled))
        finally:
            del self._under_way[delivered_id]
            self._settled_one.set()
        for one in handled:
            await self._callbacks.answer(one)

    async def _answer(self, settle: frames.Settle) -> None:
        """Settle a message of the relay's."""
        if settle.verdict is not frames.Settlement.NOT_NOW:
            self._settled[settle.id] = settle
            if len(self._settled) > REMEMBERED:
                self._settled.popitem(last=False)
        with suppress(Gone):  # the relay sends it again, and hears then
            if self._line is not None:
                await self._line.send(frames.dump(settle))
                await self._grant()

    async def _handle_given(self, delivery: Delivery) -> Handled:
        return await self._handle(self._intake, delivery)

    async def _handle_lent(self, delivery: Delivery, began: Callable[[str], None]) -> Handled:
        return await self._handle(self._lent_intake, delivery, began)

    async def _handle(
        self, intake: Intake, delivery: Delivery, began: Callable[[str], None] = lambda _: None
    ) -> Handled:
        try:
            return await intake.handle(delivery, began=began)
        except Exception as error:  # noqa: BLE001 # a defect of ours must not take the other messages along
            # Its words stay out of the log: they may hold a part of the message.
            where = "".join(traceback.format_tb(error.__traceback__))
            _log.error("feeder %s: %s\n%s", self._section.id, type(error).__name__, where)
            return Handled(Verdict.NOT_NOW, "internal-error")

    async def _keep_alive(self, line: Line, ours: bool) -> None:
        """Hang up on a broker that does not answer pings.

        Its pongs are not read while there is no room for messages: then its silence proves nothing.
        """
        patience = self._patience
        every, within = (patience.ping_ours, patience.pong_ours) if ours else (patience.ping, patience.pong)
        while True:
            await asyncio.sleep(every)
            try:
                async with asyncio.timeout(within):
                    await line.ping()
            except TimeoutError:
                if not self._holding.full:
                    _log.warning("feeder %s: the broker did not answer a ping", self._section.id)
                    line.abort()
                    return

    async def _watch_modems(self) -> None:
        with suppress(Gone), self._bus.subscribe(limit=16) as events:
            await self._grant()
            async for event in events:
                if isinstance(event, ModemChanged | ModemGone | Overrun):
                    await self._grant()

    async def _announce(self) -> None:
        await asyncio.sleep(self._patience.settled)
        self._in_trouble = False
        self._tell(FeederState.CONNECTED, "")


def _for_others(request: frames.Object) -> bool:
    """Whether it is between other clients of the topic and their broker: an answer, or a broker's command."""
    return "response_code" in request or request.get("command") in {"connect", "receive-message", "ping"}
