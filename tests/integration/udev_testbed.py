"""Run by `umockdev-wrapper`: `UdevPorts` on libudev's own records and events, of devices that umockdev makes up.

Prints one JSON object: what was told in the end of each step, and how often the devices were read.
"""

import asyncio
import ctypes
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from otpbroker.modem.hotplug import SETTLE_MOST, UdevEvents, UdevPorts, read_devices
from otpbroker.modem.usb import UsbDevice
from udev_trees import UdevTree, udev_tree


class Testbed:
    """umockdev's C interface."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libumockdev.so.0")
        self._library.umockdev_testbed_new.restype = ctypes.c_void_p
        self._bed = ctypes.c_void_p(self._library.umockdev_testbed_new())

    async def plug(self, tree: UdevTree) -> None:
        for block in tree.text.rstrip().split("\n\n"):
            assert self._library.umockdev_testbed_add_from_string(self._bed, f"{block}\n".encode(), None)
            await self._taken()

    async def unplug(self, tree: UdevTree) -> None:
        for properties in reversed(tree.properties):
            await self.tell(properties["DEVPATH"], "remove")
            self._library.umockdev_testbed_remove_device(self._bed, f"/sys{properties['DEVPATH']}".encode())

    async def tell(self, path: str, action: str) -> None:
        self._library.umockdev_testbed_uevent(self._bed, f"/sys{path}".encode(), action.encode())
        await self._taken()

    async def _taken(self) -> None:
        """Let the loop take the event: umockdev's own line holds ten, and ends the process when it is full."""
        for _ in range(3):
            await asyncio.sleep(0)


async def main() -> None:
    bed = Testbed()
    there, comes = udev_tree("quectel-ec25"), udev_tree("simcom-sim7600")
    await bed.plug(there)
    told: list[tuple[UsbDevice, ...]] = []
    reads = 0

    def read() -> tuple[UsbDevice, ...]:
        nonlocal reads
        reads += 1
        return read_devices()

    watching = asyncio.create_task(UdevPorts(UdevEvents.open, read, control=Path(__file__)).watch(told.append))
    result: dict[str, object] = {}

    async def step(name: str) -> None:
        """What is told when it has been quiet for longer than any look is put off."""
        await asyncio.sleep(2 * SETTLE_MOST)
        result[name] = {
            device.socket: {
                "ids": f"{device.vendor}:{device.product}",
                "strings": [device.maker, device.model, device.serial],
                "ttys": {tty.path: [tty.interface, tty.driver] for tty in device.ttys},
                "other": device.other,
            }
            for device in told[-1]
        }

    await step("at the start")
    await bed.plug(comes)
    await step("plugged")
    before = reads
    await bed.tell(there.properties[1]["DEVPATH"], "bind")
    await bed.tell(there.properties[1]["DEVPATH"], "unbind")
    await step("bound")
    result["reads for a driver"] = reads - before
    await bed.unplug(there)
    await step("unplugged")
    result["times told"] = len(told)
    watching.cancel()
    print(json.dumps(result))


asyncio.run(main())
