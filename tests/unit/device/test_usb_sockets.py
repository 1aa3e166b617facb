"""What root's helper does to USB devices, and what it refuses, on a tree that looks like sysfs."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from otpbroker.device.usb_sockets import LEAST_INTERVAL, UsbSockets, answer

ROOT = "30 1 179:2 / / rw,noatime shared:1 - ext4 /dev/mmcblk0p2 rw\n"


class Tree:
    """A fake sysfs with one hub (1-1), its clock, and what was seen while the helper waited."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.devices = folder / "sys/bus/usb/devices"
        self.mounts = folder / "mountinfo"
        self.mounts.write_text(ROOT)
        self.time = 1000.0
        self.waited: list[float] = []
        self.seen: list[dict[str, str]] = []
        self.watched: list[Path] = []
        self.fixed: set[Path] = set()  # hubs that don't switch their ports' power
        (folder / "records").mkdir()
        self.device("1-1", "09")
        self.interface("1-1", "1.0", "09")
        self.sockets = UsbSockets(
            folder / "records",
            sysfs=folder / "sys",
            mounts=self.mounts,
            switches=lambda hub: hub not in self.fixed,
            now=lambda: self.time,
            sleep=self._sleep,
        )

    def _sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.seen.append({path.parent.name: path.read_text() for path in self.watched})

    def device(self, socket: str, device_class: str = "00") -> Path:
        device = self.devices / socket
        device.mkdir(parents=True)
        (device / "bDeviceClass").write_text(f"{device_class}\n")
        (device / "authorized").write_text("1\n")
        return device

    def interface(self, socket: str, number: str, interface_class: str, *folders: str) -> Path:
        interface = self.devices / socket / f"{socket}:{number}"
        interface.mkdir()
        (interface / "bInterfaceClass").write_text(f"{interface_class}\n")
        for folder in folders:
            (interface / folder).mkdir(parents=True)
        return interface

    def modem(self, socket: str = "1-1.2") -> Path:
        device = self.device(socket)
        self.interface(socket, "1.0", "ff", "ttyUSB0/tty/ttyUSB0")
        self.interface(socket, "1.1", "ff")
        return device

    def port(self, interface: str, name: str, *, peer: str | None = None) -> Path:
        port = self.devices / interface / name
        port.mkdir(parents=True, exist_ok=True)
        (port / "disable").write_text("0\n")
        if peer is not None:
            faster = self.devices / peer
            faster.mkdir(parents=True)
            (faster / "disable").write_text("0\n")
            (port / "peer").symlink_to(faster)
            self.watched.append(faster / "disable")
        self.watched.append(port / "disable")
        return port / "disable"

    def ask(self, line: str) -> str:
        return answer(self.sockets, line.encode())


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_a_modem_is_taken_from_its_drivers_and_given_back(tree: Tree) -> None:
    authorised = tree.modem() / "authorized"
    tree.watched.append(authorised)
    assert tree.ask("reset 1-1.2\n") == "OK"
    assert tree.seen == [{"1-1.2": "0"}]
    assert authorised.read_text() == "1"
    assert (tree.devices / "1-1/authorized").read_text() == "1\n"


def test_a_modem_of_the_other_driver_is_one_too(tree: Tree) -> None:
    tree.device("1-2")
    tree.interface("1-2", "1.0", "02", "tty/ttyACM0")
    assert tree.ask("reset 1-2") == "OK"


@pytest.mark.parametrize(
    ("socket", "interface", "port"),
    [("1-1.2", "1-1:1.0", "1-1-port2"), ("3-1.4.2", "3-1.4:1.0", "3-1.4-port2")],
)
def test_its_hub_port_is_switched_off_and_on(tree: Tree, socket: str, interface: str, port: str) -> None:
    tree.modem(socket)
    switch = tree.port(interface, port)
    assert tree.ask(f"cycle {socket}") == "OK"
    assert tree.seen == [{port: "1"}]
    assert switch.read_text() == "0"
    assert tree.waited[0] >= 2


def test_the_faster_wires_of_the_connector_are_switched_with_it(tree: Tree) -> None:
    tree.modem()
    tree.port("1-1:1.0", "1-1-port2", peer="2-1-port2")
    assert tree.ask("cycle 1-1.2") == "OK"
    assert tree.seen == [{"1-1-port2": "1", "2-1-port2": "1"}]
    assert [switch.read_text() for switch in tree.watched] == ["0", "0"]


def test_where_no_port_can_be_switched_that_is_told(tree: Tree) -> None:
    tree.modem()
    assert tree.ask("cycle 1-1.2").startswith("NO no-port-power ")


def test_the_port_of_a_hub_that_does_not_switch_power_stays_on(tree: Tree) -> None:
    """A device would not be found again when the port is switched on."""
    tree.modem()
    switch = tree.port("1-1:1.0", "1-1-port2")
    tree.fixed.add(tree.devices / "1-1")
    assert tree.ask("cycle 1-1.2").startswith("NO no-port-power ")
    assert switch.read_text() == "0\n"


def test_the_port_of_a_root_hub_stays_on(tree: Tree) -> None:
    tree.modem("1-2")
    switches = [tree.port("1-0:1.0", "usb1-port2"), tree.port(":1.0", "-port1-2")]
    assert tree.ask("cycle 1-2").startswith("NO no-port-power ")
    assert [switch.read_text() for switch in switches] == ["0\n", "0\n"]


def test_whatever_happens_meanwhile_the_device_is_given_back(tree: Tree) -> None:
    authorised = tree.modem() / "authorized"

    def end(_seconds: float) -> None:
        raise SystemExit(1)

    tree.sockets._sleep = end
    with pytest.raises(SystemExit):
        tree.ask("reset 1-1.2")
    assert authorised.read_text() == "1"


