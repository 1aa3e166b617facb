"""The agent as a service of the appliance: what its manager hears, and what a phone on its network sees."""

import asyncio
import os
import socket
import sys
from pathlib import Path

import yaml
from appliance import alone

_AP = {"enabled": True, "ssid": "Net", "passphrase": "abcd-2345", "country": "ID"}


def installed(folder: Path, **sections: object) -> list[str]:
    """The words that run an agent with this configuration and without modems."""
    (folder / "state").mkdir()
    off = {"http": {"enabled": False}, "https": {"enabled": False}}
    document = {"api": off, "admin": {"listen": {"port": 0}}} | sections
    (folder / "state/config.yaml").write_text(yaml.safe_dump(document))
    places = [word for name in ("state", "runtime", "log") for word in (f"--{name}", str(folder / name))]
    return [sys.executable, "-m", "otpbroker", "run", *places]


async def test_systemd_hears_ready_then_the_watchdog_then_the_end(ram_folder: Path) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(ram_folder / "notify"))
        manager.setblocking(False)
        process = await asyncio.create_subprocess_exec(
            *installed(ram_folder),
            env=os.environ | {"NOTIFY_SOCKET": str(ram_folder / "notify"), "WATCHDOG_USEC": "400000"},
            stderr=asyncio.subprocess.DEVNULL,
        )
        heard: list[bytes] = []
        try:
            async with asyncio.timeout(20):
                while b"READY=1" not in heard or heard.count(b"WATCHDOG=1") < 4:
                    heard.append(await loop.sock_recv(manager, 100))
                process.terminate()
                while heard[-1] != b"STOPPING=1":
                    heard.append(await loop.sock_recv(manager, 100))
                assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert heard.count(b"READY=1") == heard.count(b"STOPPING=1") == 1


_PHONE = """
import http.client, subprocess, sys, time
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
subprocess.run(["ip", "address", "add", "192.168.0.11/24", "dev", "lo"], check=True)
agent = subprocess.Popen(sys.argv[1:], stderr=subprocess.DEVNULL)
try:
    for place, host in (("192.168.0.11", "captive.apple.com"), ("192.168.0.11", "evil.example"),
                        ("127.0.0.1", "captive.apple.com"), ("192.168.0.11", "192.168.0.11:8888")):
        for _ in range(100):
            try:
                phone = http.client.HTTPConnection(place, 8888, timeout=10)
                phone.connect()
                break
            except ConnectionRefusedError:
                time.sleep(0.1)
        phone.request("GET", "/hotspot-detect.html", headers={"Host": host})
        answer = phone.getresponse()
        print(answer.status, answer.getheader("Location"))
finally:
    agent.kill()
    agent.wait()
"""


@alone
async def test_a_phone_that_joins_is_led_to_the_site(ram_folder: Path) -> None:
    """In a network of its own, where the access point's address is on loopback."""
    listen = {"listen": {"address": "0.0.0.0", "port": 8888}}  # noqa: S104
    words = installed(ram_folder, access_point=_AP, admin=listen)
    process = await asyncio.create_subprocess_exec(
        *("unshare", "--user", "--map-root-user", "--net", sys.executable, "-c", _PHONE, *words),
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(40):
        out, _ = await process.communicate()
    assert out.decode().splitlines() == [
        "302 http://192.168.0.11:8888/",
        "421 None",
        "421 None",
        "303 /setup",
    ]
