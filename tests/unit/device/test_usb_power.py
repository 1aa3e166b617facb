"""How the agent asks for a reset: over a socket, with an answer or without one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from otpbroker.device.usb_power import UsbPowerHelper
from otpbroker.errors import Unavailable


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


async def test_its_ok_is_that_it_was_done(tmp_path: Path) -> None:
    async with helper(tmp_path / "s", b"OK\n") as asked:
        usb = UsbPowerHelper(tmp_path / "s")
        assert await usb.reset("1-1.2")
        assert await usb.cycle("1-1.2")
    assert asked == [b"reset 1-1.2\n", b"cycle 1-1.2\n"]


async def test_what_no_other_time_would_change_can_not_be_done_here(tmp_path: Path) -> None:
    async with helper(tmp_path / "s", b"NO no-port-power the port of 1-1.2 can't be switched\n"):
        assert not await UsbPowerHelper(tmp_path / "s").cycle("1-1.2")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"NO usb-too-often 1-1.2 was reset a moment ago\n", "usb-too-often"),
        (b"NO usb-absent there is nothing in 1-1.2\n", "usb-absent"),
        (b"NO usb-no-modem what is in 1-1.2 has no serial port\n", "usb-no-modem"),  # back as a disk, say
        (b"NO usb-in-use a file system is mounted\n", "usb-in-use"),
        (b"NO usb-failed Input/output error\n", "usb-failed"),
        (b"OKAY\n", "usb-no-answer"),
        (None, "usb-no-answer"),
    ],
)
async def test_all_else_can_not_be_done_now(tmp_path: Path, answer: bytes | None, code: str) -> None:
    async with helper(tmp_path / "s", answer):
        for act in (UsbPowerHelper(tmp_path / "s").reset, UsbPowerHelper(tmp_path / "s").cycle):
            with pytest.raises(Unavailable) as error:
                await act("1-1.2")
            assert error.value.code == code


async def test_where_there_is_no_helper_nothing_can_be_reset(tmp_path: Path) -> None:
    assert await UsbPowerHelper(tmp_path / "s").reset("1-1.2") is False


async def test_a_helper_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    released = asyncio.Event()

    async def hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await released.wait()
        writer.close()

    async with await asyncio.start_unix_server(hang, tmp_path / "s"):
        with pytest.raises(Unavailable, match="no answer"):
            await UsbPowerHelper(tmp_path / "s", patience=0.05).reset("1-1.2")
        released.set()