def keyboard(tree: Tree) -> None:
    tree.device("1-1.3")
    tree.interface("1-1.3", "1.0", "03")


def keyboard_with_a_port(tree: Tree) -> None:
    keyboard(tree)
    tree.interface("1-1.3", "1.1", "ff", "ttyUSB1")


def hub(tree: Tree) -> None:
    tree.device("1-1.3", "09")
    tree.interface("1-1.3", "1.0", "09")


def network_card(tree: Tree) -> None:
    tree.device("1-1.3", "ff")
    tree.interface("1-1.3", "1.0", "ff", "net/eth0")


def stick(tree: Tree, mounted: str, *, held: bool = False) -> None:
    tree.device("1-1.3")
    tree.interface("1-1.3", "1.0", "ff", "ttyUSB1")
    disk = tree.interface("1-1.3", "1.1", "08") / "host0/target0:0:0/0:0:0:0/block/sda"
    (disk / "sda1/holders").mkdir(parents=True)
    (disk / "dev").write_text("8:0\n")
    (disk / "sda1/dev").write_text("8:1\n")
    if held:
        (disk / "sda1/holders/dm-0").mkdir()
    tree.mounts.write_text(ROOT.replace("179:2", mounted))


def boot_disk(tree: Tree) -> None:
    stick(tree, "8:1")


def encrypted_disk(tree: Tree) -> None:
    stick(tree, "253:0", held=True)


@pytest.mark.parametrize("act", ["reset", "cycle"])
@pytest.mark.parametrize(
    ("plug", "code"),
    [
        (keyboard, "usb-no-modem"),
        (keyboard_with_a_port, "usb-no-modem"),
        (hub, "usb-no-modem"),
        (network_card, "usb-no-modem"),
        (boot_disk, "usb-in-use"),
        (encrypted_disk, "usb-in-use"),
    ],
)
def test_what_is_no_modem_or_carries_the_system_is_left_alone(tree: Tree, act: str, plug, code: str) -> None:
    plug(tree)
    switch = tree.port("1-1:1.0", "1-1-port3")
    assert tree.ask(f"{act} 1-1.3").startswith(f"NO {code} ")
    assert (tree.devices / "1-1.3/authorized").read_text() == "1\n"
    assert switch.read_text() == "0\n"
    assert tree.waited == []


def test_a_modem_with_a_disk_of_its_own_that_nobody_uses_is_one(tree: Tree) -> None:
    stick(tree, "179:2")
    assert tree.ask("reset 1-1.3") == "OK"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("reset ../1-1.2", "usb-socket-invalid"),
        ("reset 1-1.2/../1-1", "usb-socket-invalid"),
        ("reset 1-1.2:1.0", "usb-socket-invalid"),
        ("reset usb1", "usb-socket-invalid"),
        ("reset 1-1.2 1-1.3", "usb-socket-invalid"),
        ("reset 1-1.2\n\n", "usb-socket-invalid"),
        ("reset 1-0", "usb-socket-invalid"),
        ("reset ", "usb-socket-invalid"),
        ("reset 1-1.9", "usb-absent"),
        ("off 1-1.2", "usb-act-unknown"),
        ("", "usb-act-unknown"),
        ("ré 1-1.2", "usb-act-unknown"),
    ],
)
def test_only_one_clean_request_is_understood(tree: Tree, line: str, code: str) -> None:
    tree.modem()
    assert tree.ask(line).startswith(f"NO {code} ")
    assert (tree.devices / "1-1.2/authorized").read_text() == "1\n"
    assert not list((tree.folder / "records").iterdir())


def test_one_socket_is_not_reset_too_often(tree: Tree) -> None:
    tree.modem()
    tree.modem("1-1.4")
    tree.port("1-1:1.0", "1-1-port2")
    for act in ("reset", "cycle"):
        assert tree.ask(f"{act} 1-1.2") == "OK"
        tree.time += LEAST_INTERVAL[act] - 1
        assert tree.ask(f"{act} 1-1.2").startswith("NO usb-too-often ")
        tree.time += 2
        assert tree.ask(f"{act} 1-1.2") == "OK"
    assert tree.ask("reset 1-1.4") == "OK"


def test_a_refusal_does_not_count(tree: Tree) -> None:
    tree.modem()
    assert tree.ask("cycle 1-1.2").startswith("NO no-port-power")
    tree.port("1-1:1.0", "1-1-port2")
    assert tree.ask("cycle 1-1.2") == "OK"


def test_the_port_of_a_modem_that_did_not_come_back_is_switched(tree: Tree) -> None:
    device = tree.modem()
    tree.port("1-1:1.0", "1-1-port2")
    assert tree.ask("reset 1-1.2") == "OK"
    device.rename(tree.devices / "gone")
    tree.time += 60
    assert tree.ask("cycle 1-1.2") == "OK"
    tree.time += 3600
    assert tree.ask("cycle 1-1.2").startswith("NO usb-absent ")


def test_what_the_kernel_refuses_is_told(tree: Tree) -> None:
    authorised = tree.modem() / "authorized"
    authorised.unlink()
    authorised.mkdir()
    assert tree.ask("reset 1-1.2") == f"NO usb-failed {os.strerror(errno.EISDIR)}"


def test_the_program_reads_one_line_and_answers_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "otpbroker", "usb-power", "--records", str(tmp_path)],
        input=b"reset 99-1\nreset 99-2\n",
        capture_output=True,
        check=True,
        timeout=30,
    )
    assert done.stdout == b"NO usb-absent there is nothing in 99-1\n"
    assert b"reset 99-1" in done.stderr
