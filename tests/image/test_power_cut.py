"""The power goes during the first boot, at any time: the next boot makes one whole unit of the card."""

import asyncio
import random
import re
import time
from pathlib import Path

import pytest
from card_copy import CardCopy
from machine import Kind, Vm, booted, make_overlay
from test_first_boot import failed_units

CUTS = 5


@pytest.mark.timeout(3000)
async def test_five_power_cuts_at_random_points_of_the_first_boot(card: CardCopy, kind: Kind, in_ram: Path) -> None:
    dice = random.Random(20261125)
    started = time.monotonic()
    async with booted(card, kind=kind, disk_mib=4096) as vm:
        await vm.settled()
        whole = time.monotonic() - started
        await is_one_whole_unit(vm)
    points = sorted(dice.uniform(0.1, 1.0) * whole for _ in range(CUTS))
    print(f"a first boot takes {whole:.0f} s; cut after {', '.join(f'{point:.0f}' for point in points)} s")
    for number, point in enumerate(points):
        disk = in_ram / f"cut-{number}.qcow2"
        make_overlay(card, disk, 4096)
        async with booted(card, kind=kind, disk=disk, wait=False):
            await asyncio.sleep(point)  # the block ends with SIGKILL
        async with booted(card, kind=kind, disk=disk) as vm:
            state = await vm.settled()
            assert await failed_units(vm) == [], f"cut after {point:.1f} s"
            assert state == "running"
            await is_one_whole_unit(vm)
        disk.unlink()


async def is_one_whole_unit(vm: Vm) -> None:
    """Its secrets are there, its brochure tells them, and it serves."""
    brochure = await vm.out("cat /boot/firmware/otpbroker/brochure.txt")
    rendered = await vm.out("cat /run/otpbroker-system/hostapd.conf")
    passphrase = re.search(r"^wpa_passphrase=(.+)$", rendered, re.MULTILINE)
    ssid = re.search(r"^ssid2=([0-9a-f]+)$", rendered, re.MULTILINE)
    assert passphrase is not None
    assert ssid is not None
    assert passphrase[1] in brochure
    assert bytes.fromhex(ssid[1]).decode() in brochure
    assert await vm.out("ls /boot/firmware/otpbroker/PROBLEMS.txt 2>/dev/null || true") == ""
    fetch = 'import urllib.request; urllib.request.urlopen("http://127.0.0.1:8888/setup")'
    await vm.until(f"python3 -c '{fetch}'", seconds=60)
    await vm.run("dmesg | grep -i 'EXT4-fs error' && exit 1 || exit 0")
