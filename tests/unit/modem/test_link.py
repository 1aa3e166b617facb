"""The serial link on real pseudo-terminals."""

import asyncio
import os
import pty
import termios
import time
import tty
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx

from otpbroker.config.model import ModemSection
from otpbroker.errors import Misconfigured, Unavailable
from otpbroker.modem.link import OUTPUT_LIMIT, SerialLink


class Terminal:
    """Both ends of a pty: `master` is the modem's."""

    def __init__(self) -> None:
        self.master, slave = pty.openpty()
        tty.setraw(slave)
        os.set_blocking(self.master, False)
        self.path = os.ttyname(slave)
        self._slave: int | None = slave

    def unplug(self) -> None:
        if self._slave is not None:
            os.close(self._slave)
            os.close(self.master)
            self._slave = None


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.unplug()


class Received:
    def __init__(self) -> None:
        self.data = b""
        self.lost: list[str] = []
        self.news = asyncio.Event()

    def on_data(self, data: bytes) -> None:
        self.data += data
        self.news.set()

    def on_lost(self, reason: str) -> None:
        self.lost.append(reason)
        self.news.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.data) < count and not self.lost:
                self.news.clear()
                await self.news.wait()

    async def until_lost(self) -> None:
        async with asyncio.timeout(5):
            while not self.lost:
                self.news.clear()
                await self.news.wait()


@pytest.fixture
async def link(terminal: Terminal) -> AsyncIterator[SerialLink]:
    link = await SerialLink.open(terminal.path, section())
    yield link
    await link.close()


def section(**parameters: object) -> ModemSection:
    return ModemSection.model_validate({"id": "m", "port": "/dev/x", **parameters})


def attributes(terminal: Terminal) -> list[int]:
    assert terminal._slave is not None
    return termios.tcgetattr(terminal._slave)


async def read_all(terminal: Terminal, count: int) -> bytes:
    data = b""
    async with asyncio.timeout(5):
        while len(data) < count:
            try:
                data += os.read(terminal.master, 65536)
            except BlockingIOError:
                await asyncio.sleep(0.001)
    return data


async def test_octets_pass_both_ways_unchanged(terminal: Terminal, link: SerialLink) -> None:
    received = Received()
    with blockbuster_ctx():
        link.start(received.on_data, received.on_lost)
        every_octet = bytes(range(256))
        link.write(every_octet)
        assert await read_all(terminal, 256) == every_octet
        os.write(terminal.master, every_octet)
        await received.until(256)
    assert received.data == every_octet


async def test_what_waited_in_the_input_when_the_port_was_opened_is_read(terminal: Terminal) -> None:
    os.write(terminal.master, b"\r\n+CMGS: 7\r\n\r\nOK\r\n")
    link = await SerialLink.open(terminal.path, section())
    received = Received()
    link.start(received.on_data, received.on_lost)
    await received.until(18)
    assert received.data == b"\r\n+CMGS: 7\r\n\r\nOK\r\n"
    await link.close()


@pytest.mark.parametrize(
    ("parameters", "flags", "mask"),
    [
        ({"stop_bits": 1}, 0, termios.CSTOPB),
        ({"stop_bits": 2}, termios.CSTOPB, termios.CSTOPB),
        ({"flow_control": "none"}, 0, termios.CRTSCTS),
        ({"flow_control": "rts-cts"}, termios.CRTSCTS, termios.CRTSCTS),
    ],
)
async def test_line_settings_reach_the_port(
    terminal: Terminal, parameters: dict[str, object], flags: int, mask: int
) -> None:
    link = await SerialLink.open(terminal.path, section(**parameters))
    assert attributes(terminal)[2] & mask == flags
    await link.close()


@pytest.mark.parametrize(("flow", "on"), [("xon-xoff", True), ("none", False)])
async def test_software_flow_control_reaches_the_port(terminal: Terminal, flow: str, on: bool) -> None:
    link = await SerialLink.open(terminal.path, section(flow_control=flow))
    assert bool(attributes(terminal)[0] & (termios.IXON | termios.IXOFF)) is on
    await link.close()


@pytest.mark.parametrize(("rate", "constant"), [(9600, termios.B9600), (115200, termios.B115200)])
async def test_the_baud_rate_reaches_the_port(terminal: Terminal, rate: int, constant: int) -> None:
    link = await SerialLink.open(terminal.path, section(baud_rate=rate))
    assert attributes(terminal)[4:6] == [constant, constant]
    await link.close()


@pytest.mark.parametrize("parity", "NOEMS")
@pytest.mark.parametrize("bits", [7, 8])
async def test_every_parity_and_word_length_opens(terminal: Terminal, parity: str, bits: int) -> None:
    # A pty has no wire: the kernel keeps 8N on it whatever is asked.
    link = await SerialLink.open(terminal.path, section(parity=parity, data_bits=bits))
    await link.close()


async def test_a_port_has_one_owner(terminal: Terminal, link: SerialLink) -> None:
    with pytest.raises(Unavailable) as problem:
        await SerialLink.open(terminal.path, section())
    assert problem.value.code == "port-busy"
    await link.close()
    again = await SerialLink.open(terminal.path, section())
    await again.close()


async def test_a_port_that_is_not_there_is_told_as_such() -> None:
    with pytest.raises(Unavailable) as problem:
        await SerialLink.open("/dev/ttyUSB-nowhere", section())
    assert problem.value.code == "port-absent"


async def test_a_file_is_no_port(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(Misconfigured):
        await SerialLink.open(str(file), section())


async def test_unplugging_is_told_once(terminal: Terminal, link: SerialLink) -> None:
    received = Received()
    link.start(received.on_data, received.on_lost)
    terminal.unplug()
    await received.until_lost()
    link.write(b"AT\r")
    await link.close()
    await asyncio.sleep(0)
    assert received.lost == ["hang-up"]


async def test_a_modem_that_takes_nothing_is_lost_and_closing_does_not_wait(
    terminal: Terminal, link: SerialLink
) -> None:
    received = Received()
    link.start(received.on_data, received.on_lost)
    for _ in range(40):
        link.write(b"x" * (OUTPUT_LIMIT // 8))
    await received.until_lost()
    assert len(received.lost) == 1
    began = time.monotonic()
    await link.close()
    assert time.monotonic() - began < 1


async def test_output_waits_for_a_slow_modem_and_stays_in_order(terminal: Terminal, link: SerialLink) -> None:
    received = Received()
    link.start(received.on_data, received.on_lost)
    sent = b"".join(b"%05d" % number for number in range(3000))
    for start in range(0, len(sent), 1000):
        link.write(sent[start : start + 1000])
    assert await read_all(terminal, len(sent)) == sent
    assert received.lost == []


async def test_after_closing_nothing_is_read_or_written(terminal: Terminal, link: SerialLink) -> None:
    received = Received()
    link.start(received.on_data, received.on_lost)
    await link.close()
    link.write(b"AT\r")
    with pytest.raises(BlockingIOError):  # our own slave keeps the pty open: there is just nothing to read
        os.read(terminal.master, 10)
    assert received.data == b""
    assert received.lost == []
