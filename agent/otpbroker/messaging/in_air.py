"""Messages that were in the air when the process died: first listen for a late answer, then say `unknown`."""

import asyncio
from collections.abc import Callable, Iterable

from otpbroker.messaging.message import Message
from otpbroker.messaging.outcome import State

# A modem that does not come back to tell within this time never will: its messages are final without it.
LISTEN_LIMIT = 60.0

Finish = Callable[[Message, State, tuple[int, ...]], None]


class InAir:
    """What the modems ask and tell while they wake up; a modem has at most one message in the air."""

    def __init__(self) -> None:
        self._messages: dict[str, Message] = {}
        self._finish: Finish | None = None
        self._limit: asyncio.TimerHandle | None = None

    def begin(self, messages: Iterable[Message], finish: Finish) -> None:
        """Take the messages left in state `sending`; `finish` is called once for each."""
        self._finish = finish
        for message in messages:
            modem_id = message.modem_id or ""
            self.over(modem_id)  # of two, the older one's end could not be written; no answer is for it
            self._messages[modem_id] = message
        if self._messages:
            self._limit = asyncio.get_running_loop().call_later(LISTEN_LIMIT, self.close)

    def expected(self, modem_id: str) -> bool:
        return modem_id in self._messages

    def arrived(self, modem_id: str, reference: int, imei: str) -> None:
        """The modem with this IMEI said `+CMGS: <reference>` before it was asked anything."""
        message = self._messages.get(modem_id)
        if message is None:
            return
        if message.imei != imei:  # another modem has its name, or its port: this tells nothing of the message
            self._end(modem_id, State.UNKNOWN, ())
        elif len(message.pdus) == 1:
            self._end(modem_id, State.SENT, (reference,))
        else:  # one of several parts: which, and whether the others left, nobody knows
            self._end(modem_id, State.UNKNOWN, (reference,))

    def over(self, modem_id: str) -> None:
        """The modem is awake and no answer will come any more."""
        if modem_id in self._messages:
            self._end(modem_id, State.UNKNOWN, ())

    def close(self) -> None:
        """Nobody listens any longer."""
        if self._limit is not None:
            self._limit.cancel()
        for modem_id in list(self._messages):
            self.over(modem_id)

    def _end(self, modem_id: str, state: State, references: tuple[int, ...]) -> None:
        message = self._messages.pop(modem_id)
        if self._finish is not None:
            self._finish(message, state, references)
