"""One message of the inbox."""

from dataclasses import dataclass, field

from otpbroker.errors import Rejected


@dataclass(frozen=True, slots=True)
class Received:
    """A message from the network; times are Unix seconds. With less `parts` than `total` its text has gaps."""

    id: str
    modem_id: str
    sender: str = field(repr=False)  # +62812..., 0812..., 888, or a name
    sender_is_number: bool
    text: str = field(repr=False)
    sent_at: float | None  # by the service centre's clock
    received_at: float
    parts: int
    total: int

    @property
    def complete(self) -> bool:
        return self.parts == self.total

    @property
    def answerable_sender(self) -> str:
        """Where a reply goes. Raises `Rejected`: a name is no address."""
        if not self.sender_is_number:
            raise Rejected("sender-no-number", "the sender is a name: it takes no reply")
        return self.sender
