"""`otpbroker modems`: what is plugged in and what it is taken for, for who has a console only; opens no port."""

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

from otpbroker.errors import Unavailable
from otpbroker.modem.families import judge
from otpbroker.modem.hotplug import read_devices
from otpbroker.modem.usb import UsbDevice

_CONTROL = Path("/run/udev/control")


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "modems",
        help="list what is plugged in and could be a modem",
        description="Lists USB devices that are modems or have serial ports, as udev tells of them; no port is "
        "opened. The first column is what `usb:` in config.yaml names, the last the ports in the order of asking.",
    )
    parser.set_defaults(run=run)


def run(_arguments: argparse.Namespace) -> int:
    if not _CONTROL.exists():
        raise Unavailable("udev-absent", "udev does not run here")
    for line in listed(read_devices()):
        print(line)
    return 0


def listed(devices: Iterable[UsbDevice]) -> Iterator[str]:
    """A line for each that could be a modem."""
    for device in devices:
        verdict = judge(device)
        if verdict is not None:
            name = f"{device.maker} {device.model}".strip()
            ports = " ".join(tty.path for tty in verdict.ports)
            ids = f"{device.vendor}:{device.product}"
            yield f"{device.socket:<10} {ids}  {verdict.kind:<8} {name:<40} {ports}".rstrip()
