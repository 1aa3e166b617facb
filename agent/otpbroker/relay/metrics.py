"""What the relay counts, as Prometheus reads it (text format 0.0.4); no content and no numbers of receivers."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Metrics:
    """Since the start."""

    published: int = 0
    returned: int = 0  # by a consumer that was lost, or could not take it
    declined: Counter[str] = field(default_factory=Counter)  # by reason; nothing of these was held
    ended: Counter[str] = field(default_factory=Counter)  # by verdict
    connections: Counter[str] = field(default_factory=Counter)  # open ones, by kind
    missed: int = 0  # copies on broadcast channels that a consumer had no room for
    refused: int = 0  # wrong credentials

    def text(self, channels: Iterable[tuple[str, int, int, float]]) -> str:
        """`channels`: name, messages waiting, consumers, age of the oldest waiting message in seconds."""
        lines = [
            "# TYPE otpbroker_relay_published_total counter",
            f"otpbroker_relay_published_total {self.published}",
            "# TYPE otpbroker_relay_returned_total counter",
            f"otpbroker_relay_returned_total {self.returned}",
            "# TYPE otpbroker_relay_missed_total counter",
            f"otpbroker_relay_missed_total {self.missed}",
            "# TYPE otpbroker_relay_refused_logins_total counter",
            f"otpbroker_relay_refused_logins_total {self.refused}",
            *_family("declined_total", "counter", "reason", self.declined),
            *_family("ended_total", "counter", "verdict", self.ended),
            *_family("connections", "gauge", "kind", self.connections),
        ]
        rows = list(channels)
        lines += _family("waiting", "gauge", "channel", {name: waiting for name, waiting, _, _ in rows})
        lines += _family("consumers", "gauge", "channel", {name: consumers for name, _, consumers, _ in rows})
        lines += _family("oldest_seconds", "gauge", "channel", {name: round(age, 1) for name, _, _, age in rows})
        return "\n".join(lines) + "\n"


def _family(
    name: str, kind: str, label: str, values: "dict[str, int] | dict[str, float] | Counter[str]"
) -> list[str]:
    lines = [f"# TYPE otpbroker_relay_{name} {kind}"]
    for key, value in sorted(values.items()):
        escaped = key.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        lines.append(f'otpbroker_relay_{name}{{{label}="{escaped}"}} {value}')
    return lines
