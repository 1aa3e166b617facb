"""What udev tells of the modem families -> which port is asked; and what is never opened."""

import pytest

from otpbroker.modem.families import FAMILIES, judge
from otpbroker.modem.usb import UsbDevice, devices_of
from udev_trees import UdevTree, udev_tree, udev_trees

TREES = {tree.name: tree for tree in udev_trees()}


def only(tree: UdevTree) -> UsbDevice:
    (device,) = devices_of(tree.properties)
    return device


@pytest.mark.parametrize("name", sorted(TREES.keys() - {"two-of-one-model"}))
def test_the_device_is_taken_for_what_it_is(name: str) -> None:
    tree = TREES[name]
    verdict = judge(only(tree))
    if tree.kind == "nothing":
        assert verdict is None
        return
    assert verdict is not None
    assert (verdict.kind, verdict.family) == (tree.kind, tree.family)
    assert tuple(tty.path for tty in verdict.ports) == tree.ports


def test_every_family_of_the_field_notes_is_there() -> None:
    modems = {tree.family for tree in TREES.values() if tree.kind == "modem"}
    assert modems == {"quectel", "simcom", "huawei", "zte", "u-blox", "cinterion", "telit"}
    assert modems <= {family.name for family in FAMILIES}
    assert len(TREES) >= 20


def test_the_strings_of_the_descriptor_are_told_as_they_are() -> None:
    device = only(TREES["zte-mf190"])
    assert (device.maker, device.model) == ("ZTE,Incorporated", "ZTE WCDMA Technologies MSM")
    assert device.serial == "MF1900ZTED010000"
    assert (device.vendor, device.product, device.socket) == ("19d2", "0117", "1-1.4")


def test_a_descriptor_without_strings_has_none() -> None:
    """udev writes the numbers in their place."""
    device = only(TREES["quectel-ec25-rndis"])
    assert (device.maker, device.model, device.serial) == ("", "", "")


def test_ports_have_their_interface_and_their_links() -> None:
    device = only(TREES["huawei-mu609"])
    tty = device.ttys[2]
    assert (tty.interface, tty.driver) == (2, "option")
    assert (tty.interface_class, tty.interface_subclass, tty.interface_protocol) == (0xFF, 1, 2)
    link = "/dev/serial/by-path/platform-fd500000.pcie-pci-0000:01:00.0-usb-0:1.3:1.2-port0"
    assert tty.links == (link,)
    assert device.tty(link) is tty


def test_what_hangs_on_the_same_stick_is_told_by_its_subsystem() -> None:
    assert only(TREES["huawei-hilink"]).other == ("block", "net")
    assert only(TREES["huawei-e173"]).other == ("block", "net")


def test_two_sticks_of_one_model_are_two_devices() -> None:
    first, second = devices_of(TREES["two-of-one-model"].properties)
    assert (first.socket, second.socket) == ("1-1.2", "1-1.3")
    assert (first.model, first.serial) == (second.model, second.serial) == ("HUAWEI Mobile", "")
    assert [tty.path for tty in second.ttys] == ["/dev/ttyUSB3", "/dev/ttyUSB4", "/dev/ttyUSB5"]
    verdict = judge(second)
    assert verdict is not None
    assert [tty.path for tty in verdict.ports] == ["/dev/ttyUSB5", "/dev/ttyUSB3"]


def test_the_order_in_which_udev_tells_does_not_matter() -> None:
    properties = udev_tree("two-of-one-model").properties
    assert devices_of(reversed(properties)) == devices_of(properties)


def test_what_udev_has_not_finished_with_is_not_there_yet() -> None:
    """Its node may still belong to root, and its links be missing."""
    properties = udev_tree("quectel-ec25").properties
    unfinished = [
        {name: value for name, value in each.items() if name != "USEC_INITIALIZED"}
        if each["SUBSYSTEM"] == "tty"
        else each
        for each in properties
    ]
    (device,) = devices_of(unfinished)
    assert device.ttys == ()


def test_hubs_and_root_hubs_are_no_devices() -> None:
    hub = {"DEVTYPE": "usb_device", "SUBSYSTEM": "usb", "TYPE": "9/0/1", "PRODUCT": "424/9514/200"}
    path = "/devices/pci0/usb1"
    trees = [
        {**hub, "DEVPATH": path, "USEC_INITIALIZED": "1"},
        {**hub, "DEVPATH": f"{path}/1-1", "USEC_INITIALIZED": "2"},
    ]
    assert devices_of(trees) == ()
