"""Virtual machines that boot an image: QEMU without acceleration, driven by QMP and by the shell in the guest."""

import asyncio
import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from card_copy import CardCopy
from guest_shell import GuestShell, Result
from qmp import Qmp

from bench.ports import free_port
from image.layout import MIB

Kind = Literal["q35", "virt", "raspi3b"]


@dataclass(frozen=True, slots=True)
class Hardware:
    """What differs between the machines; `patience` is in seconds, for a boot on a busy host."""

    program: str
    options: tuple[str, ...]
    console: str
    patience: float
    pci: bool = True
    device_tree: str | None = None


HARDWARE: dict[Kind, Hardware] = {
    "q35": Hardware("qemu-system-x86_64", ("-M", "q35"), "ttyS0,115200", 240),
    "virt": Hardware("qemu-system-aarch64", ("-M", "virt", "-cpu", "cortex-a72"), "ttyAMA0", 420),
    "raspi3b": Hardware(
        "qemu-system-aarch64",
        ("-M", "raspi3b"),
        # Its watchdog counts the host's seconds, of which an emulated start takes too many.
        "ttyS1,115200 systemd.watchdog_sec=0",
        900,
        pci=False,
        device_tree="bcm2837-rpi-3-b.dtb",
    ),
}
# Where the guest's shell listens: raspi3b has neither virtio nor a serial port to spare, so it gets one by USB.
SHELL_DEVICE: dict[Kind, str] = {
    "q35": "/dev/virtio-ports/test.shell",
    "virt": "/dev/virtio-ports/test.shell",
    "raspi3b": "/dev/ttyUSB0",
}


@dataclass(slots=True)
class Vm:
    """A running machine. `run` is a command in the guest, `qmp` one to QEMU, `port` the host's for one of its."""

    folder: Path
    disk: Path
    process: asyncio.subprocess.Process
    monitor: Qmp
    shell: GuestShell
    ports: dict[int, int]
    patience: float
    _free: list[Path] = field(default_factory=list)

    async def run(self, command: str, *, text: str = "", seconds: float = 60, check: bool = True) -> Result:
        return await self.shell.run(command, text=text, seconds=seconds, check=check)

    async def out(self, command: str, *, seconds: float = 60) -> str:
        """The output of a command that must succeed, without the last line end."""
        return (await self.run(command, seconds=seconds)).output.rstrip("\n")

    async def qmp(self, command: str, **arguments: Any) -> Any:
        return await self.monitor.execute(command, **arguments)

    def port(self, guest_port: int) -> int:
        return self.ports[guest_port]

    def console(self) -> str:
        """What the kernel and the units wrote to the serial console."""
        return (self.folder / "console.log").read_text(errors="replace")

    async def settled(self, seconds: float | None = None) -> str:
        """Wait until the boot is over: `running` or `degraded` (or another word of systemctl is-system-running)."""
        done = await self.run("systemctl is-system-running --wait", seconds=seconds or self.patience, check=False)
        return done.output.strip()

    async def until(self, command: str, *, seconds: float = 30) -> str:
        """Repeat a command until it succeeds; its output then."""
        async with asyncio.timeout(seconds):
            while True:
                done = await self.run(command, check=False)
                if done.code == 0:
                    return done.output.rstrip("\n")
                await asyncio.sleep(0.5)

    async def reboot(self) -> None:
        """A restart in good order; back when the guest answers again."""
        before = await self.out("cat /proc/sys/kernel/random/boot_id")
        await self.run("systemctl reboot", check=False)
        async with asyncio.timeout(self.patience):
            while True:
                with contextlib.suppress(TimeoutError):
                    if (await self.run("cat /proc/sys/kernel/random/boot_id", seconds=3)).output.strip() != before:
                        return
                await asyncio.sleep(1)

    async def plug_modem(self, port: str, name: str = "modem", socket: int | None = None) -> None:
        """An FTDI adapter whose other end is the pty at `port`, such as one of `otpbroker simulate-modem`.

        `socket` is the number of the USB controller's port, by default the first free one.
        """
        await self.qmp(
            "chardev-add",
            id=f"{name}-line",
            backend={"type": "serial", "data": {"device": str(Path(port).resolve())}},
        )
        where = {} if socket is None else {"port": str(socket)}
        await self.qmp("device_add", driver="usb-serial", id=name, bus="usb.0", chardev=f"{name}-line", **where)

    async def plug_stick(self, image: Path, name: str = "stick") -> None:
        """A USB stick with the content of a raw image, which the guest may write."""
        file = {"driver": "file", "filename": str(image)}
        await self.qmp("blockdev-add", driver="raw", node_name=f"{name}-disk", file=file)
        await self.qmp(
            "device_add", driver="usb-storage", id=name, bus="usb.0", drive=f"{name}-disk", removable=True
        )

    async def unplug(self, name: str) -> None:
        """Pull it out; back when it is gone, and could be plugged in again."""
        await self.qmp("device_del", id=name)
        async with asyncio.timeout(30):
            while (await self.monitor.event("DEVICE_DELETED"))["data"].get("device") != name:
                pass
        for line in await self.qmp("query-chardev"):
            if line["label"] == f"{name}-line":
                await self.qmp("chardev-remove", id=line["label"])

    async def kill(self) -> None:
        """The power is cut. What the disk had been told is kept for another boot of it."""
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        await self.shell.close()
        self.monitor.writer.close()

    async def off(self) -> None:
        """Switched off in good order."""
        await self.run("systemctl poweroff", check=False)
        await asyncio.wait_for(self.process.wait(), 90)
        await self.kill()


