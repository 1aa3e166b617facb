"""What becomes of the messages of one feeder, told to an exchange of its broker; may be lost."""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable

from otpbroker.errors import OtpBrokerError
from otpbroker.events import Bus, MessageChanged
from otpbroker.feeder.amqp import Broker, Properties

# Messages whose origin is remembered.
REMEMBERED = 2000


class StatusEvents:
    """Routing key: the state. The receiver is masked, the text is not here.

    `pause`: seconds after which an exchange is tried again that does not take them.
    """

    def __init__(
        self, bus: Bus, exchange: str | None, problem: Callable[[str, str], None], *, pause: float
    ) -> None:
        self._bus = bus
        self._exchange = exchange
        self._problem = problem
        self._pause = pause
        self._origins: OrderedDict[str, str | None] = OrderedDict()

    def began(self, message_id: str, origin: str | None) -> None:
        """A message of this feeder is in the core under our id; `origin` is the id that its publisher gave it."""
        if self._exchange is not None:
            self._origins[message_id] = origin
            if len(self._origins) > REMEMBERED:
                self._origins.popitem(last=False)

    async def run(self, broker: Broker) -> None:
        """Publish while the connection stands, whatever becomes of the exchange meanwhile."""
        if self._exchange is None:
            return
        while True:
            try:
                await self._tell(broker, self._exchange)
            except OtpBrokerError as error:
                if broker.closed.done():
                    return
                self._problem("status", f"status events are not taken: {error.detail}")
                await asyncio.sleep(self._pause)
            else:
                return

    async def _tell(self, broker: Broker, exchange: str) -> None:
        """Until the agent ends. Raises why the channel ended."""
        confirmed = False  # the first one shows whether the exchange takes them
        with self._bus.subscribe() as subscription:
            async with broker.channel(confirms=True) as channel:
                async for event in subscription:
                    if channel.closed.done():
                        raise channel.closed.result()
                    if not isinstance(event, MessageChanged) or event.id not in self._origins:
                        continue
                    body = json.dumps(_told(event, self._origins[event.id])).encode()
                    if confirmed:
                        channel.send(exchange, event.state, body, _properties(event))
                    else:
                        await channel.publish(exchange, event.state, body, _properties(event))
                        confirmed = True
                        self._problem("status", "")


def _told(event: MessageChanged, origin: str | None) -> dict[str, object]:
    return {
        "id": event.id,
        "message_id": origin,
        "state": event.state,
        "error": event.error,
        "receiver": event.receiver,
        "modem": event.modem_id,
        "parts": event.parts,
        "at": event.at,
    }


def _properties(event: MessageChanged) -> Properties:
    return Properties(
        content_type="application/json", app_id="otpbroker", type="message-state", timestamp=int(event.at)
    )
