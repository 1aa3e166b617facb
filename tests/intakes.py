"""What the tests of the way from brokers into the core share: deliveries, intakes, claims."""

import json
from typing import Any

from core import Core
from otpbroker.clock import Clock
from otpbroker.errors import Unavailable
from otpbroker.feeder.intake import Intake
from otpbroker.messaging.outcome import Outcome, State


def body(text: str = "a", receiver: str = "081234567890", **data: object) -> bytes:
    return json.dumps({"command": "send-sms", "data": {"receiver": receiver, "message": text, **data}}).encode()


def several(*texts: str, **more: object) -> bytes:
    items = [{"receiver": f"08123456789{number}", "message": text} for number, text in enumerate(texts)]
    return json.dumps({"data": items} | more).encode()


def clear(octets: bytes) -> tuple[bytes, bool]:
    return octets, False


def an_intake(core: Core, **more: Any) -> Intake:
    defaults = {"unseal": clear, "sealed_only": False, "lent": True, "rights": frozenset()}
    return Intake(
        core.dispatcher, source="amqp", caller="feeder:rabbit", clock=Clock(core.time.now), **(defaults | more)
    )


class Ledger:
    """Claims that all devices see at once."""

    def __init__(self) -> None:
        self.records: dict[str, Outcome] = {}
        self.claimed: list[str] = []
        self.settled: list[State] = []
        self.gives = True
        self.lost = False
        self.asked: list[bool] = []

    async def earlier(self, key: str, *, certain: bool) -> Outcome | None:
        self.asked.append(certain)
        if self.lost:
            raise Unavailable("claims-silent", "")
        return self.records.get(key)

    async def claim(self, key: str, message_id: str) -> bool:
        assert message_id
        self.claimed.append(key)
        if self.gives:
            self.records[key] = outcome(State.UNKNOWN)
        return self.gives

    async def settle(self, key: str, ended: Outcome) -> None:
        self.settled.append(ended.state)
        if ended.state in {State.SENT, State.UNKNOWN}:
            self.records[key] = ended
        else:
            self.records.pop(key, None)


def outcome(state: State) -> Outcome:
    return Outcome("o", state, "", "amqp", 0.0, 0.0, 0.0, modem_id="other/m9", references=(5,))
