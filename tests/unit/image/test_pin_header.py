"""A modem on the pin header: its UART is the agent's, whatever the kernel calls it."""

import fnmatch
import re
from pathlib import Path

import pytest

OVERLAYS = Path(__file__).parents[3] / "overlays/common/etc"
# Raspberry Pi 3 and 4 by Debian's kernel, by their makers'; everything with a PL011 there, by its major number 204.
UARTS = {"ttyS1": "/dev/ttyS1", "ttyS0": "/dev/ttyS0", "ttyAMA0": "char-204"}


@pytest.mark.parametrize("uart", UARTS)
def test_the_service_may_open_it(uart: str) -> None:
    unit = (OVERLAYS / "systemd/system/otpbroker.service").read_text()
    assert "DevicePolicy=closed\n" in unit
    assert f"DeviceAllow={UARTS[uart]} rw\n" in unit


@pytest.mark.parametrize("uart", UARTS)
def test_modem_manager_leaves_it_alone(uart: str) -> None:
    rules = (OVERLAYS / "udev/rules.d/70-otpbroker-modems.rules").read_text()
    (patterns,) = re.findall(r'KERNEL=="([^"]+)", ENV\{ID_MM_DEVICE_IGNORE\}="1"', rules)
    assert any(fnmatch.fnmatch(uart, pattern) for pattern in patterns.split("|"))
