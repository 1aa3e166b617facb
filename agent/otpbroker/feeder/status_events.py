"""What becomes of the messages of one feeder, told to an exchange of its broker; may be lost."""

import json
from collections import OrderedDict
from collections.abc import Callable

from otpbroker.errors import OtpBrokerError
from otpbroker.events import Bus, MessageChanged
from otpbroker.feeder.amqp import Broker, Properties

# Messages whose origin is remembered.
REMEMBERED = 2000


class StatusEvents:
    """Routing key: the state. The receiver is masked, the text is not here."""

    def __init__(self, bus: Bus, exchange: str | None, problem: Callable[[str, str], None]) -> None:
        self._bus = bus
        self._exchange = exchange
        self._problem = problem
        self._origins: OrderedDict[str, str | None] = OrderedDict()

    def began(self, message_id: str, origin: str | None) -> None:
        """A message of this feeder is in the core under our id; `origin` is the id that its publisher gave it."""
        if self._exchange is not None:
            self._origins[message_id] = origin
            if len(self._origins) > REMEMBERED:
                self._origins.popitem(last=False)

    async def run(self, broker: Broker) -> None:
        """Publish while the connection stands."""
        if self._exchange is None:
            return
        with self._bus.subscribe() as subscription:
            try:
                async with broker.channel() as channel:
                    async for event in subscription:
                        if channel.closed.done():
                            raise channel.closed.result()
                        if isinstance(event, MessageChanged) and event.id in self._origins:
                            body = json.dumps(_told(event, self._origins[event.id])).encode()
                            channel.send(self._exchange, event.state, body, _properties(event))
            except OtpBrokerError as error:
                if not broker.closed.done():
                    self._problem("status", f"status events are not taken: {error.detail}")


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
