"""What the REST API needs of the core."""

from typing import Protocol

from otpbroker.messaging.command import Command, Origin
from otpbroker.messaging.outcome import Outcome, Result
from otpbroker.messaging.received import Received


class Blocklist(Protocol):
    """Receivers in normal form."""

    def __len__(self) -> int: ...

    def blocked(self, receiver: str) -> bool: ...

    def entries(self, offset: int = 0, limit: int = 100) -> list[str]: ...


class Inbox(Protocol):
    """Messages from the network, see `messaging.inbox.Inbox`."""

    async def page(self, *, modem_id: str | None = None, after: str = "", limit: int = 100) -> list[Received]: ...

    async def get(self, message_id: str) -> Received | None: ...

    async def delete(self, message_id: str) -> bool: ...


class Core(Protocol):
    """The dispatcher, as far as it is used here."""

    @property
    def blocklist(self) -> Blocklist: ...

    async def submit(self, command: Command, origin: Origin, *, wait: float | None = None) -> Result: ...

    async def outcome(self, message_id: str, *, caller: str | None, wait: float = 0.0) -> Outcome | None: ...
