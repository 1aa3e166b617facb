"""The memories of a modem and its SIM for short messages, as `+CPMS` names them (3GPP TS 27.005 section 3.1)."""

from collections.abc import Iterator
from dataclasses import dataclass

SIM, EQUIPMENT, BOTH, REPORTS = "SM", "ME", "MT", "SR"
FOR_READING = (SIM, EQUIPMENT, BOTH, REPORTS)
FOR_RECEIVING = (SIM, EQUIPMENT, BOTH)

_OFFSET = 255  # of the equipment's places where both memories are one


@dataclass(slots=True)
class Stored:
    """One entry; `unread` falls when it is listed."""

    pdu: str
    unread: bool = True


class MessageStore:
    """Places count from 1. `BOTH` is a view of the SIM's and the equipment's memory."""

    def __init__(self) -> None:
        self._memories: dict[str, dict[int, Stored]] = {SIM: {}, EQUIPMENT: {}, REPORTS: {}}

    def __len__(self) -> int:
        return sum(map(len, self._memories.values()))

    def used(self, name: str) -> int:
        return len(list(self.entries(name)))

    def total(self, name: str, capacity: int) -> int:
        return 2 * capacity if name == BOTH else capacity

    def entries(self, name: str) -> Iterator[tuple[int, Stored]]:
        """Place and entry, in order."""
        for memory, offset in _parts(name):
            for index, entry in sorted(self._memories[memory].items()):
                yield index + offset, entry

    def find(self, name: str, index: int) -> Stored | None:
        return dict(self.entries(name)).get(index)

    def put(self, name: str, pdu: str, capacity: int) -> int | None:
        """Store it; its place, or None if there is none left."""
        for memory, offset in _parts(name):
            entries = self._memories[memory]
            for index in range(1, capacity + 1):
                if index not in entries:
                    entries[index] = Stored(pdu)
                    return index + offset
        return None

    def remove(self, name: str, index: int) -> bool:
        """Whether there was something."""
        return any(self._memories[memory].pop(index - offset, None) is not None for memory, offset in _parts(name))


def _parts(name: str) -> tuple[tuple[str, int], ...]:
    return ((SIM, 0), (EQUIPMENT, _OFFSET)) if name == BOTH else ((name, 0),)
