"""Answers to who asked for them by `callback_topic`: each on its own connection, as existing clients expect."""

import asyncio
import json
import logging

from otpbroker.errors import OtpBrokerError
from otpbroker.feeder.broker_address import BrokerAddress
from otpbroker.feeder.delivery import Handled
from otpbroker.feeder.line import Dial

_log = logging.getLogger(__name__)

MOST_WAITING = 64
_AT_ONCE = 4
_LIMIT = 20.0  # seconds for connecting and sending


class Callbacks:
    """What asks for its answer where the feeder takes from gets none: an echo would come round for ever."""

    def __init__(self, dial: Dial, address: BrokerAddress) -> None:
        self._dial = dial
        self._address = address
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def answer(self, handled: Handled) -> None:
        """Publish the answer after its delay; who does not listen misses it, and failures are logged alone."""
        if handled.answer is None or not handled.callback_topic:
            return
        if handled.callback_topic in self._address.own:
            _log.warning("an answer was dropped: it was asked for into the feeder's own channel")
            return
        if self._waiting >= MOST_WAITING:
            _log.warning("an answer was dropped: %d wait for their callback topics", self._waiting)
            return
        self._waiting += 1
        try:
            await asyncio.sleep(handled.callback_delay)
            address = self._address.topic(handled.callback_topic)
            async with self._turns, asyncio.timeout(_LIMIT), self._dial(address, ()) as line:
                await line.send(json.dumps(handled.answer))
        except OtpBrokerError as error:
            _log.warning("an answer could not be given to its callback topic: %s", error)
        except TimeoutError:
            _log.warning("an answer could not be given to its callback topic in time")
        finally:
            self._waiting -= 1