async def boot(
    card: CardCopy,
    *,
    kind: Kind = "q35",
    disk: Path | None = None,
    disk_mib: int | None = None,
    forward: Sequence[int] = (),
    networks: int = 1,
    memory: int = 1024,
    append: str = "net.ifnames=0",
    wait: bool = True,
) -> Vm:
    """Start a machine and wait for its shell. Every write goes to an overlay, so the card stays as it is.

    `disk`: an overlay (qcow2) of the caller's, made if it is not there, that outlives the machine: for power cuts.
    `disk_mib`: a bigger card. `forward`: ports of the guest that `vm.port()` reaches from here, on the first of
    `networks` networks, none of which leads anywhere else. raspi3b has one network.
    """
    hardware = HARDWARE[kind]
    folder = Path(tempfile.mkdtemp(prefix="otpbroker-vm-", dir="/dev/shm"))
    overlay = disk or folder / "disk.qcow2"
    if not overlay.exists():
        make_overlay(card, overlay, disk_mib, power_of_two=not hardware.pci)
    ports = {port: free_port() for port in forward}
    argv = [
        # No machine outlives the tests, however they end.
        *("setpriv", "--pdeathsig", "KILL", "--"),
        *(hardware.program, *hardware.options, "-m", "1024" if not hardware.pci else str(memory), "-accel"),
        *("tcg,thread=multi", "-display", "none", "-no-user-config", "-monitor", "none"),
        *("-kernel", card.kernel, "-initrd", card.initrd),
        *("-append", f"{card.command_line} {append} console={hardware.console}"),
        *("-qmp", f"unix:{folder}/qmp,server=on,wait=off"),
        *("-chardev", f"socket,id=shell,path={folder}/shell,server=on,wait=off"),
        *(_pci_devices(overlay, networks, ports) if hardware.pci else _pi_devices(overlay, ports)),
        *("-serial", f"file:{folder}/console.log"),
    ]
    if hardware.device_tree:
        (folder / "board.dtb").write_bytes(card.read_boot(hardware.device_tree))
        argv += ["-dtb", folder / "board.dtb"]
    process = await asyncio.create_subprocess_exec(*map(str, argv), stdin=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(20):
            while not ((folder / "qmp").exists() and (folder / "shell").exists()):
                assert process.returncode is None, "QEMU did not start"
                await asyncio.sleep(0.05)
        monitor = await Qmp.connect(folder / "qmp")
        shell = await GuestShell.connect(folder / "shell")
        vm = Vm(folder, overlay, process, monitor, shell, ports, hardware.patience)
        if wait:
            await _wait_for_shell(vm)
    except BaseException:
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise
    return vm


@contextlib.asynccontextmanager
async def booted(card: CardCopy, **options: Any) -> AsyncIterator[Vm]:
    """`boot`, and nothing is left of the machine afterwards but a disk of the caller's."""
    vm = await boot(card, **options)
    try:
        yield vm
    finally:
        await vm.kill()
        shutil.rmtree(vm.folder)


async def _wait_for_shell(vm: Vm) -> None:
    try:
        await vm.shell.ready(vm.patience)
    except TimeoutError:
        raise AssertionError(f"the guest does not answer; its console:\n{vm.console()[-4000:]}") from None


def _pci_devices(disk: Path, networks: int, ports: dict[int, int]) -> list[str]:
    devices = [
        *("-nodefaults", "-vga", "none", "-smp", "2"),
        *("-drive", f"file={disk},format=qcow2,if=none,id=disk,cache=writeback,discard=unmap"),
        *("-device", "virtio-blk-pci,drive=disk"),
        *("-device", "virtio-rng-pci", "-device", "qemu-xhci,id=usb"),
        *("-device", "virtio-serial-pci", "-device", "virtserialport,chardev=shell,name=test.shell"),
    ]
    for number in range(networks):
        forwards = "".join(f",hostfwd=tcp:127.0.0.1:{here}-:{there}" for there, here in ports.items())
        devices += [
            *(
                "-netdev",
                f"user,id=net{number},net=10.9.{number}.0/24,restrict=on{forwards if number == 0 else ''}",
            ),
            *("-device", f"virtio-net-pci,netdev=net{number}"),
        ]
    return devices


def _pi_devices(disk: Path, ports: dict[int, int]) -> list[str]:
    forwards = "".join(f",hostfwd=tcp:127.0.0.1:{here}-:{there}" for there, here in ports.items())
    return [
        *("-drive", f"file={disk},format=qcow2,if=sd"),
        *("-netdev", f"user,id=net0,restrict=on{forwards}", "-device", "usb-net,netdev=net0"),
        *("-device", "usb-serial,chardev=shell"),
        *("-serial", "null"),  # the console is the second one, the mini UART
    ]


def make_overlay(card: CardCopy, overlay: Path, disk_mib: int | None = None, *, power_of_two: bool = False) -> None:
    """A disk that begins as the card and takes the writes. The size of an SD card is a power of two to QEMU."""
    size = disk_mib * MIB if disk_mib else card.image.stat().st_size
    if power_of_two:
        size = 1 << (size - 1).bit_length()
    create = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", card.image, "-F", "raw", overlay, str(size)]
    subprocess.run(create, check=True)
