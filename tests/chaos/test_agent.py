"""The whole agent by REST: its modems are pulled and reset, and it is killed, while callers send.

The agent is a real process, the modems are another one that goes on.
"""

import asyncio
import itertools
import random
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest

from bench.rig import PASSWORD, USER, Installation, modems
from otpbroker.modem.simulator import ControlClient

SEED = 20261126
EVENTS = 24
KILL_EVERY = 8  # events
MODEMS = ("modem-1", "modem-2", "modem-3")  # the last one is left alone


class Callers:
    """Send one message after the other, whoever is there to take it, and remember what was accepted."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._numbers = itertools.count()
        self.texts: dict[str, str] = {}  # by the message's id

    def client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{self._installation.port}",
            auth=(USER, PASSWORD),
            timeout=70,
            trust_env=False,
        )

    async def send(self) -> None:
        """Until cancelled. What was not accepted is asked for again with the same id, as a good caller does."""
        async with self.client() as client:
            for number in self._numbers:
                text = f"chaos {number:05d}"
                body = {"receiver": f"62812{number:08d}", "text": text, "id": str(number)}
                while True:
                    try:
                        answer = await client.post("/api/v1/messages", json=body)
                    except httpx2.TransportError:  # it was killed
                        await asyncio.sleep(0.05)
                        continue
                    if answer.status_code in {200, 202}:
                        self.texts[str(answer.json()["id"])] = text
                        break
                    assert answer.status_code == 503, answer.text
                    await asyncio.sleep(0.05)
                await asyncio.sleep(0.1)

    async def ends(self) -> dict[str, str]:
        """The final state by text."""
        ends = {}
        async with self.client() as client:
            for message_id, text in self.texts.items():
                for _ in range(2):  # a killed agent's message is listened for no longer than a minute
                    answer = await client.get(f"/api/v1/messages/{message_id}", headers={"Prefer": "wait=50"})
                    if answer.json()["final"]:
                        break
                ends[text] = str(answer.json()["state"])
        return ends


async def put_back(control: ControlClient, modem: str) -> None:
    await control.set(modem, next_sends=[])
    await control.plug(modem)


async def one_event(control: ControlClient, dice: random.Random, out: set[str]) -> None:
    modem = dice.choice(MODEMS[:-1])
    if modem in out:
        await put_back(control, modem)
        out.remove(modem)
        return
    match dice.choice(["pull", "again", "reset", "fall out"]):
        case "pull":
            await control.unplug(modem)
            out.add(modem)
        case "again":
            await control.unplug(modem)
            await control.plug(modem)
        case "reset":
            await control.reset(modem)
        case "fall out":
            await control.set(modem, next_sends=["unplug"])
            out.add(modem)


@pytest.mark.timeout(240)
async def test_pulled_modems_and_a_killed_agent_lose_nothing_and_double_nothing(ram_folder: Path) -> None:
    dice = random.Random(SEED)
    out: set[str] = set()
    async with modems(ram_folder / "simulated", len(MODEMS), air=0.3) as simulated:
        installation = Installation(ram_folder / "agent", simulated.ports)
        callers = Callers(installation)
        await installation.start()
        sending = asyncio.create_task(callers.send())
        for number in range(1, EVENTS + 1):
            await one_event(simulated.control, dice, out)
            await asyncio.sleep(dice.uniform(0.2, 1.0))
            if number % KILL_EVERY == 0:
                await installation.kill()
                await installation.start()
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
        for modem in out:
            await put_back(simulated.control, modem)
        ends = await callers.ends()
        arrived = {message.text: message.copies for message in await simulated.control.messages()}
        await installation.kill()

    states = list(ends.values())
    assert set(states) <= {"sent", "unknown"}
    assert [text for text, state in ends.items() if state == "sent" and text not in arrived] == []
    assert [text for text, copies in arrived.items() if copies > 1] == []
    assert states.count("unknown") <= EVENTS + len(MODEMS) * (EVENTS // KILL_EVERY)
    assert states.count("sent") > 2 * EVENTS
