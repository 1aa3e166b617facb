"""What is opened on our own account, and what is not."""

import pytest

from otpbroker.modem.families import FAMILIES, Kind, judge
from otpbroker.modem.usb import Tty, UsbDevice


def device(ids: str, *drivers: str, other: tuple[str, ...] = (), protocol: int = 0) -> UsbDevice:
    """A device whose interfaces 0, 1, ... have ports of these drivers."""
    vendor, _, product = ids.partition(":")
    ttys = tuple(
        Tty(f"/dev/ttyUSB{number}", number, 0xFF, 0xFF, protocol, driver) for number, driver in enumerate(drivers)
    )
    return UsbDevice("1-1.2", vendor, product, "", "", "", ttys, other)


def asked(found: UsbDevice) -> list[int | None]:
    verdict = judge(found)
    assert verdict is not None
    return [tty.interface for tty in verdict.ports]


@pytest.mark.parametrize(
    ("ids", "interfaces"),
    [
        ("2c7c:0125", [2, 3]),
        ("2c7c:6005", [2, 3, 0, 1]),  # of its vendor, in no table: the likely ones first
        ("1e0e:9001", [2, 3]),
        ("12d1:1003", [1, 0]),
        ("12d1:140c", [3, 0, 2]),
        ("19d2:0001", [0, 2]),
        ("19d2:0002", [2]),  # 4 has no port here
        ("19d2:0015", [1, 3]),
        ("19d2:0016", [2, 1]),
        ("19d2:0017", [2, 1]),
        ("19d2:0021", [3, 1]),
        ("19d2:abcd", [0, 1, 2, 3]),
        ("1bc7:1201", [0, 1, 2, 3]),  # neither 4 nor 5 has a port: better any than none
        ("1199:68a3", [3, 0, 1, 2]),
        ("2cb7:0104", [0, 1, 2, 3]),
    ],
)
def test_the_ports_of_a_modem_are_asked_in_the_order_of_the_table(ids: str, interfaces: list[int]) -> None:
    assert asked(device(ids, "option", "option", "option", "option")) == interfaces


def test_diagnostics_of_a_modem_in_no_table_are_not_asked() -> None:
    assert asked(device("1bc7:ffff", "option", protocol=0x30)) == []
    assert asked(device("1bc7:ffff", "option", protocol=0x40)) == [0]


@pytest.mark.parametrize(
    ("ids", "driver", "kind"),
    [
        ("0403:6001", "ftdi_sio", Kind.ADAPTER),
        ("10c4:ea60", "cp210x", Kind.ADAPTER),
        ("1a86:7523", "ch341", Kind.ADAPTER),
        ("067b:2303", "pl2303", Kind.ADAPTER),
        ("2341:0043", "cdc_acm", Kind.UNKNOWN),  # Arduino Uno
        ("1546:01a8", "cdc_acm", Kind.UNKNOWN),  # a GPS receiver of a vendor of modems
        ("05c6:9018", "option", Kind.UNKNOWN),  # a telephone with this chip
    ],
)
def test_what_may_be_anything_is_no_modem(ids: str, driver: str, kind: Kind) -> None:
    verdict = judge(device(ids, driver))
    assert verdict is not None
    assert (verdict.kind, verdict.family) == (kind, "")


@pytest.mark.parametrize(
    ("ids", "other", "kind"),
    [
        ("12d1:14dc", ("block", "net"), Kind.HILINK),
        ("12d1:14db", (), Kind.HILINK),
        ("19d2:1405", ("net",), Kind.HILINK),
        ("12d1:1f01", (), Kind.STORAGE),
        ("12d1:14fe", ("block",), Kind.STORAGE),
        ("19d2:2000", ("block",), Kind.STORAGE),
        ("1bbb:0001", ("block",), Kind.STORAGE),
    ],
)
def test_a_modem_in_another_mode_is_told_as_such(ids: str, other: tuple[str, ...], kind: Kind) -> None:
    verdict = judge(device(ids, other=other))
    assert verdict is not None
    assert (verdict.kind, verdict.ports) == (kind, ())


@pytest.mark.parametrize("ids", ["0781:5567", "046d:c31c", "12d1:107e", "0bda:8153"])
def test_what_has_no_port_and_is_no_modem_is_nothing(ids: str) -> None:
    """A flash drive, a keyboard, a telephone, a network card."""
    assert judge(device(ids, other=() if ids == "12d1:107e" else ("net", "block"))) is None


def test_huawei_is_never_asked_what_crashes_it() -> None:
    """The MU609 does not survive AT^GETPORTMODE."""
    assert not any("GETPORTMODE" in command for family in FAMILIES for command in family.first)
    verdict = judge(device("12d1:1573", "option"))
    assert verdict is not None
    assert verdict.first == ("AT^CURC=0",)
