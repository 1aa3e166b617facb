"""The card in an emulated Raspberry Pi 3: its device tree, its SD controller, its console.

USB is too unsure there for the tests' shell, so the console is what is read.
"""

import asyncio
import re

from card_copy import CardCopy
from machine import Kind, booted


async def test_it_comes_up_and_shows_its_brochure_on_the_console(card: CardCopy, kind: Kind) -> None:
    async with booted(card, kind=kind, wait=False) as vm:
        async with asyncio.timeout(vm.patience):
            while " login:" not in vm.console():
                await asyncio.sleep(2)
        console = vm.console()
    assert "Machine model: Raspberry Pi 3 Model B" in console
    assert len(re.findall("Booting Linux", console)) == 1
    assert re.findall(r"\[FAILED\] .*", re.sub(r"\x1b\[[0-9;]*m", "", console)) == []
    assert re.search(r"Wi-Fi +OTP-Broker-[0-9A-Z]{4}", console)
