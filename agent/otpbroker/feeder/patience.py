"""How long a WebSocket feeder waits for what."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds."""

    first: float = 1.0  # pause after a lost connection, doubling
    most: float = 20.0
    refused: float = 30.0  # pause after a refusal, doubling
    refused_most: float = 600.0
    good: float = 30.0  # a connection that stood so long makes the pauses short again
    at_once: float = 5.0  # a close within this, before any message, is a refusal
    settled: float = 1.0  # a connection that stands so long is told as connected
    ping: float = 20.0
    pong: float = 20.0
    ping_ours: float = 10.0  # with `pong_ours` less than what a relay waits before others get our messages
    pong_ours: float = 10.0
    hold: float = 300.0  # how long is held what the core can't take and nobody else may get
    again: float = 1.0  # pause before the core is asked again, doubling
    again_most: float = 15.0


USUAL = Patience()
