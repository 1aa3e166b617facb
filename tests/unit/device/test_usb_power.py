"""How the agent asks for a reset: over a socket, with an answer or without one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from otpbroker.device.usb_power import UsbPowerHelper


@asynccontextmanager
async def helper(path: Path, answer: bytes | None) -> AsyncIterator[list[bytes]]:
    """Answers each request; None: hangs up."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        if answer is not None:
            writer.write(answer)
        writer.close()

    async with await asyncio.start_unix_server(serve, path):
        yield asked


@pytest.mark.parametrize(
    ("answer", "done"),
    [(b"OK\n", True), (b"NO usb-no-modem a keyboard\n", False), (b"OKAY\n", False), (None, False)],
)
async def test_only_its_ok_counts(tmp_path: Path, answer: bytes | None, done: bool) -> None:
    async with helper(tmp_path / "s", answer) as asked:
        usb = UsbPowerHelper(tmp_path / "s")
        assert await usb.reset("1-1.2") is done
        assert await usb.cycle("1-1.2") is done
    assert asked == [b"reset 1-1.2\n", b"cycle 1-1.2\n"]


async def test_where_there_is_no_helper_nothing_can_be_reset(tmp_path: Path) -> None:
    assert await UsbPowerHelper(tmp_path / "s").reset("1-1.2") is False


async def test_a_helper_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    released = asyncio.Event()

    async def hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await released.wait()
        writer.close()

    async with await asyncio.start_unix_server(hang, tmp_path / "s"):
        assert await UsbPowerHelper(tmp_path / "s", patience=0.05).reset("1-1.2") is False
        released.set()
