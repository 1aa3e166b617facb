"""Sticks that come, go and change places in the running machine: udev, netlink and the service's sandbox are real.

QEMU's serial adapters stand for the sticks: they are opened because modems name their sockets.
"""

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from card_copy import CardCopy
from machine import Kind, Vm, booted
from test_first_boot import failed_units

from otpbroker.modem.simulator import ControlClient, identity_of

LEFT, RIGHT = identity_of(1), identity_of(2)


@dataclass(frozen=True, slots=True)
class Simulated:
    ports: tuple[str, str]
    control: ControlClient


@pytest.fixture
async def modems(tmp_path: Path) -> AsyncIterator[Simulated]:
    """Two GSM modems on this host."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "otpbroker", "simulate-modem", "--json", "--with-parent", "--air", "0.2"),
        *("--count", "2", "--dir", str(tmp_path / "modems"), "--control", str(tmp_path / "control")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    told = json.loads((await asyncio.wait_for(process.stdout.readline(), 30)).removeprefix(b"READY "))
    first, second = told["ports"]
    yield Simulated((first, second), ControlClient(Path(told["control"])))
    process.terminate()
    await process.communicate()


async def test_modems_are_found_again_by_their_sims_in_whatever_socket(
    card: CardCopy, kind: Kind, modems: Simulated
) -> None:
    if kind == "raspi3b":
        pytest.skip("its one USB serial port is the tests' shell")
    first, second = modems.ports
    async with booted(card, kind=kind) as vm:
        assert await vm.settled() == "running", await failed_units(vm)
        unit = Unit(vm, await api_key(vm))

        await vm.plug_modem(first, "a", socket=1)
        await vm.plug_modem(second, "b", socket=2)
        sockets = await adapters(vm)
        await asyncio.sleep(5)  # far longer than it takes to be asked
        taken = [modem["counters"]["octets_taken"] for modem in await modems.control.modems()]
        assert taken == [0, 0], "what may be anything was opened"

        lines = (
            f"  - {{id: {name}, usb: {socket}, imei: '{who.imei}', iccid: '{who.iccid}'}}\n"
            for name, socket, who in zip(("left", "right"), sockets, (LEFT, RIGHT), strict=True)
        )
        await vm.run("cat >> /var/lib/otpbroker/config.yaml", text="modems:\n" + "".join(lines))
        await vm.run("otpbroker check-config && systemctl reload otpbroker")
        await unit.until({"left": "ready", "right": "ready"})
        await sent_by(unit, modems, {"left": LEFT.name, "right": RIGHT.name})

        for name in ("a", "b"):
            await vm.unplug(name)
        await unit.until({"left": "absent", "right": "absent"})
        await vm.plug_modem(second, "b", socket=1)  # socket and ttyUSB0 were the other one's
        await vm.plug_modem(first, "a", socket=2)
        seconds = await unit.until({"left": "ready", "right": "ready"})
        print(f"ready {seconds:.1f} s after they were plugged in")
        await sent_by(unit, modems, {"left": LEFT.name, "right": RIGHT.name})

        log = await vm.out("journalctl --no-pager --boot --unit otpbroker")
        assert "modems are found by their configured port only" not in log
        assert "Traceback" not in log


async def adapters(vm: Vm) -> list[str]:
    """The sockets of both, in the order of the controller's ports."""
    listed = await vm.until(
        "cd /sys/bus/usb/devices && [ $(ls -d *:1.0/ttyUSB* | wc -l) = 2 ]"
        " && for port in *:1.0/ttyUSB*; do echo ${port%%:*}; done"
    )
    return sorted(listed.split())


async def api_key(vm: Vm) -> str:
    password = await vm.out("otpbroker add-api-user shop --generate 2>/dev/null")
    await vm.run("systemctl reload otpbroker")
    return base64.b64encode(f"shop:{password}".encode()).decode()


class Unit:
    """What an application server hears of it."""

    def __init__(self, vm: Vm, key: str) -> None:
        self._vm = vm
        self._key = key

    async def ask(self, path: str, body: object = None) -> dict[str, object]:
        script = f"""
import json, time, urllib.error, urllib.request
head = {{"Authorization": "Basic {self._key}", "Content-Type": "application/json", "Prefer": "wait=30"}}
body = {json.dumps(json.dumps(body))}
data = None if body == "null" else body.encode()
asked = urllib.request.Request("http://127.0.0.1:8889/api/v1/{path}", data, head)
for _ in range(40):
    try:
        print(urllib.request.urlopen(asked, timeout=60).read().decode())
        break
    except urllib.error.HTTPError as refused:
        if refused.code != 401:  # the account is known when the reload is over
            raise
        time.sleep(0.5)
"""
        told = await self._vm.run("python3 -", text=script, seconds=120)
        return dict(json.loads(told.output))

    async def states(self) -> dict[str, str]:
        told = await self.ask("modems")
        modems = told["modems"]
        assert isinstance(modems, list)
        return {modem["id"]: modem["state"] for modem in modems}

    async def until(self, wanted: dict[str, str]) -> float:
        """Wait until the modems are in these states; seconds."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.timeout(90):
            while (states := await self.states()) != wanted:
                print(states)
                await asyncio.sleep(0.5)
        return loop.time() - began


async def sent_by(unit: Unit, modems: Simulated, wanted: dict[str, str]) -> None:
    """A message by each of these modems of the unit leaves by that simulated one."""
    for modem_id, name in wanted.items():
        before = len(await modems.control.messages())
        body = {"receiver": "081234567890", "text": f"by {modem_id}, number {before}", "modem_id": modem_id}
        assert (await unit.ask("messages", body))["state"] == "sent"
        (message,) = (await modems.control.messages())[before:]
        assert message.modem == name
