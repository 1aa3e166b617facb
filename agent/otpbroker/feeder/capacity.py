"""How many messages the modems can carry, for feeders: the broker keeps the others."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from otpbroker.messaging.limits import HeldBack
from otpbroker.messaging.sender import Sender


@dataclass(frozen=True, slots=True)
class Capacity:
    """Modems that take messages now, and those that would but for a cap."""

    ready: int
    capped: int = 0


def capacity(senders: Iterable[Sender], held_back: Callable[[str], HeldBack | None]) -> Capacity:
    """A pause between two messages is over in moments, and no reason to leave them to others."""
    ids = [sender.config.id for sender in senders if sender.ready and sender.config.send_from_api]
    held = [held_back(modem_id) for modem_id in ids]
    capped = sum(reason is not None and reason.code == "cap-reached" for reason in held)
    return Capacity(len(ids) - capped, capped)
