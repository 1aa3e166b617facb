"""What was promised about each message, and what its recipient's phone says: the phone is right."""

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from otpbroker.events import Bus, MessageChanged, ModemChanged, ModemState
from otpbroker.messaging.outcome import Outcome, State
from otpbroker.modem.simulator import Phone


@dataclass(slots=True)
class Entry:
    """An accepted message; `begun`: when which modem was given it. Times are Unix seconds."""

    prefix: str  # its receiver's number begins with it
    text: str
    accepted_at: float
    begun: list[tuple[float, str]] = field(default_factory=list)
    outcome: Outcome | None = None

    @property
    def state(self) -> State | None:
        """None: not final."""
        return self.outcome.state if self.outcome is not None else None

    @property
    def hold(self) -> float:
        """Seconds from the acceptance to the final word."""
        return self.outcome.changed_at - self.accepted_at if self.outcome is not None else float("inf")

    @property
    def had_by(self) -> list[str]:
        return [modem for _, modem in self.begun]

    @property
    def kept(self) -> float | None:
        """The longest that one modem had it before another one got it, in seconds; None: one sufficed."""
        steps = zip(self.begun, self.begun[1:], strict=False)
        return max((later - at for (at, modem), (later, other) in steps if modem != other), default=None)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A run's line of the table; what has no seconds did not happen in it."""

    name: str
    counts: dict[State, int]
    turned_away: int  # told at once that no modem is there
    lost: tuple[str, ...]  # what was wrong with each
    doubles: tuple[str, ...]
    astray: tuple[str, ...]  # came from another number than the chosen modem's
    longest_hold: float | None  # of a message that no fault touched
    next_modem: float | None  # the longest that a message was kept from the next modem by one that failed
    give_up: float = 0.0  # seconds that a modem may keep a message before others get it
    replug: tuple[float, ...] = ()  # seconds from plugging a modem in to its first message

    @property
    def messages(self) -> int:
        return sum(self.counts.values())

    def of(self, state: State) -> int:
        return self.counts.get(state, 0)


class Ledger:
    """Writes up what the bus tells of messages; `judge` when all is over."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._entries: dict[str, Entry] = {}
        self.turned_away = 0
        self._rests: list[tuple[float, str]] = []  # when which modem was sent into quarantine

    @property
    def entries(self) -> Iterable[tuple[str, Entry]]:
        return self._entries.items()

    def accept(self, message_id: str, entry: Entry) -> None:
        self._entries[message_id] = entry

    def close(self, outcome: Outcome | None) -> None:
        """The last word on a message."""
        if outcome is not None and outcome.state.final:
            self._entries[outcome.id].outcome = outcome

    async def run(self) -> None:
        """Until cancelled."""
        with self._bus.subscribe(limit=1_000_000) as events:
            async for event in events:
                match event:
                    case MessageChanged(state=State.SENDING):
                        self._entries[event.id].begun.append((event.at, event.modem_id or ""))
                    case ModemChanged(status) if status.state is ModemState.QUARANTINED:
                        self._rests.append((time.time(), status.id))

    def begun_by(self, modem: str, after: float) -> float | None:
        """When the modem was first given a message after a time."""
        times = (at for entry in self._entries.values() for at, name in entry.begun if name == modem and at > after)
        return min(times, default=None)

    def rested(self, modem: str, between: float, until: float) -> bool:
        """Whether it was sent into quarantine in this time."""
        return any(name == modem and between < at < until for at, name in self._rests)

    def judge(
        self,
        name: str,
        phone: Phone,
        *,
        number_of: Callable[[str], str],
        touched: Callable[[Entry], bool],
        kept: Callable[[Entry], float | None] = lambda entry: entry.kept,
        give_up: float = 0.0,
        replug: Iterable[float] = (),
    ) -> Verdict:
        """Hold every outcome against the phone. In these runs some healthy modem is always there.

        `number_of`: from which number a modem sends; `touched`: whether a fault had to do with the message; `kept`:
        how long a faulty modem kept it from others.
        """
        arrived = {message.text: message for message in phone.messages}
        lost, doubles, astray = [], [], []
        counts: dict[State, int] = {}
        for message_id, entry in self._entries.items():
            message = arrived.get(entry.text)
            copies = message.copies if message is not None else 0
            if entry.outcome is None:
                lost.append(f"{message_id} never ended, had by {entry.had_by}")
                continue
            state = entry.outcome.state
            counts[state] = counts.get(state, 0) + 1
            what = f"{message_id} {state} {entry.outcome.error or ''}, {copies} on the phone, had by {entry.had_by}"
            if copies > 1 or (copies and state not in {State.SENT, State.UNKNOWN}):
                doubles.append(what)
            elif state not in {State.SENT, State.UNKNOWN} or (state is State.SENT and not copies):
                lost.append(what)
            if message is not None and message.sender != number_of(entry.outcome.modem_id or ""):
                astray.append(f"{what}, from {message.sender}")
        entries = self._entries.values()
        return Verdict(
            name,
            counts,
            self.turned_away,
            tuple(lost),
            tuple(doubles),
            tuple(astray),
            max((entry.hold for entry in entries if not touched(entry)), default=None),
            max((seconds for entry in entries if (seconds := kept(entry)) is not None), default=None),
            give_up,
            tuple(replug),
        )


def table(verdicts: Iterable[Verdict]) -> str:
    """Markdown."""
    head = (
        *("run", "messages", "sent", "unknown", "failed", "lost", "silent doubles", "by a wrong SIM"),
        *("longest hold of others, s", "to the next modem, s (given up after)"),
        "replug to sending, s: median / worst",
    )
    rows = [
        (
            verdict.name,
            str(verdict.messages),
            *(str(verdict.of(state)) for state in (State.SENT, State.UNKNOWN)),
            str(sum(verdict.of(state) for state in (State.FAILED, State.EXPIRED))),
            str(len(verdict.lost)),
            str(len(verdict.doubles)),
            str(len(verdict.astray)),
            _seconds(verdict.longest_hold),
            "" if verdict.next_modem is None else f"{verdict.next_modem:.2f} ({verdict.give_up:g})",
            f"{statistics.median(verdict.replug):.2f} / {max(verdict.replug):.2f}" if verdict.replug else "",
        )
        for verdict in verdicts
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ("---",) * len(head), *rows))


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
