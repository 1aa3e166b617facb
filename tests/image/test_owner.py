"""From the box to the first message: an owner with phone, brochure and modem; and what nobody else reaches."""

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from card_copy import CardCopy, copy_of
from machine import SHELL_DEVICE, Kind, Vm, booted
from station import Printed, join, leave, open_ports, raise_radios, visit
from test_first_boot import failed_units

from image.commands import Commands
from image.personalise import Wishes, personalise
from otpbroker.modem.simulator import ControlClient

PASSWORD = "kereta api lewat tengah malam"
TEXT = "OTP Anda adalah 480915"
# What a maker may give all units along. The modem is the one that the owner will plug in.
BASE = """\
modems:
  - {id: stick, name: Stick, port: /dev/ttyUSB0, default: true}
firewall:
  ethernet: [{port: 10443, protocol: tcp}]
"""


@dataclass(frozen=True, slots=True)
class Unit:
    printed: Printed
    card: CardCopy


@pytest.fixture(scope="module")
def unit(image: Path, kind: Kind, in_ram: Path) -> Unit:
    """One of the maker's: its brochure is in the box, its provisioning file on the card."""
    (in_ram / "base.yaml").write_text(BASE)
    personalise(1, in_ram / "units", Wishes(country="ID", config=in_ram / "base.yaml"), Commands(in_ram / "log"))
    folder = in_ram / "units/unit-001"
    card = copy_of(image, in_ram / "personal", device=SHELL_DEVICE[kind])
    card.put_on_boot("otpbroker/config.yaml", (folder / "config.yaml").read_bytes())
    return Unit(Printed.read(folder / "brochure.png"), card)


@dataclass(frozen=True, slots=True)
class Simulated:
    port: str
    control: ControlClient


@pytest.fixture
async def modem(tmp_path: Path) -> AsyncIterator[Simulated]:
    """A GSM modem on this host, whose port is plugged into the machine's USB."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "otpbroker", "simulate-modem", "--json", "--with-parent", "--air", "0.2"),
        *("--dir", str(tmp_path / "modems"), "--control", str(tmp_path / "control")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    told = json.loads((await asyncio.wait_for(process.stdout.readline(), 30)).removeprefix(b"READY "))
    yield Simulated(told["ports"][0], ControlClient(Path(told["control"])))
    process.terminate()
    await process.communicate()


async def test_an_owner_sets_the_unit_up_by_phone_and_sends_a_message(
    unit: Unit, kind: Kind, modem: Simulated
) -> None:
    if kind == "raspi3b":
        pytest.skip("its one USB serial port is the tests' shell")
    async with booted(unit.card, kind=kind) as vm:
        assert await vm.settled() == "running", await failed_units(vm)
        await provisioned(vm, unit)
        await raise_radios(vm)

        address = await join(vm, unit.printed)
        assert address.startswith("192.168.0.")
        assert 100 <= int(address.rpartition(".")[2]) <= 200
        for name in ("otpbroker.local", "connectivitycheck.gstatic.com"):
            assert (await vm.out(f"ip netns exec sta getent ahostsv4 {name}")).split()[0] == "192.168.0.11"

        seen = await visit(vm, unit.printed, PASSWORD)
        assert str(seen["captive_leads_to"]).startswith("http://192.168.0.11:8888/")
        assert (seen["setup_status"], seen["code_status"], seen["creation_status"]) == (200, 200, 200)
        assert seen["after_creation"] == "http://192.168.0.11:8888/"
        assert seen["overview_names_modem"]

        key = await api_user(vm)
        await vm.plug_modem(modem.port)
        await message_arrives(vm, modem, key, TEXT)

        await what_is_open(vm)
        await leave(vm)
        await join(vm, unit.printed, management="SAE")  # WPA3, by the same print
        await leave(vm)

        identity = await vm.out("cat /etc/machine-id")
        await vm.unplug("modem")
        await vm.reboot()
        assert await vm.settled() == "running", await failed_units(vm)
        assert await vm.out("cat /etc/machine-id") == identity
        await raise_radios(vm)
        await join(vm, unit.printed)
        seen = await visit(vm, unit.printed, PASSWORD)
        assert seen["setup_status"] == 404, "an administrator is there: nobody sets it up again"
        assert (seen["login_status"], seen["after_login"]) == (200, "http://192.168.0.11:8888/")
        await vm.plug_modem(modem.port)
        await message_arrives(vm, modem, key, f"{TEXT} again")
        await nothing_is_written_in_clear(vm, unit)


async def provisioned(vm: Vm, unit: Unit) -> None:
    """The file was taken from the card, and its secret with it."""
    assert "config.yaml" not in await vm.out("ls /boot/firmware/otpbroker 2>/dev/null || true")
    device = await vm.out("findmnt -no SOURCE /boot/firmware")
    found = await vm.run(f"grep -c -a -F '{unit.printed.passphrase}' {device}", check=False)
    assert found.output.strip() == "0", "the passphrase is still on the FAT"
    assert unit.printed.ssid in await vm.out("cat /run/issue.d/otpbroker.issue")


async def api_user(vm: Vm) -> str:
    """The credentials of an application server, as the owner makes them on the console."""
    password = await vm.out("otpbroker add-api-user shop --generate 2>/dev/null")
    await vm.run("systemctl reload otpbroker")
    return base64.b64encode(f"shop:{password}".encode()).decode()


async def message_arrives(vm: Vm, modem: Simulated, key: str, text: str) -> None:
    """Asked for by REST over the access point, read on the phone that the simulated network reaches."""
    body = json.dumps({"receiver": "081234567890", "text": text})
    ask = f"""
