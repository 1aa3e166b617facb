"""The consumer of one RabbitMQ queue: connects, takes what the modems can carry, reconnects.

Messages are acknowledged after their final outcome. When the connection is lost its broker gives them again: what
waits for a modem is given up here at once, what is in the air ends, and is known again when it comes back.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from otpbroker.clock import Clock
from otpbroker.config.feeder_rabbitmq import RabbitmqFeeder
from otpbroker.errors import Denied, Misconfigured, OtpBrokerError
from otpbroker.events import Bus, FeederState
from otpbroker.feeder.amqp import Address, Broker
from otpbroker.feeder.broker_tls import tls_context
from otpbroker.feeder.capacity import Capacity
from otpbroker.feeder.claims import Known, Me, StreamClaims
from otpbroker.feeder.intake import Intake
from otpbroker.feeder.queue import find_queue
from otpbroker.feeder.shift import Shift
from otpbroker.feeder.status_events import StatusEvents
from otpbroker.modem.backoff import Backoff

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds; each pause is jittered by a fifth."""

    lost: float = 1.0  # before the first try after a loss, doubling
    lost_most: float = 10.0  # one-time passwords live for minutes
    refused: float = 30.0  # after what needs hands, doubling
    refused_most: float = 300.0
    good: float = 30.0  # a connection that stood so long makes the pauses short again
    steady: float = 2.0  # how long more modems are ready before the prefetch follows
    # A service that is started again listens for its modems' late answers in this time.
    settle: float = 15.0  # for another device to come back and say how a message ended that it had in the air
    no_modem: float = 10.0  # how long fewer modems are ready before what waits is given back to the broker


class RabbitmqConsumer:
    """Fits `feeders.Feeder`. `me` is what the claims and dead letters of this device are signed with."""

    def __init__(
        self,
        section: RabbitmqFeeder,
        intake: Intake,
        tell: Callable[[FeederState, str], None],
        capacity: Callable[[], Capacity],
        clock: Clock,
        *,
        bus: Bus,
        me: Me,
        patience: Patience = Patience(),  # frozen
    ) -> None:
        self._section = section
        self._intake = intake
        self._tell = tell
        self._capacity = capacity
        self._clock = clock
        self._bus = bus
        self._me = me
        self._patience = patience
        self._known = Known()
        self._poison: Counter[str] = Counter()  # deliveries that broke us, by their digest
        self._problems: dict[str, str] = {}
        self._status = StatusEvents(bus, section.status_exchange, self._problem, pause=patience.refused)

    async def run(self) -> None:
        """Until cancelled; then nothing more is taken, what is in the air may end for a few seconds."""
        patience = self._patience
        lost = Backoff(patience.lost, patience.lost_most)
        refused = Backoff(patience.refused, patience.refused_most)
        while True:
            started = self._clock.monotonic()
            try:
                await self._serve()
            except (Denied, Misconfigured) as error:
                state, detail, backoff = FeederState.REFUSED, str(error), refused
            except OtpBrokerError as error:
                state, detail, backoff = FeederState.FAILED, str(error), lost
            if self._clock.monotonic() - started >= patience.good:
                lost.reset()
                refused.reset()
            self._tell(state, detail)
            await asyncio.sleep(backoff.next())

    async def _serve(self) -> None:
        """One connection to its end; raises why it ended."""
        section = self._section
        self._problems.clear()
        async with AsyncExitStack() as stack:
            address = await asyncio.to_thread(_address, section, self._me.device)
            broker = await stack.enter_async_context(Broker.connect(address, self._blocked))
            self._problem("queue", await find_queue(broker, section))
            channel = await stack.enter_async_context(broker.channel(confirms=True))
            claims = None
            if section.claims is not None:
                following = StreamClaims.open(
                    broker,
                    channel,
                    section.claims,
                    me=self._me,
                    known=self._known,
                    outcome=self._intake.outcome,
                    patience=self._patience.settle,
                )
                claims = await stack.enter_async_context(following)
            shift = Shift(
                section,
                self._intake,
                broker,
                channel,
                claims,
                self._status,
                capacity=self._capacity,
                bus=self._bus,
                clock=self._clock,
                poison=self._poison,
                device=self._me.device,
                problem=self._problem,
                steady=self._patience.steady,
                no_modem=self._patience.no_modem,
            )
            self._tell(FeederState.CONNECTED, self._detail)
            await shift.run()

    def _blocked(self, reason: str) -> None:
        detail = f"the broker takes nothing now, not even acknowledgements: {reason}" if reason else ""
        self._problem("blocked", detail)

    def _problem(self, what: str, detail: str) -> None:
        """Something that is not as it should be though messages come; "": it is."""
        if self._problems.get(what, "") == detail:
            return
        if detail:
            self._problems[what] = detail
        else:
            del self._problems[what]
        self._tell(FeederState.CONNECTED, self._detail)

    @property
    def _detail(self) -> str:
        return "; ".join(self._problems.values())


def _address(section: RabbitmqFeeder, device: str) -> Address:
    """Reads certificates from files. Raises `Misconfigured`."""
    return Address(
        host=section.host,
        port=section.broker_port,
        vhost=section.vhost,
        username=section.username,
        password=section.password.get_secret_value() if section.password is not None else "",
        tls=tls_context(section.tls),
        server_name=section.tls.server_name,
        heartbeat=section.heartbeat,
        name=f"{device} {section.id}",
    )
