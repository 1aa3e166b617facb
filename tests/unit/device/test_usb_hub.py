"""What a hub is asked; that it answers is seen in a virtual machine (tests/image/test_usb_power.py)."""

import ctypes
import errno
from pathlib import Path

import pytest

from otpbroker.device import usb_hub


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    for name, value in (("busnum", "1"), ("devnum", "12"), ("speed", "480")):
        (tmp_path / name).write_text(f"{value}\n")
    return tmp_path


def test_the_request_is_the_kernels() -> None:
    if ctypes.sizeof(ctypes.c_void_p) == 8:
        assert (ctypes.sizeof(usb_hub._Transfer), usb_hub._CONTROL) == (24, 0xC0185500)
    else:
        assert (ctypes.sizeof(usb_hub._Transfer), usb_hub._CONTROL) == (16, 0xC0105500)


def test_what_is_no_hub_cannot_be_asked(hub: Path) -> None:
    node = hub / "nodes/001/012"
    node.parent.mkdir(parents=True)
    node.touch()
    with pytest.raises(OSError, match="ioctl") as error:
        usb_hub.switches_ports(hub, hub / "nodes")
    assert error.value.errno == errno.ENOTTY
