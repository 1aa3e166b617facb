"""`otpbroker simulate-modem` as its users run it: a process that says READY, serves, and leaves nothing behind."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from otpbroker.modem.simulator import ControlClient
from pty_terminal import RECEIVER, Terminal


@dataclass(slots=True)
class Simulator:
    """A running process and what it said when it was ready."""

    process: asyncio.subprocess.Process
    ports: list[str]
    control: ControlClient
    phone_url: str | None

    async def ended(self) -> int:
        return await asyncio.wait_for(self.process.wait(), 10)


Start = Callable[..., Awaitable[Simulator]]


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def spawn(*arguments: str | Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "otpbroker", "simulate-modem", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    processes: list[asyncio.subprocess.Process] = []

    async def start(*arguments: str | Path) -> Simulator:
        process = await spawn("--json", *arguments)
        processes.append(process)
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 30)
        assert line.startswith(b"READY ")
        told = json.loads(line.removeprefix(b"READY "))
        return Simulator(process, told["ports"], ControlClient(Path(told["control"])), told["phone_url"])

    yield start
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_it_serves_as_many_modems_as_wanted(start: Start, tmp_path: Path) -> None:
    simulator = await start("--count", "3", "--dir", tmp_path / "modems", "--air", "0", "--latency", "0.01")

    assert simulator.ports == [str(tmp_path / "modems" / f"modem-{number}") for number in (1, 2, 3)]
    assert simulator.phone_url is None
    with Terminal(simulator.ports[2]) as terminal:
        assert (await terminal.send("Kode 123456"))[-1] == "OK"
    message = await simulator.control.wait(RECEIVER)
    assert (message.text, message.modem) == ("Kode 123456", "modem-3")
    assert (await simulator.control.modem("modem-1"))["behaviour"]["latency"] == 0.01


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_and_nothing_is_left(start: Start, tmp_path: Path, number: int) -> None:
    simulator = await start("--dir", tmp_path / "modems", "--control", tmp_path / "control", "--phone-port", "0")
    assert (tmp_path / "control").exists()
    simulator.process.send_signal(number)

    assert await simulator.ended() == 0
    assert names_in(tmp_path) == []


async def test_without_a_folder_it_makes_one_and_takes_it_away(start: Start) -> None:
    simulator = await start()
    folder = Path(simulator.ports[0]).parent
    assert folder.is_dir()
    simulator.process.terminate()
    await simulator.ended()

    assert not folder.exists()


async def test_it_ends_with_its_parent_if_asked_to(start: Start, tmp_path: Path) -> None:
    simulator = await start("--dir", tmp_path, "--with-parent")
    assert simulator.process.stdin is not None
    simulator.process.stdin.close()

    assert await simulator.ended() == 0
    assert names_in(tmp_path) == []


async def test_otherwise_the_end_of_its_input_means_nothing(start: Start, tmp_path: Path) -> None:
    simulator = await start("--dir", tmp_path)
    assert simulator.process.stdin is not None
    simulator.process.stdin.close()

    assert len(await simulator.control.modems()) == 1


async def test_the_folder_of_others_stays(start: Start, tmp_path: Path) -> None:
    (tmp_path / "theirs").touch()
    simulator = await start("--dir", tmp_path)
    simulator.process.terminate()
    await simulator.ended()

    assert names_in(tmp_path) == ["theirs"]


async def test_a_new_one_takes_over_from_one_that_was_killed(start: Start, tmp_path: Path) -> None:
    killed = await start("--dir", tmp_path)
    killed.process.kill()
    await killed.ended()
    again = await start("--dir", tmp_path)

    with Terminal(again.ports[0]) as terminal:
        assert "OK" in await terminal.whole("AT")


async def test_the_phone_page_ends_with_it_though_somebody_watches(start: Start) -> None:
    simulator = await start("--phone-port", "0", "--air", "0")
    assert simulator.phone_url is not None
    with Terminal(simulator.ports[0]) as terminal:
        await terminal.send("Kode 123456")
    async with httpx2.AsyncClient(base_url=simulator.phone_url, timeout=10) as client:
        assert "Kode 123456" in (await client.get("/")).text
        async with client.stream("GET", "/events") as stream:
            lines = stream.aiter_lines()
            while await anext(lines) != "event: revision":
                pass
            simulator.process.terminate()
            assert await simulator.ended() == 0


async def test_it_says_nothing_of_what_is_sent(start: Start, tmp_path: Path) -> None:
    simulator = await start("--dir", tmp_path, "--air", "0", "--phone-port", "0")
    with Terminal(simulator.ports[0]) as terminal:
        await terminal.send("Kode 123456")
    simulator.process.terminate()
    output, errors = await simulator.process.communicate()

    assert b"Kode" not in output + errors
    assert b"123456" not in output + errors
    assert RECEIVER.encode() not in output + errors


@pytest.mark.parametrize(
    "arguments",
    [("--count", "0"), ("--count", "1000"), ("--air", "-1"), ("--latency", "nan"), ("--phone-port", "99999")],
)
async def test_wrong_arguments_are_refused_with_a_reason(arguments: tuple[str, ...], tmp_path: Path) -> None:
    process = await spawn("--dir", tmp_path, *arguments)
    _, errors = await asyncio.wait_for(process.communicate(), 30)

    assert process.returncode == 2
    assert f"argument {arguments[0]}: ".encode() in errors
    assert names_in(tmp_path) == []


async def test_people_are_told_the_ports(tmp_path: Path) -> None:
    process = await spawn("--dir", tmp_path, "--count", "2", "--phone-port", "0")
    assert process.stdout is not None
    lines = [(await asyncio.wait_for(process.stdout.readline(), 30)).decode() for _ in range(4)]
    process.terminate()
    await process.communicate()

    assert lines[0].startswith(f"modem-1    {tmp_path}/modem-1")
    assert lines[2].split() == ["control", f"{tmp_path}/control"]
    assert lines[3].startswith("phone      http://127.0.0.1:")
