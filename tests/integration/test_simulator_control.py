"""The control socket, its client, and the links that clients open."""

import asyncio
import json
import socket
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from otpbroker.modem.simulator import (
    ControlClient,
    ControlError,
    ControlServer,
    Phone,
    SimulatedModem,
    identity_of,
)
from pty_terminal import RECEIVER, Terminal


@dataclass(frozen=True, slots=True)
class Bench:
    """Two plugged modems with links, one phone, and the client of their control socket."""

    modems: tuple[SimulatedModem, SimulatedModem]
    phone: Phone
    socket: Path
    control: ControlClient


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    phone = Phone()
    first, second = (SimulatedModem(identity_of(index), phone) for index in (1, 2))
    for modem in (first, second):
        modem.plug(tmp_path / "modems" / modem.name)
    socket = tmp_path / "control"
    async with ControlServer(socket, [first, second], phone):
        yield Bench((first, second), phone, socket, ControlClient(socket))
    for modem in (first, second):
        modem.close()


async def raw(socket: Path, line: bytes) -> dict[str, Any]:
    reader, writer = await asyncio.open_unix_connection(socket)
    writer.write(line)
    answer = json.loads(await asyncio.wait_for(reader.readline(), 5))
    writer.close()
    return dict(answer)


async def test_only_its_owner_may_use_the_socket_and_it_goes_with_the_server(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "control"
    async with ControlServer(path, [], Phone()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


async def test_a_stale_socket_is_in_nobodys_way(tmp_path: Path) -> None:
    path = tmp_path / "control"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))

    async with ControlServer(path, [], Phone()):
        assert await ControlClient(path).modems() == []


async def test_modems_tell_who_and_where_they_are(bench: Bench) -> None:
    first, second = await bench.control.modems()

    assert (first["name"], second["name"]) == ("modem-1", "modem-2")
    assert first["port"] == bench.modems[0].path
    assert first["identity"]["imei"] == bench.modems[0].identity.imei
    assert first["behaviour"]["air"] == 0.0
    assert first["card"] == {"locked": False, "absent": False, "pin_left": 3, "puk_left": 10}


async def test_knobs_of_one_modem_and_of_all(bench: Bench) -> None:
    await bench.control.set("modem-2", air=[0.1, 0.2], next_sends=["lost-ok", "error"])
    await bench.control.set(signal=5)

    assert [modem.behaviour.signal for modem in bench.modems] == [5, 5]
    assert [modem.behaviour.air for modem in bench.modems] == [0.0, (0.1, 0.2)]
    assert (await bench.control.modem("modem-2"))["behaviour"]["next_sends"] == ["lost-ok", "error"]


async def test_counters_are_told(bench: Bench) -> None:
    with Terminal(str(bench.modems[0].path)) as terminal:
        await terminal.send("Kode")
        await terminal.whole("AT+CMGW=20")
    counters = (await bench.control.modem("modem-1"))["counters"]

    assert (counters["cmgs"], counters["cmgw"], counters["commands"]) == (1, 1, 2)
    assert counters["by_name"] == {"+CMGS": 1, "+CMGW": 1}


async def test_the_card_can_be_locked_and_nearly_used_up(bench: Bench) -> None:
    await bench.control.card("modem-1", locked=True, pin="4711", pin_left=1)
    await bench.control.plug("modem-1")
    with Terminal(str(bench.modems[0].path)) as terminal:
        assert "SIM PIN" in await terminal.whole("AT+CPIN?")
        await terminal.whole('AT+CPIN="0000"')
        assert "SIM PUK" in await terminal.whole("AT+CPIN?")

    assert (await bench.control.modem("modem-1"))["card"]["pin_left"] == 0


async def test_the_link_follows_the_modem_from_port_to_port(bench: Bench) -> None:
    link = Path(str(bench.modems[0].path))
    with Terminal(str(link)) as terminal:
        await terminal.whole("AT")
        await bench.control.unplug("modem-1")
        await terminal.hang_up()
        assert not link.is_symlink()  # in memory
        assert (await bench.control.modem("modem-1"))["port"] is None
    await bench.control.plug("modem-1")
    with Terminal(str(link)) as terminal:
        assert "OK" in await terminal.whole("AT")


