"""What is measured: each scenario starts its own modems and agent, runs bounded, and gives rows for the table."""

import asyncio
import contextlib
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from bench.bare import BareModem
from bench.client import RestClient
from bench.rig import Installation, Modems, RunningAgent, agent, modems

_RECEIVERS = [f"62812{number:08d}" for number in range(1000)]
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Row:
    """One figure; `good` tells whether it is on the right side of its bound."""

    name: str
    figure: str
    bound: str
    good: bool


def at_most(name: str, value: float, bound: float, unit: str) -> Row:
    return Row(name, f"{value:.2f} {unit}", f"<= {bound:g} {unit}", value <= bound)


def at_least(name: str, value: float, bound: float, unit: str) -> Row:
    return Row(name, f"{value:.2f} {unit}", f">= {bound:g} {unit}", value >= bound)


async def latency(folder: Path, count: int, rounds: int = 300) -> list[Row]:
    """Idle-to-wire: from the first octet of the request to the whole PDU at the modem, one message at a time.

    The bare loop goes first on the same kind of modem, then REST with authentication through the agent.
    """
    async with modems(folder, count, air=0.0) as simulated:
        bare = BareModem(simulated.ports[0])
        await bare.start()
        alone = await _to_wire(simulated, rounds, bare.send)
        bare.close()
        async with agent(folder / "agent", simulated.ports) as running, RestClient(running.port) as client:
            await _ready(client, count)
            through = await _to_wire(simulated, rounds, lambda number, text: _sent(client, number, text))
    more = {q: _quantile(through, q) - _quantile(alone, q) for q in (50, 99)}
    kind = f"idle to wire, {count} modem{'s' if count > 1 else ''}"
    return [
        Row(f"{kind}: bare loop p50 / p99", _pair(alone), "", good=True),
        Row(f"{kind}: agent p50 / p99", _pair(through), "", good=True),
        at_most(f"{kind}: more at p50", more[50] * 1000, 3, "ms"),
        at_most(f"{kind}: more at p99", more[99] * 1000, 15, "ms"),
    ]


async def throughput(folder: Path, count: int, air: float, seconds: float, share: float) -> list[Row]:
    """Messages a second through `count` modems with this air time, as a share of what the air allows.

    Bare loops go first on the same modems, one each.
    """
    async with modems(folder, count, air) as simulated:
        alone = await bare_load(simulated, seconds / 3)
        async with agent(folder / "agent", simulated.ports) as running:
            async with RestClient(running.port) as client:
                await _ready(client, count)
            sent, lasted = await _load(running, clients=count * 2, seconds=seconds)
    ceiling = count / air
    rate = sent / lasted
    name = f"{count} modems, {air:g} s air"
    return [
        Row(f"{name}: bare loops / agent, messages/s of {ceiling:g}", f"{alone:.1f} / {rate:.1f}", "", good=True),
        Row(f"{name}: agent to bare loops", f"{rate / alone:.3f}", "", good=True),
        at_least(f"{name}: share of the air", 100 * rate / ceiling, 100 * share, "%"),
    ]


async def one_hung(
    folder: Path, count: int = 8, air: float = 0.5, seconds: float = 33, share: float = 0.97
) -> list[Row]:
    """What the others carry while one modem takes every octet and says nothing: as much as they do without it."""
    name = f"{count} modems with one hung, {air:g} s air"
    hung = f"modem-{count}"
    rates = []
    async with modems(folder, count, air) as simulated:
        for ports in (simulated.ports[:-1], simulated.ports):
            async with agent(folder / f"agent-{len(ports)}", ports) as running:
                async with RestClient(running.port) as client:
                    await _ready(client, len(ports))
                await simulated.control.set(hung, silent=True)  # in the first round nobody listens to it
                rates.append(await _rate_of_others(simulated, running, hung, clients=count * 2, seconds=seconds))
                await simulated.control.set(hung, silent=False)
    alone, beside = rates
    return [
        Row(f"{name}: messages/s of the others, alone / beside it", f"{alone:.2f} / {beside:.2f}", "", good=True),
        at_least(f"{name}: the others keep of their share", 100 * beside / alone, 100 * share, "%"),
    ]


