"""Finding a modem by its IMEI or its USB socket among the ports."""

import asyncio

import pytest
from scripted_modem import IMEI, ScriptedModem

from otpbroker.config.model import ModemSection
from otpbroker.errors import Unavailable
from otpbroker.modem.link import CandidatePort
from otpbroker.modem.locate import Locator
from virtual_run import in_virtual_time, now

OTHER = "490154203237518"
SOCKETS = {"/dev/c": "1-1.2", "/dev/d": "1-1.2"}
WANTED = ModemSection(id="m", imei=IMEI)


class Ports:
    """The system's ports: a modem, or None for one that is busy."""

    def __init__(self, there: dict[str, ScriptedModem | None], taken: frozenset[str] = frozenset()) -> None:
        self.there = there
        self.opened: list[str] = []
        candidates = tuple(CandidatePort(path, SOCKETS.get(path, "")) for path in there)
        self.locator = Locator(self._connect, lambda: candidates, lambda: taken)

    async def _connect(self, port: str, _section: ModemSection) -> ScriptedModem:
        self.opened.append(port)
        await asyncio.sleep(0.1)
        modem = self.there[port]
        if modem is None:
            raise Unavailable("port-busy", f"{port} is used")
        return modem


def deaf() -> ScriptedModem:
    return ScriptedModem({"AT": None})


def modem_with(imei: str) -> ScriptedModem:
    return ScriptedModem({"AT+CGSN": f"{imei}\r\nOK"})


@in_virtual_time
async def test_a_configured_port_is_taken_as_it_is() -> None:
    ports = Ports({})
    assert await ports.locator.port_of(ModemSection(id="m", port="/dev/ttyS0", imei=IMEI)) == "/dev/ttyS0"
    assert ports.opened == []


@in_virtual_time
async def test_the_port_that_answers_with_the_imei_is_found_and_closed_again() -> None:
    there = {"/dev/a": None, "/dev/b": deaf(), "/dev/c": modem_with(OTHER), "/dev/d": modem_with(IMEI)}
    ports = Ports(there)
    assert await ports.locator.port_of(WANTED) == "/dev/d"
    assert ports.opened == ["/dev/a", "/dev/b", "/dev/c", "/dev/d"]
    assert all(modem.closed for modem in there.values() if modem is not None)


@in_virtual_time
async def test_the_last_digits_of_an_imei_do_not_count() -> None:
    ports = Ports({"/dev/a": modem_with(IMEI[:14] + "07")})
    assert await ports.locator.port_of(WANTED) == "/dev/a"


@in_virtual_time
async def test_ports_of_other_modems_are_never_opened() -> None:
    ports = Ports({"/dev/a": modem_with(IMEI), "/dev/b": modem_with(OTHER)}, taken=frozenset({"/dev/a"}))
    with pytest.raises(Unavailable) as problem:
        await ports.locator.port_of(WANTED)
    assert problem.value.code == "modem-absent"
    assert ports.opened == ["/dev/b"]


@in_virtual_time
async def test_a_port_that_does_not_speak_costs_seconds_only() -> None:
    ports = Ports({"/dev/a": deaf()})
    began = now()
    with pytest.raises(Unavailable):
        await ports.locator.port_of(WANTED)
    assert now() - began < 4


@in_virtual_time
async def test_where_it_was_is_asked_first() -> None:
    there = {"/dev/a": modem_with(OTHER), "/dev/b": modem_with(IMEI)}
    ports = Ports(there)
    await ports.locator.port_of(WANTED)
    ports.opened.clear()
    assert await ports.locator.port_of(WANTED) == "/dev/b"
    assert ports.opened == ["/dev/b"]


@in_virtual_time
async def test_searches_take_turns() -> None:
    ports = Ports({"/dev/a": modem_with(OTHER), "/dev/b": modem_with(IMEI)})
    first = asyncio.create_task(ports.locator.port_of(WANTED))
    second = asyncio.create_task(ports.locator.port_of(ModemSection(id="n", imei=OTHER)))
    assert (await first, await second) == ("/dev/b", "/dev/a")
    assert ports.opened == ["/dev/a", "/dev/b", "/dev/a"]


@in_virtual_time
async def test_in_a_usb_socket_the_port_that_speaks_at_is_found() -> None:
    ports = Ports({"/dev/a": modem_with(OTHER), "/dev/c": deaf(), "/dev/d": modem_with(IMEI)})
    assert await ports.locator.port_of(ModemSection(id="m", usb="1-1.2")) == "/dev/d"
    assert ports.opened == ["/dev/c", "/dev/d"]


@in_virtual_time
async def test_another_modem_in_the_right_socket_is_not_the_one() -> None:
    ports = Ports({"/dev/d": modem_with(OTHER)})
    with pytest.raises(Unavailable) as problem:
        await ports.locator.port_of(ModemSection(id="m", usb="1-1.2", imei=IMEI))
    assert problem.value.code == "modem-absent"
