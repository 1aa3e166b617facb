"""What systemd hears, on a real socket."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from otpbroker.device.service_manager import ServiceManager


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        yield listening


def heard(systemd: socket.socket) -> list[str]:
    messages = []
    while True:
        try:
            messages.append(systemd.recv(100).decode())
        except BlockingIOError:
            return messages


def manager(systemd: socket.socket, **environment: str) -> ServiceManager:
    return ServiceManager({"NOTIFY_SOCKET": systemd.getsockname()} | environment, pid=77)


async def test_ready_is_said_once_it_is_so(systemd: socket.socket) -> None:
    manager(systemd).ready()
    assert heard(systemd) == ["READY=1"]


async def test_the_watchdog_is_fed_twice_in_its_period_until_the_end(systemd: socket.socket) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    watching = asyncio.create_task(manager(systemd, WATCHDOG_USEC="200000", WATCHDOG_PID="77").watch(stop))
    started = loop.time()
    async with asyncio.timeout(10):
        fed = [await loop.sock_recv(systemd, 100) for _ in range(4)]
        assert loop.time() - started >= 0.29  # not at once: three halves of 200 ms
        stop.set()
        await watching
    assert set(fed) == {b"WATCHDOG=1"}
    assert heard(systemd)[-1] == "STOPPING=1"


@pytest.mark.parametrize(
    "environment", [{}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "78"}]
)
async def test_a_watchdog_that_is_not_ours_is_not_fed(systemd: socket.socket, environment: dict[str, str]) -> None:
    stop = asyncio.Event()
    watching = asyncio.create_task(manager(systemd, **environment).watch(stop))
    await asyncio.sleep(0.05)
    stop.set()
    await asyncio.wait_for(watching, 1)
    assert heard(systemd) == ["STOPPING=1"]


async def test_a_name_without_a_file_is_understood() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("")  # any abstract name
        listening.setblocking(False)
        name = listening.getsockname().decode()
        ServiceManager({"NOTIFY_SOCKET": f"@{name[1:]}"}).ready()
        assert heard(listening) == ["READY=1"]


async def test_without_a_manager_nothing_happens() -> None:
    stop = asyncio.Event()
    stop.set()
    alone = ServiceManager({})
    alone.ready()
    await alone.watch(stop)


async def test_a_manager_that_went_away_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()
    assert "did not hear READY=1" in caplog.text