async def cost(folder: Path, count: int = 8, seconds: float = 10) -> list[Row]:
    """Start, speed and processor cost with no air time at all, memory after the load, and cost at rest."""
    async with modems(folder, count, air=0.0) as simulated:
        async with agent(folder / "warm", simulated.ports):
            pass  # the first start reads the program from the disk
        async with agent(folder / "agent", simulated.ports) as running:
            listening = time.perf_counter()
            async with RestClient(running.port) as client:
                await _sent(client, _RECEIVERS[0], f"first {next(_numbers)}")
                first = running.started + time.perf_counter() - listening
                await _ready(client, count)
            await _load(running, clients=16, seconds=1)
            before = running.cpu()
            sent, lasted = await _load(running, clients=16, seconds=seconds)
            spent = running.cpu() - before
            resident = running.resident()
            await asyncio.sleep(2)
            idle, idle_seconds = running.cpu(), 65.0  # with a heartbeat of every modem
            await asyncio.sleep(idle_seconds)
            idle = running.cpu() - idle
    return [
        at_least(f"{count} modems, no air time: messages/s", sent / lasted, 400, "/s"),
        at_most("processor time for 1000 messages", 1000 * spent / sent, 2, "s"),
        at_most("resident memory after the load", resident, 80, "MiB"),
        at_most(f"processor at rest over {idle_seconds:g} s", 100 * idle / idle_seconds, 0.3, "%"),
        at_most("start until REST listens, warm", running.started, 1.5, "s"),
        at_most("start until the first message was sent, warm", first, 1.5, "s"),
    ]


async def restart(folder: Path, rounds: int = 5) -> list[Row]:
    """SIGKILL with messages in the air and waiting: from the new start to the first message on a phone."""
    times = []
    async with modems(folder, 2, air=0.3) as simulated:
        installation = Installation(folder / "agent", simulated.ports)
        for _ in range(rounds):
            running = await installation.start()
            callers = [asyncio.create_task(_abandoned(running.port, number)) for number in range(12)]
            await asyncio.sleep(1.0)  # some are sent, two are in the air, the others wait
            await installation.kill()
            await asyncio.gather(*callers)
            seen = await simulated.control.messages()
            started = time.perf_counter()
            await installation.start()
            await simulated.control.wait(after=seen[-1].revision)
            times.append(time.perf_counter() - started)
            await installation.stop()
    return [at_most(f"kill -9 under load: first message after the restart, worst of {rounds}", max(times), 2, "s")]


async def _abandoned(port: int, number: int) -> None:
    """A caller whose agent dies."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        async with RestClient(port) as client:
            await client.send(_RECEIVERS[number], f"OTP {next(_numbers):08d}")


async def _to_wire(simulated: Modems, rounds: int, send: Callable[[str, str], Awaitable[None]]) -> list[float]:
    """Seconds from the call of `send` until the modem has the PDU, for each of `rounds` messages."""
    times = []
    await simulated.control.clear()
    for number in range(rounds):
        text = f"OTP {next(_numbers):08d}"
        start = time.time()
        await send(_RECEIVERS[number % len(_RECEIVERS)], text)
        message = await simulated.control.wait(contains=text)
        times.append(message.at - start)
    return times


async def _sent(client: RestClient, number: str, text: str) -> None:
    code = await client.send(number, text)
    if code != "0000":
        raise RuntimeError(f"the agent answered {code}")


async def _ready(client: RestClient, count: int) -> None:
    """Until the modems take messages: the agent makes the first ones wait, so one each is enough."""
    for number in range(count):
        await _sent(client, _RECEIVERS[number], f"warm {next(_numbers)}")


async def bare_load(simulated: Modems, seconds: float) -> float:
    """Messages a second that bare loops send, one on each modem."""
    end = time.perf_counter() + seconds

    async def loop(port: str) -> int:
        bare = BareModem(port)
        await bare.start()
        sent = 0
        while time.perf_counter() < end:
            await bare.send(_RECEIVERS[sent % len(_RECEIVERS)], f"OTP {next(_numbers):08d}")
            sent += 1
        bare.close()
        return sent

    start = time.perf_counter()
    sent = sum(await asyncio.gather(*map(loop, simulated.ports)))
    return sent / (time.perf_counter() - start)


async def _load(running: RunningAgent, clients: int, seconds: float) -> tuple[int, float]:
    """Messages that were sent in about `seconds` by so many callers, each waiting for its answer."""
    end = time.perf_counter() + seconds

    async def caller(number: int) -> int:
        sent = 0
        async with RestClient(running.port) as client:
            while time.perf_counter() < end:
                receiver = _RECEIVERS[(number * 37 + sent) % len(_RECEIVERS)]
                await _sent(client, receiver, f"OTP {next(_numbers):08d}")
                sent += 1
        return sent

    start = time.perf_counter()
    sent = sum(await asyncio.gather(*map(caller, range(clients))))
    return sent, time.perf_counter() - start


async def _rate_of_others(
    simulated: Modems, running: RunningAgent, but: str, *, clients: int, seconds: float
) -> float:
    """Messages a second that came by all modems but one, without the first three seconds and what ends the load."""
    await simulated.control.clear()
    begin, end = time.time() + 3, time.time() + seconds
    await _load(running, clients=clients, seconds=seconds)
    came = [
        message
        for message in await simulated.control.messages()
        if message.modem != but and begin <= message.at < end
    ]
    return len(came) / (end - begin)


def _quantile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


def _pair(values: list[float]) -> str:
    return f"{_quantile(values, 50) * 1000:.2f} / {_quantile(values, 99) * 1000:.2f} ms"
