"""What `otpbroker modems` prints of the golden devices."""

from otpbroker.cli.modems import listed
from otpbroker.modem.usb import devices_of
from udev_trees import udev_tree


def lines(name: str) -> list[list[str]]:
    return [line.split() for line in listed(devices_of(udev_tree(name).properties))]


def test_a_modem_is_listed_with_its_socket_and_the_ports_that_are_asked() -> None:
    socket, ids, kind, *name, first, second = lines("quectel-ec25")[0]
    assert (socket, ids, kind, name) == ("1-1.2", "2c7c:0125", "modem", ["Android", "Android"])
    assert (first, second) == ("/dev/ttyUSB2", "/dev/ttyUSB3")


def test_what_has_no_port_is_listed_too_and_what_is_no_modem_is_not() -> None:
    assert lines("huawei-hilink")[0][2] == "hilink"
    assert lines("flash-drive") == []
    assert len(lines("two-of-one-model")) == 2
