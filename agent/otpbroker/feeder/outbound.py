"""What goes back to the broker beside acknowledgements: answers, and messages that can't be delivered."""

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace

from otpbroker.clock import Clock
from otpbroker.config.feeder_rabbitmq import RabbitmqFeeder
from otpbroker.errors import Misconfigured, OtpBrokerError
from otpbroker.feeder.amqp import Broker, Channel, Properties, Received
from otpbroker.feeder.intake import Handled

_log = logging.getLogger(__name__)


class Outbound:
    """All is published with confirms. An exchange that is not there costs the channel that asked for it, so dead
    letters have one of their own.
    """

    def __init__(
        self,
        section: RabbitmqFeeder,
        broker: Broker,
        channel: Channel,
        clock: Clock,
        *,
        device: str,
        problem: Callable[[str, str], None],
    ) -> None:
        self._section = section
        self._broker = broker
        self._channel = channel
        self._clock = clock
        self._device = device
        self._problem = problem
        self._burying: Channel | None = None
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        await self._stack.aclose()

    async def answer(self, received: Received, handled: Handled) -> bool:
        """Send the answer to whoever asked for one; False: it could not be sent by now, but can be later."""
        queues = dict.fromkeys(filter(None, (received.properties.reply_to, handled.callback_topic)))
        if handled.answer is None or not queues:
            return True
        if handled.callback_topic and handled.callback_delay > 0:
            await asyncio.sleep(handled.callback_delay)
        body = json.dumps(handled.answer, ensure_ascii=False).encode()
        properties = Properties(
            content_type="application/json",
            correlation_id=received.properties.correlation_id,
            timestamp=int(self._clock.now()),
            type="answer",
            app_id="otpbroker",
        )
        for queue in queues:
            if queue == self._section.queue:
                self._problem("answers", f"an answer was asked for into {queue} itself, and not sent")
                continue
            try:
                await self._channel.publish("", queue, body, properties, mandatory=True)
            except Misconfigured:  # whoever asked has gone
                _log.info("feeder %s: nobody takes an answer", self._section.id)
            except OtpBrokerError:
                return False
        return True

    async def bury(self, received: Received, handled: Handled) -> bool:
        """Hand a message over to the dead-letter exchange with the reason; False: nobody took it."""
        exchange = self._section.dead_letter_exchange
        if exchange is None:
            return False
        properties = received.properties
        headers = {
            **(properties.headers or {}),
            "x-otpbroker-reason": handled.reason,
            "x-otpbroker-queue": self._section.queue,
            "x-otpbroker-device": self._device,
            "x-otpbroker-at": int(self._clock.now()),
        }
        if handled.reasons:
            headers["x-otpbroker-reasons"] = list(handled.reasons)
        if properties.expiration is not None:  # it would expire where it is kept
            headers["x-otpbroker-expiration"] = properties.expiration
        properties = replace(properties, headers=headers, expiration=None)
        key = self._section.dead_letter_key or self._section.queue
        try:
            channel = await self._channel_for_burying()
            await channel.publish(exchange, key, received.body, properties, mandatory=True)
        except OtpBrokerError as error:
            self._problem("dead-letters", f"dead letters are not taken: {error.detail}")
            return False
        self._problem("dead-letters", "")
        return True

    async def _channel_for_burying(self) -> Channel:
        async with self._opening:
            if self._burying is None or self._burying.closed.done():
                self._burying = await self._stack.enter_async_context(self._broker.channel(confirms=True))
            return self._burying
