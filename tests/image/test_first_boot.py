"""The card in its machine: it boots without a failed unit, and its root takes the whole card."""

import asyncio
import sys
from collections.abc import AsyncIterator

import pytest
from card_copy import CardCopy
from machine import Kind, Vm, booted

KIB = 1024


async def failed_units(vm: Vm) -> list[str]:
    """Their names; what they said goes to the test's output."""
    units = [line.split()[0] for line in (await vm.out("systemctl --failed --plain --no-legend")).splitlines()]
    for unit in units:
        print(await vm.out(f"journalctl --no-pager --boot --unit {unit} | tail -n 20"))
    return units


async def test_it_boots_without_a_failed_unit_and_again(card: CardCopy, kind: Kind) -> None:
    async with booted(card, kind=kind) as vm:
        state = await vm.settled()
        assert await failed_units(vm) == []
        assert state == "running"
        assert (await vm.out("findmnt -no FSTYPE,LABEL /boot/firmware")).split() == ["vfat", "bootfs"]
        assert (await vm.out("findmnt -no FSTYPE,LABEL /")).split() == ["ext4", "rootfs"]
        await vm.reboot()
        await vm.settled()
        assert await failed_units(vm) == []


async def test_every_unit_gets_an_identity_of_its_own(card: CardCopy, kind: Kind) -> None:
    seen = []
    for _ in range(2):
        async with booted(card, kind=kind) as vm:
            await vm.settled()
            seen.append(await vm.out("cat /etc/machine-id"))
    assert len(set(seen)) == 2
    assert all(len(identity) == 32 for identity in seen)


async def test_the_root_grows_to_the_end_of_a_bigger_card(card: CardCopy, kind: Kind) -> None:
    async with booted(card, kind=kind, disk_mib=4096) as vm:
        await vm.settled()
        size = int(await vm.out("df --output=size / | tail -n 1"))
        await vm.run("dmesg | grep -i 'EXT4-fs error' && exit 1 || exit 0")
    assert size > (4096 - 516) * KIB * 0.9


async def test_no_network_reaches_the_machine_but_its_own(card: CardCopy, kind: Kind) -> None:
    """Guards the other tests: what they prove, they prove without the Internet."""
    async with booted(card, kind=kind) as vm:
        await vm.settled()
        done = await vm.run("timeout 5 bash -c '< /dev/tcp/192.0.2.1/80'", check=False)
        assert done.code != 0


@pytest.fixture
async def simulated_port() -> AsyncIterator[str]:
    """The pty of a simulated modem that runs on this host."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "otpbroker", "simulate-modem", "--json", "--with-parent"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 30)
    yield line.decode().split('"ports": ["')[1].split('"')[0]
    process.terminate()
    await process.communicate()


ASK = r"""
import os, sys, termios, time, tty
port = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
tty.setraw(port)
os.write(port, b"AT+CGMI\r")
answer = b""
end = time.monotonic() + 20
while b"OK" not in answer and time.monotonic() < end:
    answer += os.read(port, 100)
print(answer.decode())
"""


async def test_a_modem_that_is_plugged_in_answers_in_the_guest(
    card: CardCopy, kind: Kind, simulated_port: str
) -> None:
    async with booted(card, kind=kind) as vm:
        await vm.settled()
        await vm.plug_modem(simulated_port)
        await vm.until("test -c /dev/ttyUSB0 && udevadm settle", seconds=30)
        answer = await vm.run("python3 - /dev/ttyUSB0", text=ASK, seconds=40)
        assert "OK" in answer.output
        await vm.unplug("modem")
        await vm.until("test ! -e /dev/ttyUSB0", seconds=30)
