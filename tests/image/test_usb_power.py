"""Root's helper for modems that hang: it resets the device of a modem for the agent, and touches nothing else."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from card_copy import CardCopy
from machine import Kind, Vm, booted
from test_first_boot import failed_units

MIB = 1 << 20
# Asks for one act; what the helper says, or why it could not be asked.
ASK = """
import socket, sys
with socket.socket(socket.AF_UNIX) as helper:
    helper.settimeout(60)
    try:
        helper.connect("/run/otpbroker-usb-power.socket")
    except PermissionError as refused:
        sys.exit(str(refused))
    helper.sendall(sys.argv[1].encode() + b"\\n")
    print(helper.recv(300).decode().strip())
"""
# As narrow as the agent's own unit where it matters for a socket.
SANDBOX = (
    "systemd-run --quiet --wait --pipe --collect -p User=otpbroker -p Group=otpbroker -p PrivateUsers=yes"
    " -p ProtectSystem=strict -p ProtectKernelTunables=yes -p NoNewPrivileges=yes -p CapabilityBoundingSet="
    " -p 'RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6' -p SystemCallFilter=@system-service"
)


@pytest.fixture
async def port() -> AsyncIterator[str]:
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


async def ask(vm: Vm, request: str) -> str:
    """What the agent's user is told."""
    done = await vm.run(f"{SANDBOX} /usr/bin/python3 - '{request}'", text=ASK, seconds=120)
    return done.output.strip()


async def socket_of(vm: Vm, device: str) -> str:
    """The USB socket of a device by a path below one of its interfaces."""
    return await vm.out(f"readlink -f {device} | tr / '\\n' | grep -xE '[0-9]+-[0-9.]+' | tail -n 1")


async def plug_into_a_hub(vm: Vm, port: str) -> None:
    """A modem on a hub that switches the power of each port, as few do."""
    await vm.qmp("device_add", driver="usb-hub", id="hub", bus="usb.0", port="3", port_power=True)
    line = {"type": "serial", "data": {"device": str(Path(port).resolve())}}
    await vm.qmp("chardev-add", id="modem-line", backend=line)
    await vm.qmp("device_add", driver="usb-serial", id="modem", bus="usb.0", port="3.2", chardev="modem-line")
    await vm.until("test -c /dev/ttyUSB0 && udevadm settle", seconds=60)


async def leaves_and_returns(vm: Vm) -> None:
    """As the kernel told it since the last time."""
    await vm.until("grep ttyUSB0 /run/ttys | grep -q ' add ' && udevadm settle && test -c /dev/ttyUSB0", seconds=60)
    seen = await vm.out("grep ttyUSB0 /run/ttys; : > /run/ttys")
    assert [line.split("]")[1].split()[0] for line in seen.splitlines()] == ["remove", "add"]


async def test_a_modem_is_reset_for_the_agent_and_nothing_else_is(
    card: CardCopy, kind: Kind, port: str, tmp_path: Path
) -> None:
    if kind == "raspi3b":
        pytest.skip("its one USB serial port is the tests' shell")
    disk = tmp_path / "stick.img"
    with disk.open("wb") as file:
        file.truncate(16 * MIB)
    async with booted(card, kind=kind) as vm:
        assert await vm.settled() == "running", await failed_units(vm)

        # The modem leaves, and is back.
        await plug_into_a_hub(vm, port)
        modem = await socket_of(vm, "/sys/class/tty/ttyUSB0/device")
        await vm.run(
            "systemd-run --quiet --unit watch-tty --collect sh -c"
            " 'exec stdbuf -oL udevadm monitor --kernel --subsystem-match=tty >> /run/ttys'"
        )
        await vm.until("grep -q KERNEL /run/ttys", seconds=60)
        for act in ("reset", "cycle"):
            assert await ask(vm, f"{act} {modem}") == "OK"
            await leaves_and_returns(vm)

        # Who else asks, and what else is asked for.
        stranger = await vm.run(f"runuser -u nobody -- python3 - 'reset {modem}'", text=ASK, check=False)
        assert (stranger.code, "Permission denied" in stranger.errors) == (1, True)
        await vm.qmp("device_add", driver="usb-kbd", id="keyboard", bus="usb.0")
        await vm.until("grep -q 03 /sys/bus/usb/devices/*/bInterfaceClass", seconds=60)
        keyboard = await socket_of(vm, "$(dirname $(grep -l 03 /sys/bus/usb/devices/*/bInterfaceClass))/.")
        await vm.plug_stick(disk)
        await vm.until("test -b /dev/sda && udevadm settle", seconds=60)
        stick = await socket_of(vm, "/sys/class/block/sda")
        for socket in (keyboard, stick, modem.rpartition(".")[0]):
            for act in ("reset", "cycle"):
                assert (await ask(vm, f"{act} {socket}")).startswith("NO usb-no-modem"), socket
        assert (await ask(vm, "reset ../../../class/net")).startswith("NO usb-socket-invalid")
        assert (await ask(vm, "reset 1-9")).startswith("NO usb-absent")
        left = await vm.out(
            f"cat /sys/bus/usb/devices/{keyboard}/authorized /sys/bus/usb/devices/{stick}/authorized"
        )
        assert left.split() == ["1", "1"]

        # The helper leaves nothing behind, whatever it was asked for.
        assert await failed_units(vm) == []
        assert await vm.out("systemctl is-active otpbroker-usb-power.socket") == "active"
