"""A phone near the unit: a second simulated radio in a network namespace, with only what the print says."""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from machine import Vm

GUEST = Path(__file__).parent / "guest"
STATION = "ip netns exec sta"


@dataclass(frozen=True, slots=True)
class Printed:
    """What a phone's camera finds on the brochure."""

    ssid: str
    passphrase: str
    setup_url: str

    @classmethod
    def read(cls, brochure: Path) -> "Printed":
        """By ZBar, from the picture alone."""
        done = subprocess.run(
            ["zbarimg", "--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", brochure],
            capture_output=True,
            text=True,
            check=True,
        )
        codes = done.stdout.splitlines()
        (wifi,) = [code for code in codes if code.startswith("WIFI:")]
        (setup,) = [code for code in codes if "/setup#" in code]
        fields = dict(re.findall(r"([TSPH]):((?:\\.|[^;\\])*);", wifi.removeprefix("WIFI:")))
        assert fields["T"] == "WPA"
        plain = {name: re.sub(r"\\(.)", r"\1", value) for name, value in fields.items()}
        return cls(plain["S"], plain["P"], setup)


async def raise_radios(vm: Vm) -> None:
    """Two radios in one room: the unit's is wlan0, the other one is carried into the station's namespace."""
    await vm.run("modprobe mac80211_hwsim radios=2")
    await vm.until("test -e /sys/class/net/wlan1 && udevadm settle", seconds=30)
    await vm.run("ip netns add sta; ip netns exec sta ip link set lo up")
    await vm.run("iw phy $(cat /sys/class/net/wlan1/phy80211/name) set netns name sta")
    await vm.until("systemctl is-active hostapd dnsmasq && grep -q 1 /sys/class/net/ap0/carrier", seconds=120)


async def join(vm: Vm, printed: Printed, *, management: str = "WPA-PSK") -> str:
    """Associate with what was printed, take a lease, use its name server; the address that was leased."""
    network = f"""ctrl_interface=/run/wpa-sta
country=ID
network={{
    ssid="{printed.ssid}"
    {"sae_password" if management == "SAE" else "psk"}="{printed.passphrase}"
    key_mgmt={management}
    ieee80211w={2 if management == "SAE" else 1}
}}
"""
    await vm.run("cat > /run/sta.conf", text=network)
    await vm.run(f"{STATION} wpa_supplicant -B -i wlan1 -c /run/sta.conf -P /run/sta.pid")
    await vm.until(f"{STATION} wpa_cli -p /run/wpa-sta -i wlan1 status | grep -q wpa_state=COMPLETED", seconds=120)
    lease = await vm.out(
        f"{STATION} /usr/lib/klibc/bin/ipconfig -t 30 wlan1 && cat /run/net-wlan1.conf", seconds=60
    )
    facts = dict(re.findall(r"^(\w+)='(.*)'$", lease, re.MULTILINE))
    # The machine's networks name no name server, so that its own file is not there for the station's to lie over.
    await vm.run("touch $(readlink -m /etc/resolv.conf)")
    await vm.run(f"mkdir -p /etc/netns/sta; echo nameserver {facts['IPV4DNS0']} > /etc/netns/sta/resolv.conf")
    return facts["IPV4ADDR"]


async def leave(vm: Vm) -> None:
    """Return when its supplicant has ended: until then the next one can't have the radio and its socket."""
    supplicant = await vm.out("cat /run/sta.pid")
    await vm.run(f"{STATION} wpa_cli -p /run/wpa-sta -i wlan1 terminate", check=False)
    await vm.until(f"! test -e /proc/{supplicant}", seconds=30)
    await vm.run(f"{STATION} ip address flush dev wlan1")


async def visit(vm: Vm, printed: Printed, password: str) -> dict[str, object]:
    """What guest/visitor.py sees from the station."""
    program = (GUEST / "visitor.py").read_text()
    words = f"http://connectivitycheck.gstatic.com/generate_204 '{printed.setup_url}' '{password}'"
    told = await vm.run(f"{STATION} python3 - {words}", text=program, seconds=180)
    seen: dict[str, object] = json.loads(told.output)
    return seen


async def open_ports(vm: Vm, namespace: str, address: str) -> list[int]:
    """What a machine in a namespace of the guest can connect to."""
    program = (GUEST / "scan.py").read_text()
    told = await vm.run(f"ip netns exec {namespace} python3 - {address}", text=program, seconds=300)
    ports: list[int] = json.loads(told.output)
    return ports
