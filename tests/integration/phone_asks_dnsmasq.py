"""Starts dnsmasq on a bridge and asks it for names from a phone's side of it, in networks that lead nowhere.

usage: phone_asks_dnsmasq.py DNSMASQ CONFIGURATION NAME... - in a network of its own, with the rights to change it.
Prints a line for each name: the response code (RFC 1035, section 4.1.1) and the address, if there is one.
"""

import socket
import struct
import subprocess
import sys
import time
from pathlib import Path


def ask(name: str) -> str:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    query = struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(0.5)
        for _ in range(40):
            try:
                asking.connect(("192.168.0.11", 53))
                asking.send(query)
                answer = asking.recv(512)
            except OSError:  # not listening yet
                time.sleep(0.1)
            else:
                return f"{answer[3] & 15} {socket.inet_ntoa(answer[-4:]) if answer[7] else '-'}"
    return "no answer"


def serve_and_ask(dnsmasq: str, configuration: str, names: list[str]) -> None:
    """The bridge is here; the phone is this program again, in a network behind a cable."""
    words = ["unshare", "--net", sys.executable, __file__, "--phone", *names]
    phone = subprocess.Popen(words, stdin=subprocess.PIPE)
    here = Path("/proc/self/ns/net").readlink()
    while Path(f"/proc/{phone.pid}/ns/net").readlink() == here:
        time.sleep(0.01)
    for setting in (
        f"link add radio0 type veth peer name phone0 netns {phone.pid}",
        "link add ap0 type bridge",
        "address add 192.168.0.11/24 dev ap0",
        "link set radio0 master ap0",
        "link set radio0 up",
        "link set ap0 up",
    ):
        subprocess.run(["ip", *setting.split()], check=True)
    # --no-daemon: it does not ask to become another user, whom this network has not.
    options = ["--no-daemon", "--dhcp-leasefile=/dev/null", f"--conf-file={configuration}"]
    server = subprocess.Popen([dnsmasq, *options], stderr=subprocess.DEVNULL)
    try:
        phone.communicate(b"connected\n", timeout=20)
    finally:
        phone.kill()
        server.kill()
        server.wait()


def be_phone(names: list[str]) -> None:
    sys.stdin.readline()
    for setting in ("address add 192.168.0.100/24 dev phone0", "link set phone0 up"):
        subprocess.run(["ip", *setting.split()], check=True)
    for name in names:
        print(ask(name), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "--phone":
        be_phone(sys.argv[2:])
    else:
        serve_and_ask(sys.argv[1], sys.argv[2], sys.argv[3:])