import json, time, urllib.error, urllib.request
head = {{"Authorization": "Basic {key}", "Content-Type": "application/json", "Prefer": "wait=30"}}
for _ in range(40):
    asked = urllib.request.Request("http://192.168.0.11:8889/api/v1/messages", {body!r}.encode(), head)
    try:
        answer = json.load(urllib.request.urlopen(asked, timeout=60))
        break
    except urllib.error.HTTPError as refused:
        if refused.code not in (401, 503):  # the reload, or the modem that is still looking for its network
            raise
        time.sleep(1)
print(answer["state"], answer["modem_id"])
"""
    told = await vm.run("ip netns exec sta python3 -", text=ask, seconds=180)
    assert told.output.split() == ["sent", "stick"]
    assert text in [message.text for message in await modem.control.messages()]


async def what_is_open(vm: Vm) -> None:
    """Scanned from both sides; nothing is passed on between them."""
    await vm.run(
        "ip netns add lan; ip link add eth9 type veth peer name lan9 netns lan;"
        "ip address add 10.77.0.1/24 dev eth9; ip link set eth9 up;"
        "ip netns exec lan ip address add 10.77.0.2/24 dev lan9; ip netns exec lan ip link set lan9 up;"
        "ip netns exec lan ip route add 192.168.0.0/24 via 10.77.0.1"
    )
    assert await open_ports(vm, "sta", "192.168.0.11") == [53, 80, 8888, 8889, 10443]
    assert await open_ports(vm, "lan", "10.77.0.1") == [10443]
    assert await open_ports(vm, "lan", "192.168.0.11") == [10443], "the admin site by the back door"
    await vm.run("ip netns exec sta ip route replace default via 192.168.0.11", check=False)
    passed_on = await vm.run("ip netns exec sta ping -c 2 -W 2 10.77.0.2", check=False)
    assert passed_on.code != 0
    await vm.run("ip link delete eth9; ip netns delete lan")


async def nothing_is_written_in_clear(vm: Vm, unit: Unit) -> None:
    """No text and no secret of the unit on the card's root file system."""
    disk = await vm.out("findmnt -no SOURCE /")
    await vm.run("sync; echo 3 > /proc/sys/vm/drop_caches")
    for secret in (TEXT, unit.printed.passphrase, unit.printed.setup_url.rpartition("#")[2], PASSWORD):
        found = await vm.run(f"grep -c -a -F '{secret}' {disk}", seconds=300, check=False)
        assert found.output.strip() == "0", f"{secret[:4]}... is on the card"