async def test_a_modem_takes_its_own_link_away_and_no_other(tmp_path: Path) -> None:
    modem = SimulatedModem(identity_of(1), Phone())
    link = tmp_path / "modem-1"
    modem.plug(link)
    link.unlink()
    link.symlink_to("/dev/null")
    modem.close()

    assert str(link.readlink()) == "/dev/null"


async def test_a_modem_is_reset_and_receives(bench: Bench) -> None:
    await bench.control.set("modem-1", boot=0.0)
    with Terminal(str(bench.modems[0].path)) as terminal:
        await bench.control.reset("modem-1")
        await terminal.until("SMS Ready\r\n")
        await terminal.whole("AT+CNMI=2,1")
        await bench.control.deliver("modem-1", "+6281100000000", "Halo")
        await terminal.until('+CMTI: "SM",1\r\n')


async def test_messages_are_waited_for_read_and_cleared(bench: Bench) -> None:
    waiting = asyncio.create_task(bench.control.wait(f"+{RECEIVER}", "123456"))
    with Terminal(str(bench.modems[1].path)) as terminal:
        await terminal.send("Kode 999999")
        await terminal.send("Kode 123456")
    message = await waiting

    assert (message.receiver, message.text, message.modem) == (RECEIVER, "Kode 123456", "modem-2")
    assert [each.text for each in await bench.control.messages()] == ["Kode 999999", "Kode 123456"]
    assert await bench.control.messages(after=message.revision) == []
    await bench.control.clear()
    assert await bench.control.messages() == []


async def test_a_wait_ends_with_its_time_and_with_the_server(tmp_path: Path) -> None:
    control = ControlClient(tmp_path / "control")
    async with ControlServer(control.path, [], Phone()):
        with pytest.raises(ControlError, match="no such message"):
            await control.wait(within=0.01)
        waiting = asyncio.create_task(control.wait(within=30))
        await control.messages()  # by now the wait is there as well
    with pytest.raises(ControlError, match="has gone"):
        await waiting


@pytest.mark.parametrize(
    "line",
    [
        b"{\n",
        b"[]\n",
        b"{}\n",
        b'{"do": "explode"}\n',
        b'{"do": ["set"]}\n',
        b'{"do": "set"}\n',
        b'{"do": "set", "knobs": {"foo": 1}}\n',
        b'{"do": "set", "modem": "modem-9", "knobs": {}}\n',
        b'{"do": "set", "modem": 1, "knobs": {}}\n',
        b'{"do": "card", "card": {"pin_left": "3"}}\n',
        b'{"do": "card", "card": {"foo": 1}}\n',
        b'{"do": "wait", "within": 1e9}\n',
        b'{"do": "wait", "within": "5"}\n',
        b'{"do": "wait", "receiver": 62}\n',
        b'{"do": "messages", "after": "0"}\n',
        b'{"do": "deliver", "sender": "+6281100000000"}\n',
        b'{"do": "deliver", "sender": "+6281100000000", "text": "Halo", "parts": 1}\n',
        b'{"do": "deliver", "sender": "+6281100000000", "text": "Halo", "parts": [0]}\n',
        b"\xff\xfe\n",
    ],
)
async def test_what_is_no_request_is_refused(bench: Bench, line: bytes) -> None:
    answer = await raw(bench.socket, line)

    assert answer["ok"] is False
    assert answer["error"]


async def test_a_refused_request_is_not_the_end(bench: Bench) -> None:
    reader, writer = await asyncio.open_unix_connection(bench.socket)
    writer.write(b'{}\n{"do": "modems"}\n')

    assert json.loads(await reader.readline())["ok"] is False
    assert json.loads(await reader.readline())["ok"] is True
    writer.close()


async def test_an_endless_line_ends_the_connection_alone(bench: Bench) -> None:
    reader, writer = await asyncio.open_unix_connection(bench.socket)
    writer.write(b"x" * 200_000)
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()

    assert len(await bench.control.modems()) == 2


async def test_an_error_does_not_repeat_a_text(bench: Bench) -> None:
    with pytest.raises(ControlError) as refusal:
        await bench.control.deliver("modem-1", "+6281100000000", "secret " * 40, parts=[9])

    assert "secret" not in str(refusal.value)
