"""The other end of the control socket, for tests, the demo and measurements."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otpbroker.modem.simulator.control import ANSWER_LIMIT
from otpbroker.modem.simulator.phone import PhoneMessage

_PATIENCE = 5.0  # seconds for an answer beyond the time that the request itself may take


class ControlError(Exception):
    """The simulator refused the request, or the awaited message did not come."""


@dataclass(frozen=True, slots=True)
class ControlClient:
    """One connection a request, so that waits may run side by side and nothing needs closing.

    Every call raises `ControlError` for what the simulator refuses and `OSError` if it is not there.
    """

    path: Path

    async def modems(self) -> list[dict[str, Any]]:
        """Each modem as JSON: name, port, identity, behaviour, counters, stored, card."""
        answer = await self.request("modems")
        return list(answer["modems"])

    async def modem(self, name: str) -> dict[str, Any]:
        return next(modem for modem in await self.modems() if modem["name"] == name)

    async def set(self, modem: str | None = None, **knobs: object) -> None:
        """Turn knobs of one modem, or of all."""
        await self.request("set", modem, knobs=knobs)

    async def card(self, modem: str, **fields: object) -> None:
        """Change the SIM card in place: `locked`, `pin`, `pin_left`, `puk`, `puk_left`, `absent`."""
        await self.request("card", modem, card=fields)

    async def plug(self, modem: str) -> None:
        await self.request("plug", modem)

    async def unplug(self, modem: str) -> None:
        await self.request("unplug", modem)

    async def reset(self, modem: str) -> None:
        await self.request("reset", modem)

    async def deliver(self, modem: str, sender: str, text: str, parts: list[int] | None = None) -> None:
        """A message from the network; `parts` of a long one: these alone, in this order of arrival."""
        await self.request("deliver", modem, sender=sender, text=text, parts=parts)

    async def messages(self, after: int = 0) -> list[PhoneMessage]:
        """What came to the phone after a revision, oldest first."""
        answer = await self.request("messages", after=after)
        return [PhoneMessage(**message) for message in answer["messages"]]

    async def wait(
        self, receiver: str = "", contains: str = "", *, after: int = 0, within: float = 5.0
    ) -> PhoneMessage:
        """The first message newer than a revision that is to this receiver and contains this text."""
        answer = await self.request(
            "wait", receiver=receiver, contains=contains, after=after, within=within, patience=within
        )
        return PhoneMessage(**answer["message"])

    async def clear(self) -> None:
        """Empty the phone."""
        await self.request("clear")

    async def request(
        self, what: str, modem: str | None = None, *, patience: float = 0.0, **fields: object
    ) -> dict[str, Any]:
        """One request as `control` describes it; `TimeoutError` if no answer comes."""
        line = {"do": what, **({} if modem is None else {"modem": modem}), **fields}
        async with asyncio.timeout(patience + _PATIENCE):
            reader, writer = await asyncio.open_unix_connection(self.path, limit=ANSWER_LIMIT)
            try:
                writer.write(json.dumps(line).encode() + b"\n")
                answer = json.loads(await reader.readline() or b'{"error": "the simulator has gone"}')
            finally:
                writer.close()
        if not answer.get("ok"):
            raise ControlError(answer["error"])
        return dict(answer)
